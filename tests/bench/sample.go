package main

import (
	"slices"
	"time"
)

// sampleSize is how many latencies a connection keeps at most.
const sampleSize = 8192

// A sample keeps values spread evenly over all that it is given: each time it is full it drops every other one, and takes
// half as many from then on. So it costs the client next to nothing.
type sample struct {
	values      []time.Duration
	every, skip int
}

func newSample() *sample { return &sample{values: make([]time.Duration, 0, sampleSize), every: 1} }

func (s *sample) add(d time.Duration) {
	if s.skip++; s.skip < s.every {
		return
	}
	s.skip = 0
	if len(s.values) == cap(s.values) {
		s.thin()
	}
	s.values = append(s.values, d)
}

// thin drops every other value.
func (s *sample) thin() {
	for i := range len(s.values) / 2 {
		s.values[i] = s.values[2*i+1]
	}
	s.values = s.values[:len(s.values)/2]
	s.every *= 2
}

// merge brings samples to one density and sorts them.
func merge(samples []*sample) []time.Duration {
	most := 1
	for _, s := range samples {
		most = max(most, s.every)
	}
	var all []time.Duration
	for _, s := range samples {
		for s.every < most {
			s.thin()
		}
		all = append(all, s.values...)
	}
	slices.Sort(all)
	return all
}

// quantile of sorted values; q is from 0 to 1.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
