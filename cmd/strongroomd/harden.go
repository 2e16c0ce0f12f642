package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// harden keeps what is in this process's memory from disks and from other processes of the same user: no core dumps, also not by a
// handler (core(5): the limit binds files alone), and no ptrace, for a process that is not dumpable (prctl(2)). What it executes is
// dumpable again, and keeps the limit.
func harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbidding core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbidding core dumps: %w", err)
	}
	return nil
}
