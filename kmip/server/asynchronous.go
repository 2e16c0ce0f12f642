package server

import (
	"container/list"
	"context"
	"log/slog"
	"sync"
	"time"

	"strongroom/kmip"
)

// Asynchronous operations (KMIP 2.1 §8, §9.2, §11.3). The items of a message that may or must be answered later are a job: the
// message again, performed in the background as its connection would have, by the same functions, through the same door and into
// the same audit. Its answers wait in memory for the client to poll, for a bounded time, and end with the server.

// A promise is an operation that will be answered later, by its Asynchronous Correlation Value.
type promise struct {
	value     [16]byte
	job       *job
	item      int // of its message
	operation kmip.Operation
	asked     time.Time

	// Guarded by the promises' lock.
	stage    kmip.ProcessingStage
	canceled bool
	failed   bool
	skipped  bool      // it was not performed
	told     bool      // its end has been asked for
	answers  []byte    // batch items, without a Unique Batch Item ID; one, or one for each object of an operation that was repeated
	expires  time.Time // when they are forgotten
	kept     *list.Element
}

// An account is what one identity has under way.
type account struct {
	identity   string
	waiting    []*job // not begun
	operations int
	bytes      int // of messages that wait, and of answers
}

// promises are all asynchronous operations of the server. It is safe for concurrent use.
type promises struct {
	limits *Limits
	log    *slog.Logger
	ctx    context.Context // ends when operations must
	cancel context.CancelFunc

	mu         sync.Mutex
	all        map[[16]byte]*promise
	accounts   map[string]*account
	turns      []*account // those with jobs that wait, each once, the next first
	kept       list.List  // of *promise that is kept, the one that expires first in front
	operations int
	bytes      int
	workers    int
	sweeping   bool
	ended      bool

	working sync.WaitGroup // workers
	sweeper sync.WaitGroup
}

// mostWorkers is how many jobs are worked on at once.
const mostWorkers = 16

func newPromises(l *Limits, log *slog.Logger) *promises {
	p := &promises{limits: l, log: log, all: make(map[[16]byte]*promise), accounts: make(map[string]*account)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// overhead is what an operation under way takes, beside its message and its answer, about.
const overhead = 256

// submit takes a job, if there is room for it.
func (p *promises) submit(j *job) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.account(j.conn.identity)
	operations, bytes := len(j.promises), len(j.message)+overhead*len(j.promises)
	l := p.limits
	switch {
	case p.ended:
		return kmip.Errorf(kmip.ResultReasonGeneralFailure, "the server is about to end")
	case a.operations+operations > l.AsynchronousPerIdentity || a.bytes+bytes > l.AsynchronousBytesPerIdentity:
		return kmip.Errorf(kmip.ResultReasonServerLimitExceeded, "%q has %d asynchronous operations under way, of %d bytes: poll for them first", a.identity, a.operations, a.bytes)
	case p.operations+operations > l.AsynchronousOperations || p.bytes+bytes > l.AsynchronousBytes:
		return kmip.Errorf(kmip.ResultReasonServerLimitExceeded, "the server has %d asynchronous operations under way", p.operations)
	}
	j.account = a
	p.accounts[a.identity] = a
	for _, x := range j.promises {
		p.all[x.value] = x
	}
	p.count(a, operations, bytes)
	if a.waiting = append(a.waiting, j); len(a.waiting) == 1 {
		p.turns = append(p.turns, a)
	}
	if p.workers < mostWorkers {
		p.workers++
		p.working.Go(p.work)
	}
	return nil
}

// account is that of an identity, perhaps a new one.
func (p *promises) account(identity string) *account {
	if a := p.accounts[identity]; a != nil {
		return a
	}
	return &account{identity: identity}
}

// count adds to an account; one that has nothing left is forgotten.
func (p *promises) count(a *account, operations, bytes int) {
	a.operations += operations
	a.bytes += bytes
	p.operations += operations
	p.bytes += bytes
	if a.operations == 0 {
		delete(p.accounts, a.identity)
	}
}

// work is a worker: it performs jobs while there are some.
func (p *promises) work() {
	for {
		j := p.next()
		if j == nil {
			return
		}
		j.run()
	}
}

// next takes a job, of one identity after the other.
func (p *promises) next() *job {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.turns) == 0 {
		p.workers--
		return nil
	}
	a := p.turns[0]
	j := a.waiting[0]
	p.withdraw(j)
	return j
}

