//go:build crashpoints

package crash

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Variable is the environment variable that names the point to end at: NAME, or NAME:COUNT for the COUNTth time that it is passed.
const Variable = "STRONGROOM_CRASH"

// wanted is what Variable says.
var wanted = sync.OnceValues(func() (name string, count int64) {
	name, times, counted := strings.Cut(os.Getenv(Variable), ":")
	if !counted {
		return name, 1
	}
	count, err := strconv.ParseInt(times, 10, 64)
	if err != nil || count < 1 {
		panic(fmt.Sprintf("%s: %q is no count", Variable, times))
	}
	return name, count
})

// passed counts how often the wanted point was.
var passed atomic.Int64

// At kills the process when it is the point that Variable names. Nothing runs after it: no deferred function, no other goroutine.
func At(point string) {
	name, count := wanted()
	if name != point || passed.Add(1) != count {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until the signal is there
}
