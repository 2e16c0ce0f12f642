package tests

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDemo runs the user's session from end to end, as make demo does, with the programs under test.
func TestDemo(t *testing.T) {
	for _, tool := range []string{"bash", "openssl", "pkcs11-tool"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	demo := exec.Command("bash", "demo.sh")
	demo.Env = append(os.Environ(), "STRONGROOM_BIN="+bin, "TMPDIR="+t.TempDir())
	output, err := demo.CombinedOutput()
	require.NoError(t, err, "%s", output)
}