// withdraw takes a job out of those that wait, and says whether it was one; the lock is held. Its identity's turn comes again
// after all others'.
func (p *promises) withdraw(j *job) bool {
	a, found := j.account, false
	for i, x := range a.waiting {
		if x == j {
			a.waiting, found = append(a.waiting[:i:i], a.waiting[i+1:]...), true
			break
		}
	}
	if !found {
		return false
	}
	for i, x := range p.turns {
		if x == a {
			p.turns = append(p.turns[:i:i], p.turns[i+1:]...)
			break
		}
	}
	if len(a.waiting) > 0 {
		p.turns = append(p.turns, a)
	}
	return true
}

// begin says whether an item of a job is to be performed, and notes that it is.
func (p *promises) begin(x *promise) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x.canceled {
		return errCanceled
	}
	x.stage = kmip.ProcessingStageInProcess
	return nil
}

// errCanceled is what an operation came to that the client canceled.
var errCanceled = kmip.Errorf(kmip.ResultReasonOperationCanceledByRequester, "the operation was canceled")

// keep gives a promise its answers, of which it makes a copy.
func (p *promises) keep(x *promise, answers []byte, failed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x.stage == kmip.ProcessingStageCompleted {
		return // canceled
	}
	p.hold(x, append([]byte(nil), answers...), failed)
}

// hold is keep of answers that are its own; the lock is held. Answers that there is no room for are not kept, which the client
// hears.
func (p *promises) hold(x *promise, answers []byte, failed bool) {
	a := x.job.account
	if a.bytes+len(answers) > p.limits.AsynchronousBytesPerIdentity || p.bytes+len(answers) > p.limits.AsynchronousBytes {
		clear(answers)
		err := kmip.Errorf(kmip.ResultReasonResponseTooLarge, "the answer of %d bytes was not kept: %q has %d bytes of them", len(answers), a.identity, a.bytes)
		answers, failed = x.job.refused(x, err), true
	}
	x.stage, x.answers, x.failed = kmip.ProcessingStageCompleted, answers, failed
	x.expires = time.Now().Add(p.limits.AsynchronousKeep)
	x.kept = p.kept.PushBack(x)
	p.count(a, 0, len(answers))
	if !p.sweeping && !p.ended {
		p.sweeping = true
		p.sweeper.Go(p.sweep)
	}
}

// drop forgets a promise; the lock is held.
func (p *promises) drop(x *promise) {
	if p.all[x.value] != x {
		return
	}
	delete(p.all, x.value)
	p.kept.Remove(x.kept)
	p.count(x.job.account, -1, -overhead-len(x.answers))
	clear(x.answers)
}

// forget is drop.
func (p *promises) forget(x *promise) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(x)
}

// sweep forgets what nobody has asked for in time, until there is nothing left to forget.
func (p *promises) sweep() {
	for {
		wait, more := p.expire()
		if !more {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-p.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// expire forgets what is to be forgotten by now, and says how long there is until the next.
func (p *promises) expire() (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.kept.Front(); e != nil; e = p.kept.Front() {
		x := e.Value.(*promise)
		if wait := time.Until(x.expires); wait > 0 {
			return wait, true
		}
		p.drop(x)
	}
	p.sweeping = false
	return 0, false
}

// end cancels what has not begun and waits for what has, until ctx ends: then that is cut short. What nobody has polled for is
// lost.
func (p *promises) end(ctx context.Context) {
	p.mu.Lock()
	p.ended = true
	var waiting []*job
	for _, a := range p.accounts {
		waiting = append(waiting, a.waiting...)
		a.waiting = nil
	}
	p.turns = nil
	p.mu.Unlock()
	for _, j := range waiting {
		j.giveUp(kmip.Errorf(kmip.ResultReasonGeneralFailure, "the server ended before the operation began"))
	}
	stop := context.AfterFunc(ctx, p.cancel)
	p.working.Wait()
	stop()
	p.cancel()
	p.sweeper.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) > 0 {
		p.log.Info("asynchronous operations ended with the server", "canceled", len(waiting), "not_polled", len(p.all))
	}
	for _, x := range p.all {
		clear(x.answers)
	}
}
