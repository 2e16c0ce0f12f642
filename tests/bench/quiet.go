package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

const (
	// stolenLimit is the share of the processors that their host may take while something is measured.
	stolenLimit = 0.02
	// attempts is how often something is measured for a time in which it takes less.
	attempts = 3
)

// quietly measures while the host of a virtual machine gives its processors to others as little as possible: again, if it took more than
// stolenLimit, and of the attempts it gives the one in which the host took least. The row learns what that was. What is taken makes
// everything slower, and what waits for another processor most of all, so that no ratio would make up for it.
func quietly[T any](r *row, measure func() (T, error)) (T, error) {
	best, stolen, err := leastOf(measure, stolenTime)
	r.Stolen = max(r.Stolen, stolen)
	return best, err
}

// leastOf also gives the share that was taken.
func leastOf[T any](measure func() (T, error), stolenTime func() time.Duration) (best T, stolen float64, err error) {
	for i := range attempts {
		start, before := time.Now(), stolenTime()
		one, err := measure()
		if err != nil {
			return one, 0, err
		}
		share := float64(stolenTime()-before) / float64(time.Since(start)) / float64(runtime.NumCPU())
		if i == 0 || share < stolen {
			best, stolen = one, share
		}
		if stolen <= stolenLimit {
			break
		}
	}
	return best, stolen, nil
}

// stolenTime is how long, of all processors, the host has given one to somebody else that had work: 0 where it does not tell.
// See proc(5), /proc/stat.
func stolenTime() time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	first, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(first)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0
	}
	n, _ := strconv.ParseInt(fields[8], 10, 64)
	return time.Duration(n) * tick
}
