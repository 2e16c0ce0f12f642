package hsm

/*
#cgo noescape sr_operate
#cgo nocallback sr_operate
#cgo noescape sr_lanes_put
#cgo nocallback sr_lanes_put
#cgo noescape sr_lanes_take
#cgo nocallback sr_lanes_take
#include <stdlib.h>
#include "lanes.h"
*/
import "C"

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// Lanes run the operations that take a module's time in threads of their own, so that no thread of Go's scheduler waits in
// a module: a P whose thread is away in C is given to others only after a while, and that while is idle. They also bound how
// many calls run at once. A module that computes on this machine's processors, as software tokens do, gains nothing from more
// of them than processors, and loses much when their locks are fought over; one that talks to a device gains from as many as
// it has sessions. Which it is the lanes see for themselves.
type lanes struct {
	c *C.sr_lanes

	busy    atomic.Int64 // operations here, waiting or running
	crowded atomic.Int64 // how many more operations go through a lane although nothing else is here

	mu   sync.Mutex
	all  []*job // by number
	free []*job
}

// A job is one operation on its way. Its buffers are C's memory: one block, kept for the next job unless it is large.
type job struct {
	c      *C.sr_job
	block  []byte
	number int
	done   chan struct{}
}

// largestKept is the size of a block that is kept, in bytes, and mostKept the number of jobs.
const (
	largestKept = 16 << 10
	mostKept    = 256
)

// newLanes makes lanes: few for a module that computes here, many for one that waits.
func newLanes(few, many int) (*lanes, error) {
	var descriptor C.int
	c, err := C.sr_lanes_new(C.int(few), C.int(many), &descriptor)
	if c == nil {
		return nil, fmt.Errorf("making lanes: %w", err)
	}
	l := &lanes{c: c}
	l.crowded.Store(crowd) // the first operations go through lanes, which look where the time goes
	go l.reap(os.NewFile(uintptr(descriptor), "lanes"))
	return l, nil
}

// reap tells those who wait for jobs that are done, as long as the program runs: a library is never unloaded. What the descriptor
// counts is not read: Go's poller hears of each write to it, and of none twice (epoll(7), EPOLLET).
func (l *lanes) reap(f *os.File) {
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Read(func(uintptr) (enough bool) {
			l.tell(C.sr_lanes_take(l.c))
			return false
		})
	}
	panic(fmt.Errorf("hsm: waiting for an eventfd: %w", err)) // nobody would hear of any operation again
}

// tell tells those who wait for the jobs of a list.
func (l *lanes) tell(c *C.sr_job) {
	for c != nil {
		next := c.next // the job is another's once it is told
		l.mu.Lock()
		j := l.all[c.number]
		l.mu.Unlock()
		j.done <- struct{}{}
		c = next
	}
}

// most is how many operations run at once.
func (l *lanes) most() uint { return uint(C.sr_lanes_most(l.c)) }

// local says whether the module was seen to compute here.
func (l *lanes) local() bool { return C.sr_lanes_local(l.c) != 0 }

// forget makes it be looked at anew: for tests, in which one module behaves as another.
func (l *lanes) forget() { C.sr_lanes_forget(l.c) }

// take gives a job with a block of at least size bytes.
func (l *lanes) take(size int) *job {
	l.mu.Lock()
	var j *job
	if n := len(l.free); n > 0 {
		j = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		j = &job{c: (*C.sr_job)(C.calloc(1, C.sizeof_sr_job)), number: len(l.all), done: make(chan struct{}, 1)}
		j.c.number = C.ck_ulong(j.number)
		l.all = append(l.all, j)
	}
	l.mu.Unlock()
	if len(j.block) < size {
		j.drop()
		room := max(size, 1024)
		j.block = unsafe.Slice((*byte)(C.malloc(C.size_t(room))), room)
	}
	return j
}

// drop frees the block.
func (j *job) drop() {
	if j.block != nil {
		C.free(unsafe.Pointer(unsafe.SliceData(j.block)))
		j.block = nil
	}
}

// put takes a job back, of whose block used bytes were written.
func (l *lanes) put(j *job, used int) {
	clear(j.block[:used])
	if len(j.block) > largestKept {
		j.drop()
	}
	l.mu.Lock()
	l.free = append(l.free, j)
	l.mu.Unlock()
}

// crowd is how many operations in turn must be alone before one does without a lane again.
const crowd = 100

// alone counts an operation in, and says whether it is the only one, and has been for a while: then its own thread is the quickest
// way, for two changes of thread cost more than a software token's whole encryption, and a tenth of a device's in a network.
func (l *lanes) alone() bool {
	if l.busy.Add(1) > 1 {
		l.crowded.Store(crowd)
		return false
	}
	return l.crowded.Load() <= 0 || l.crowded.Add(-1) <= 0
}

// operate is sr_operate in a lane: it writes into out.
func (l *lanes) operate(functions unsafe.Pointer, operation, resume C.int, s session, m *mechanism, key handle, data, out []byte) C.sr_result {
	defer l.busy.Add(-1)
	if l.alone() {
		return C.sr_operate(functions, operation, resume, C.ck_ulong(s), C.ck_ulong(m.Type), kinds[m.Parameter],
			bytesOf(m.IV), C.ck_ulong(len(m.IV)), bytesOf(m.Extra), C.ck_ulong(len(m.Extra)),
			m.a(), C.ck_ulong(m.MGF), C.ck_ulong(m.Salt),
			C.ck_ulong(key), bytesOf(data), C.ck_ulong(len(data)), bytesOf(out), C.ck_ulong(len(out)))
	}
	used := len(m.IV) + len(m.Extra) + len(data) + len(out) + 4*8
	j := l.take(used)
	defer l.put(j, used)
	rest := j.block
	cut := func(n int) []byte {
		part := rest[:n:n]
		rest = rest[eight(n):]
		return part
	}
	iv, extra, in, result := cut(len(m.IV)), cut(len(m.Extra)), cut(len(data)), cut(len(out))
	copy(iv, m.IV)
	copy(extra, m.Extra)
	copy(in, data)
	clear(result)
	c := j.c
	c.m, c.operation, c.resume, c.session, c.key = functions, operation, resume, C.ck_ulong(s), C.ck_ulong(key)
	c._type, c.kind = C.ck_ulong(m.Type), kinds[m.Parameter]
	c.iv, c.iv_len, c.extra, c.extra_len = bytesOf(iv), C.ck_ulong(len(iv)), bytesOf(extra), C.ck_ulong(len(extra))
	c.a, c.b, c.c = m.a(), C.ck_ulong(m.MGF), C.ck_ulong(m.Salt)
	c.in, c.in_len, c.out, c.out_len = bytesOf(in), C.ck_ulong(len(in)), bytesOf(result), C.ck_ulong(len(result))
	if fault := C.sr_lanes_put(l.c, c); fault != 0 {
		return C.sr_result{rv: pkcs11.CKR_HOST_MEMORY} // no thread could be started
	}
	<-j.done
	if operation == C.SR_ENCRYPT && !bytes.Equal(m.IV, iv) {
		copy(m.IV, iv)
	}
	copy(out, result)
	return c.result
}
