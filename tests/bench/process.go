package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A process is one that is looked at through /proc.
type process struct{ pid int }

// tick is the unit of times in /proc/PID/stat, for every program on Linux: proc(5), sysconf(_SC_CLK_TCK).
const tick = 10 * time.Millisecond

// cpu is the time that the process has used on all cores, in programs and in the kernel.
func (p process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, err
	}
	// The second field, the name, is the only one that may have blanks; utime and stime are the 14th and 15th.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", p.pid, len(fields)+2)
	}
	var sum time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", p.pid, err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// cpuBetween waits for two moments and gives the processor time that the process used between them.
func (p process) cpuBetween(from, until time.Time) (time.Duration, error) {
	time.Sleep(time.Until(from))
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	time.Sleep(time.Until(until))
	after, err := p.cpu()
	return after - before, err
}

// memory is a field of /proc/PID/status, in bytes: VmRSS, what is resident, or VmHWM, the most there ever was.
func (p process) memory(field string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(line, ":"); name == field {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no %s", p.pid, field)
}
