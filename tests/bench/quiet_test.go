package main

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestQuietlyTakesTheLeastDisturbed plays a host that takes a share of the processors: a lot, some, and a little.
func TestQuietlyTakesTheLeastDisturbed(t *testing.T) {
	for _, test := range []struct {
		name   string
		shares []float64
		best   int
	}{
		{"at once", []float64{0.01, 0.5}, 0},
		{"the second", []float64{0.4, 0, 0.5}, 1},
		{"the least of all", []float64{0.4, 0.2, 0.3, 0}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stolen time.Duration
			n := -1
			best, share, err := leastOf(func() (int, error) {
				n++
				start := time.Now()
				time.Sleep(2 * time.Millisecond)
				stolen += time.Duration(test.shares[n] * float64(runtime.NumCPU()) * float64(time.Since(start)))
				return n, nil
			}, func() time.Duration { return stolen })
			require.NoError(t, err)
			require.Equal(t, test.best, best)
			require.LessOrEqual(t, share, test.shares[best], "what lies between the clocks counts as well")
		})
	}
	_, err := quietly(new(row), func() (int, error) { return 0, errors.New("no") })
	require.EqualError(t, err, "no")
}

func TestStolenTimeOnlyGrows(t *testing.T) {
	before := stolenTime()
	require.GreaterOrEqual(t, stolenTime(), before)
}
