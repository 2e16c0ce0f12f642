package hsm

/*
#cgo noescape sr_crew_send
#cgo nocallback sr_crew_send
#include "crew.h"
*/
import "C"

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// A crew serves the socket of a worker process from threads of its own: it makes the calls that take a module's time, and leaves
// the others to Go.
type crew struct{ c *C.sr_crew }

// Both sides have the same numbers.
var (
	_ = [1]int{}[fnEncrypt-C.SR_FN_ENCRYPT]
	_ = [1]int{}[fnDecrypt-C.SR_FN_DECRYPT]
	_ = [1]int{}[fnSign-C.SR_FN_SIGN]
	_ = [1]int{}[outcomeGood-C.SR_OUTCOME_GOOD]
	_ = [1]int{}[outcomeCK-C.SR_OUTCOME_CK]
	_ = [1]int{}[parameterPSS-C.SR_PSS]
)

// newCrew makes a crew that serves a socket, with a library that may be nil. What is left to Go can be read from rest, until the
// server has ended.
func newCrew(l *library, server int) (c *crew, rest net.Conn, err error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a socket pair: %w", err)
	}
	f := os.NewFile(uintptr(pair[0]), "crew")
	defer f.Close()
	if rest, err = net.FileConn(f); err != nil {
		syscall.Close(pair[1])
		return nil, nil, err
	}
	c = new(crew)
	if l == nil {
		c.c, err = C.sr_crew_new(nil, C.int(server), C.int(pair[1]), nil, nil)
	} else {
		c.c, err = C.sr_crew_new(l.functions, C.int(server), C.int(pair[1]), l.quick.c, l.slow.c)
	}
	if c.c == nil {
		rest.Close()
		syscall.Close(pair[1])
		return nil, nil, fmt.Errorf("making a crew: %w", err)
	}
	return c, rest, nil
}

// Write writes whole messages to the server.
func (c *crew) Write(messages []byte) (int, error) {
	if fault := C.sr_crew_send(c.c, bytesOf(messages), C.ck_ulong(len(messages))); fault != 0 {
		return 0, fmt.Errorf("writing to the server: %w", syscall.Errno(fault))
	}
	return len(messages), nil
}

// wait waits until no call is under way, when the server has ended.
func (c *crew) wait() { C.sr_crew_wait(c.c) }
