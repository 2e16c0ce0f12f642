package hsm

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/kmiptest"
)

// Tests with opencryptoki's software token. It has one configuration, one daemon and one folder of tokens for the whole system: each
// test gives it a system of its own, a name space in which its folders, /run and /dev/shm are others, for which it has to be root.

// opencryptokiUp makes such a system in a folder, with a token, says "up", and goes on until its standard input ends. A PIN that
// is the default one is refused, and so is one of more than 8 bytes.
const opencryptokiUp = `set -e
mkdir -p $1/etc $1/lib/swtok/TOK_OBJ $1/run/lock/opencryptoki/swtok
printf 'version opencryptoki-3.1\nslot 3\n{\nstdll = libpkcs11_sw.so\n}\n' > $1/etc/opencryptoki.conf
chgrp -R pkcs11 $1/etc $1/lib $1/run/lock/opencryptoki
chmod -R 770 $1/lib $1/run/lock/opencryptoki
mount --bind $1/etc /etc/opencryptoki
mount --bind $1/lib /var/lib/opencryptoki
mount --bind $1/run /run
exec 3>$1/log
mount -t tmpfs tmpfs /dev/shm
pkcsslotd -f >&3 2>&1 &
for i in $(seq 100); do [ -S /run/pkcsslotd.socket ] && break; sleep 0.05; done
echo strongroom | pkcsconf -c 3 -I -S 87654321 >&3
pkcsconf -c 3 -P -S 87654321 -n 76543210
pkcsconf -c 3 -u -S 76543210 -n 7654321
pkcsconf -c 3 -p -U 7654321 -n $2
echo up
cat >&3
kill -9 $!`

// opencryptoki opens a new token in a worker process, which is in the name space of its system.
func opencryptoki(t *testing.T) *HSM {
	t.Helper()
	libraries, err := filepath.Glob("/usr/lib/*/pkcs11/libopencryptoki.so")
	require.NoError(t, err)
	for _, program := range []string{"pkcsslotd", "pkcsconf", "unshare", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil || len(libraries) == 0 {
			t.Skip("opencryptoki and util-linux are not installed")
		}
	}
	if exec.Command("unshare", "--mount", "--ipc", "mount", "--bind", "/run", "/run").Run() != nil {
		t.Skip("opencryptoki needs a system of its own, and this user cannot make one")
	}
	dir, err := os.MkdirTemp(filepath.Dir(softHSM.folder), "opencryptoki") // in memory
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	system := exec.Command("unshare", "--mount", "--ipc", "--propagation", "private", "sh", "-c", opencryptokiUp, "sh", dir, testPIN)
	var faults strings.Builder
	system.Stderr = &faults
	stdin, err := system.StdinPipe()
	require.NoError(t, err)
	stdout, err := system.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, system.Start())
	t.Cleanup(func() {
		stdin.Close()
		_, _ = io.Copy(io.Discard, stdout)
		_ = system.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err, "%s", &faults)
	require.Equal(t, "up\n", line)

	slot := Slot{Number: 4, TokenLabel: "strongroom", PIN: pin(testPIN)}
	m := Module{Library: libraries[0], Isolation: "process", Slots: []Slot{slot}}
	worker := workerOf(m.Library, slot)
	m.Worker = func() *exec.Cmd {
		inner := worker()
		cmd := exec.Command("nsenter", append([]string{"--target", strconv.Itoa(system.Process.Pid), "--mount", "--ipc", inner.Path}, inner.Args[1:]...)...)
		cmd.Env, cmd.Stderr = inner.Env, inner.Stderr
		return cmd
	}
	return openModule(t, m)
}

func TestOpencryptokiBackend(t *testing.T) {
	kmiptest.Backend(t, func(t *testing.T) kmip.Backend { return opencryptoki(t) }, kmiptest.Options{
		Prefix: kmip.HSMIdentifier(4, ""), Owner: "ops", TakesMaterial: true, WithoutGCM: true,
	})
}

func TestOpencryptokiCapabilities(t *testing.T) {
	h := opencryptoki(t)
	status := h.Status(t.Context())[0]
	require.True(t, status.Healthy, status.Error)
	all := strings.Join(status.Mechanisms, ", ")
	for _, want := range []string{"AES CBC PKCS5", "RSA OAEP SHA_256", "HMAC SHA_256", "RSA PKCS1v15 signature", "RSA PSS signature"} {
		require.Contains(t, all, want)
	}
	require.NotContains(t, all, "AES GCM")
	_, err := h.MakeKey(t.Context(), 4, NewKey{Label: "ed", Algorithm: "ed25519", Purpose: PurposeData})
	require.EqualError(t, err, "slot 4: the token does not do Ed25519 as the standard has it")
	_, err = h.MakeKey(t.Context(), 4, NewKey{Label: "rsa", Algorithm: "rsa", Bits: 2048, Purpose: PurposeSeal})
	require.NoError(t, err)
}
