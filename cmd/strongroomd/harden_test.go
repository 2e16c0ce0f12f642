package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestHarden: the program leaves no core dump, and what it executes neither.
func TestHarden(t *testing.T) {
	if os.Getenv("STRONGROOM_TEST_HARDEN") == "" {
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.Command(self, "-test.run=^TestHarden$", "-test.v")
		cmd.Env = append(os.Environ(), "STRONGROOM_TEST_HARDEN=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS: TestHarden")
		return
	}
	require.NoError(t, harden())
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_CORE, &limit))
	require.Zero(t, limit)
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	require.NoError(t, err)
	require.Zero(t, dumpable)
	out, err := exec.Command("sh", "-c", "ulimit -c").Output()
	require.NoError(t, err)
	require.Equal(t, "0\n", string(out))
}
