package main

import (
	"slices"
	"strconv"
	"time"
)

// A row is one figure and what belongs to it; a number that does not apply is 0.
type row struct {
	Name        string    `json:"name"`
	Figure      float64   `json:"figure"`
	Unit        string    `json:"unit"`
	P50         float64   `json:"p50_us,omitempty"`
	P99         float64   `json:"p99_us,omitempty"`
	ServerCPU   float64   `json:"server_cpu_us,omitempty"` // for one operation
	Memory      float64   `json:"memory_mb,omitempty"`     // resident: of the server behind the load, or the most that a program had
	FloorName   string    `json:"floor_name,omitempty"`
	Floors      []float64 `json:"floors,omitempty"`       // between the turns, and before and behind
	FloorCPU    float64   `json:"floor_cpu_us,omitempty"` // that the echo used for one operation, at most
	Ratio       float64   `json:"ratio,omitempty"`        // of the figure to the mean of the floors
	Plain       float64   `json:"plain,omitempty"`        // what a plain server over TLS comes to before the same token
	Stolen      float64   `json:"stolen,omitempty"`       // share of the processors that the host took meanwhile, at most
	Allocations *int64    `json:"allocations,omitempty"`
	Targets     []verdict `json:"targets,omitempty"`
	Error       string    `json:"error,omitempty"` // why there is no figure
}

// A verdict is a bound and whether a row keeps it.
type verdict struct {
	Bound string `json:"bound"`
	Met   bool   `json:"met"`
}

// floor is the mean of the floors.
func (r *row) floor() float64 {
	if len(r.Floors) == 0 {
		return 0
	}
	var sum float64
	for _, f := range r.Floors {
		sum += f
	}
	return sum / float64(len(r.Floors))
}

// noisy says that something else had the machine: the floors are far apart.
func (r *row) noisy() bool {
	return len(r.Floors) > 1 && slices.Max(r.Floors) > 1.25*slices.Min(r.Floors)
}

// measured completes a row by an outcome.
func (r *row) measured(o *outcome) {
	r.Figure, r.Unit = o.rate(), "op/s"
	r.P50, r.P99 = microseconds(quantile(o.latencies, 0.5)), microseconds(quantile(o.latencies, 0.99))
	r.ServerCPU = o.cpuPerOperation()
	if f := r.floor(); f > 0 {
		r.Ratio = r.Figure / f
	}
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// A target bounds one number of a row.
type target struct {
	what   string
	of     func(*row) float64
	limit  float64
	unit   string
	atMost bool
}

func ratioAtLeast(limit float64) target {
	return target{"ratio", func(r *row) float64 { return r.Ratio }, limit, "", false}
}

func figureAtLeast(limit float64, unit string) target {
	return target{"", func(r *row) float64 { return r.Figure }, limit, unit, false}
}

func figureAtMost(limit float64, unit string) target {
	return target{"", func(r *row) float64 { return r.Figure }, limit, unit, true}
}

func memoryAtMost(limit float64) target {
	return target{"memory", func(r *row) float64 { return r.Memory }, limit, "MB", true}
}

// judge holds the row against targets.
func (r *row) judge(targets ...target) {
	for _, t := range targets {
		v := verdict{Met: t.of(r) >= t.limit}
		sign := "≥ "
		if t.atMost {
			v.Met, sign = t.of(r) <= t.limit, "≤ "
		}
		v.Bound = joined(t.what, sign+strconv.FormatFloat(t.limit, 'f', -1, 64), t.unit)
		r.Targets = append(r.Targets, v)
	}
}

// joined puts what is not empty behind one another.
func joined(words ...string) (text string) {
	for _, w := range words {
		if w != "" && text != "" {
			text += " "
		}
		text += w
	}
	return text
}
