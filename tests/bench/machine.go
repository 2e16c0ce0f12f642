package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// A machine is what the figures depend on.
type machine struct {
	Processor string  `json:"processor"`
	Cores     int     `json:"cores"`
	Load      string  `json:"load"` // of the last minute, before the run
	Go        string  `json:"go"`
	Disk      string  `json:"disk"`   // file system of the database
	Memory    string  `json:"memory"` // file system of the token
	Syncs     float64 `json:"fdatasync_per_second"`
}

// look fills in what the system tells; memory and disk are folders.
func look(memory, disk string) (m machine, err error) {
	m = machine{
		Cores: runtime.NumCPU(), Go: runtime.Version(), Disk: fileSystem(disk), Memory: fileSystem(memory),
	}
	load, _ := os.ReadFile("/proc/loadavg")
	m.Load, _, _ = strings.Cut(string(load), " ")
	cpus, _ := os.ReadFile("/proc/cpuinfo")
	if _, rest, ok := bytes.Cut(cpus, []byte("model name\t: ")); ok {
		name, _, _ := bytes.Cut(rest, []byte("\n"))
		m.Processor = string(name)
	}
	m.Syncs, err = syncs(disk, 300*time.Millisecond)
	return m, err
}

// print says on what the figures were measured.
func (m *machine) print(out io.Writer) {
	fmt.Fprintf(out, "%s, %d cores, load %s before; %s\n", m.Processor, m.Cores, m.Load, m.Go)
	fmt.Fprintf(out, "database on a disk (%s, %.0f fdatasync/s), token in memory (%s)\n\n", m.Disk, m.Syncs, m.Memory)
}

// fileSystem is the type of the file system that a folder is on, and where that is mounted.
func fileSystem(path string) string {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	best, kind := "", ""
	for line := range strings.Lines(string(mounts)) {
		// proc(5): ID, parent, device, root, mount point, options, optional fields, "-", type, source, options.
		before, behind, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 5 {
			continue
		}
		if at := fields[4]; within(path, at) && len(at) >= len(best) {
			best, kind = at, strings.Fields(behind)[0]
		}
	}
	return kind + " on " + best
}

func within(path, folder string) bool {
	return folder == "/" || path == folder || strings.HasPrefix(path, folder+"/")
}

// Numbers of file systems that are not on a disk: statfs(2).
const (
	tmpfsMagic = 0x01021994
	ramfsMagic = 0x858458F6
)

func inMemory(path string) bool {
	var s syscall.Statfs_t
	if syscall.Statfs(path, &s) != nil {
		return true // not a folder that can be used
	}
	return s.Type == tmpfsMagic || s.Type == ramfsMagic
}

// folders makes a temporary folder in memory and one on a disk, as far as the system has them.
func folders() (memory, disk string, remove func(), err error) {
	if memory, err = os.MkdirTemp("/dev/shm", "strongroom-bench-"); err != nil {
		if memory, err = os.MkdirTemp("", "strongroom-bench-"); err != nil {
			return "", "", nil, err
		}
	}
	parent := os.TempDir()
	cache, _ := os.UserCacheDir()
	for _, candidate := range []string{os.TempDir(), "/var/tmp", cache} {
		if candidate != "" && !inMemory(candidate) {
			parent = candidate
			break
		}
	}
	if disk, err = os.MkdirTemp(parent, "strongroom-bench-"); err != nil {
		os.RemoveAll(memory)
		return "", "", nil, err
	}
	return memory, disk, func() { os.RemoveAll(memory); os.RemoveAll(disk) }, nil
}

// syncs is how often in a second the disk takes a page of 4 KiB and confirms it: what Create depends on.
func syncs(disk string, d time.Duration) (float64, error) {
	f, err := os.Create(filepath.Join(disk, "sync"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	page := make([]byte, 4096)
	start := time.Now()
	n := 0
	for time.Since(start) < d {
		if _, err := f.WriteAt(page, int64(n)<<12); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(start).Seconds(), nil
}
