package seal

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// smaps are the flags that Linux shows of the pages of a secret: proc(5), VmFlags.
func smaps(t *testing.T, m *Memory) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	require.NoError(t, err)
	at := uintptr(unsafe.Pointer(unsafe.SliceData(m.pages)))
	inside := false
	for line := range strings.Lines(string(text)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			inside = from <= at && at < to
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && inside {
			return flags
		}
	}
	t.Fatal("the pages are not mapped")
	return ""
}
