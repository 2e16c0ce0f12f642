package tests

import (
	"net"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPyKMIP has PyKMIP's client, which nobody here wrote, take a key of each kind through its life, and then do whatever else
// it can, at each version it speaks.
func TestPyKMIP(t *testing.T) {
	python := "/usr/bin/python3" // Debian's, which python3-pykmip is for
	if err := exec.Command(python, "-c", "import kmip").Run(); err != nil {
		t.Skip("PyKMIP is not installed (package python3-pykmip)")
	}
	s := newSite(t)
	s.serve()
	host, port, err := net.SplitHostPort(s.address)
	require.NoError(t, err)
	for _, version := range []string{"1.0", "1.1", "1.2", "1.3", "1.4", "2.0"} {
		for kind, identifier := range map[string]string{"database": "", "token": "hsm::4::pykmip " + version} {
			for _, script := range []string{"session", "everything"} {
				t.Run(version+" "+kind+" "+script, func(t *testing.T) {
					r := s.exec(nil, python, "pykmip/"+script+".py", host, port,
						s.path("clients", "admin.crt"), s.path("clients", "admin.key"), s.path("tls", "ca.crt"), identifier, version)
					require.Equal(t, 0, r.code, "%s%s\nserver: %s", r.stdout, r.stderr, s.log)
				})
			}
		}
	}
}
