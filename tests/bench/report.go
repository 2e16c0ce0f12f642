package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A report is everything that one run came to.
type report struct {
	Time    time.Time `json:"time"`
	Machine machine   `json:"machine"`
	Seconds float64   `json:"seconds"` // of one measurement
	Rows    []*row    `json:"rows"`
}

// columns of the table, and their widths; the first is left-aligned, and so is the last.
var columns = []struct {
	head  string
	width int
}{
	{"measurement", 26}, {"result", 15}, {"p50 µs", 8}, {"p99 µs", 8}, {"CPU µs/op", 10}, {"MB", 6}, {"floor", 20}, {"ratio", 6}, {"target", 0},
}

// head prints the first line of the table.
func head(out io.Writer) {
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = c.head
	}
	line(out, cells)
}

// print prints the row as a line of the table.
func (r *row) print(out io.Writer) {
	line(out, []string{
		r.Name, figure(r.Figure) + " " + r.Unit, figure(r.P50), figure(r.P99), figure(r.ServerCPU), figure(r.Memory),
		joined(r.FloorName, figure(r.floor())), ratio(r.Ratio), r.verdicts(),
	})
}

func line(out io.Writer, cells []string) {
	var b strings.Builder
	for i, c := range cells {
		pad := strings.Repeat(" ", max(0, columns[i].width-len([]rune(c))))
		switch i {
		case 0:
			b.WriteString(c + pad)
		case len(cells) - 1:
			b.WriteString("  " + c)
		default:
			b.WriteString(" " + pad + c)
		}
	}
	fmt.Fprintln(out, strings.TrimRight(b.String(), " "))
}

// verdicts tells the targets of a row and whether it meets them.
func (r *row) verdicts() string {
	var all []string
	if r.Allocations != nil {
		all = append(all, fmt.Sprintf("%d allocations", *r.Allocations))
	}
	if r.noisy() {
		all = append(all, "floors from "+figure(slices.Min(r.Floors))+" to "+figure(slices.Max(r.Floors)))
	}
	if r.Plain > 0 {
		all = append(all, "a plain server: "+ratio(r.Plain/r.floor()))
	}
	if r.Stolen > stolenLimit {
		all = append(all, fmt.Sprintf("the host took %.0f %%", 100*r.Stolen))
	}
	for _, v := range r.Targets {
		word := "met"
		if !v.Met {
			word = "NOT MET"
		}
		all = append(all, v.Bound+": "+word)
	}
	return strings.Join(all, ", ")
}

// figure is a number with three digits or all those before the point, in groups of three; nothing for 0.
func figure(f float64) string {
	switch {
	case f == 0:
		return ""
	case f < 10:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case f < 100:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	digits := strconv.FormatFloat(f, 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

func ratio(f float64) string {
	if f == 0 {
		return ""
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}

// missed is how many targets were held and how many were not kept.
func (r *report) missed() (missed, all int) {
	for _, row := range r.Rows {
		for _, v := range row.Targets {
			all++
			if !v.Met {
				missed++
			}
		}
	}
	return missed, all
}

// write writes the report as JSON.
func (r *report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
