package hsm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/miekg/pkcs11"
)

// A remote is a module in a worker process: a library that crashes takes that down, not the server, and one whose call
// hangs is killed. initialize starts the process, and finalize ends it; a call that finds none answers
// CKR_CRYPTOKI_NOT_INITIALIZED, which makes the supervisor initialize again. All methods are safe for concurrent use.
type remote struct {
	command func() *exec.Cmd
	limit   func(function) time.Duration // of a call
	log     *slog.Logger
	starts  atomic.Uint64 // of worker processes

	mu     sync.Mutex
	worker *workerProcess // nil: none runs
}

// longCalls is how many times the limit calls may take that make keys: an HSM may look for primes for a minute.
const longCalls = 6

// endLimit is how long a worker process has for C_Finalize, with which others wait, and then to end.
const endLimit = 2 * time.Second

// callLimit gives the limits of all calls.
func callLimit(usual time.Duration) func(function) time.Duration {
	return func(f function) time.Duration {
		switch f {
		case fnGenerate, fnGeneratePair:
			return longCalls * usual
		case fnFinalize:
			return min(usual, endLimit)
		}
		return usual
	}
}

// A workerGone is the error of the calls that were under way when a worker process ended: each may have happened or not.
type workerGone struct{ why error }

func (e *workerGone) Error() string { return fmt.Sprintf("the HSM's worker process ended: %v", e.why) }

func (e *workerGone) Unwrap() error { return e.why }

// A workerProcess is one life of a worker.
type workerProcess struct {
	cmd     *exec.Cmd
	socket  net.Conn
	calls   postbox
	answers chan struct{} // closed when the reader has ended
	exited  chan struct{} // closed when the process is gone

	mu      sync.Mutex
	next    uint32
	pending map[uint32]pendingCall
	watch   *time.Timer // runs overdue at due, when calls are under way: one for all, as most calls end long before
	due     time.Time
	gone    error // why it ended; no call is taken any more
}

// A pendingCall waits for its answer, which is nil when the process ended.
type pendingCall struct {
	answer chan *reading
	limit  time.Duration
	end    time.Time // of the limit
}

// start runs a worker process.
func (r *remote) start() (*workerProcess, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "worker"), os.NewFile(uintptr(pair[1]), "server")
	defer theirs.Close()
	socket, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	cmd := r.command()
	cmd.ExtraFiles = []*os.File{theirs}
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	p := &workerProcess{cmd: cmd, socket: socket, calls: postbox{to: socket}, pending: map[uint32]pendingCall{},
		answers: make(chan struct{}), exited: make(chan struct{})}
	p.watch = time.AfterFunc(time.Hour, p.overdue)
	p.watch.Stop()
	begun := make(chan error, 1)
	go p.live(begun)
	if err := <-begun; err != nil {
		socket.Close()
		return nil, fmt.Errorf("starting a worker process: %w", err)
	}
	go p.read()
	r.starts.Add(1)
	r.log.Info("worker process started", "command", cmd.Path, "pid", cmd.Process.Pid)
	return p, nil
}

// live starts the process and waits for its end, on one thread: the kernel sends the signal of a parent's death when the
// thread that started the child ends.
func (p *workerProcess) live(begun chan<- error) {
	runtime.LockOSThread()
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := p.cmd.Start()
	begun <- err
	if err != nil {
		return
	}
	err = p.cmd.Wait()
	if err == nil {
		err = errors.New("exit status 0")
	}
	p.end(err)
	<-p.answers
	close(p.exited)
}

// end fails what is under way, and all later calls.
func (p *workerProcess) end(why error) {
	p.mu.Lock()
	if p.gone == nil {
		p.gone = &workerGone{why}
	}
	pending := p.pending
	p.pending = nil
	p.watch.Stop()
	p.mu.Unlock()
	for _, c := range pending {
		c.answer <- nil
	}
	p.socket.Close()
}

// kill ends the process.
func (p *workerProcess) kill(why error) {
	p.mu.Lock()
	if p.gone == nil {
		p.gone = &workerGone{why}
	}
	p.mu.Unlock()
	_ = p.cmd.Process.Kill()
	p.end(why)
}

// read hands out the answers.
func (p *workerProcess) read() {
	defer close(p.answers)
	incoming := newMailbox(p.socket)
	for {
		number, r, err := incoming.next()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				p.kill(err)
			}
			return // the process has ended or ends, which says more
		}
		p.mu.Lock()
		c, waits := p.pending[number]
		delete(p.pending, number)
		p.mu.Unlock()
		if waits {
			c.answer <- r
		}
	}
}

// overdue kills the process when a call has outlived its limit, and else sees to it that it runs again when the next may have.
func (p *workerProcess) overdue() {
	p.mu.Lock()
	now := time.Now()
	p.due = time.Time{}
	for _, c := range p.pending {
		if !now.Before(c.end) {
			p.mu.Unlock()
			p.kill(fmt.Errorf("a call took longer than %v, and it was killed", c.limit))
			return
		}
		if p.due.IsZero() || c.end.Before(p.due) {
			p.due = c.end
		}
	}
	if !p.due.IsZero() {
		p.watch.Reset(p.due.Sub(now))
	}
	p.mu.Unlock()
}

// answers are channels for pendingCall that wait for another call; each is empty.
var answers = sync.Pool{New: func() any { return make(chan *reading, 1) }}

// expect has the process's answer to a call of that number sent to a channel, or nil.
func (p *workerProcess) expect(limit time.Duration, answer chan *reading) (number uint32, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone != nil {
		return 0, ckError{rv: pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED}
	}
	p.next++
	end := time.Now().Add(limit)
	p.pending[p.next] = pendingCall{answer, limit, end}
	if p.due.IsZero() || end.Before(p.due) {
		p.due = end
		p.watch.Reset(limit)
	}
	return p.next, nil
}

// call makes one call and waits for its answer, or until the limit, when the process is killed.
func (p *workerProcess) call(limit time.Duration, f function, arguments func(*writing)) (*reading, error) {
	answer := answers.Get().(chan *reading)
	defer answers.Put(answer)
	number, err := p.expect(limit, answer)
	if err != nil {
		return nil, err
	}
	w := begin(number)
	w = append(w, byte(f))
	if arguments != nil {
		arguments(&w)
	}
	_ = p.calls.send(w.end()) // of a process that ends, which the reader sees
	if r := <-answer; r != nil {
		return r, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return nil, p.gone
}

// current is the worker process, if one runs.
func (r *remote) current() *workerProcess {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.worker
}

// call makes a call; results, if not nil, reads what it answered.
func (r *remote) call(f function, arguments func(*writing), results func(*reading)) error {
	p := r.current()
	if p == nil {
		return ckError{rv: pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED}
	}
	a, err := p.call(r.limit(f), f, arguments)
	if err != nil {
		return err
	}
	if err := a.error(); err != nil {
		return err
	}
	if results != nil {
		results(a)
	}
	if a.torn {
		return errTorn
	}
	return nil
}

// initialize starts a worker process, in place of one that may be there, and has it call C_Initialize.
func (r *remote) initialize() error {
	if err := r.finalize(); err != nil && !is(err, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		return err
	}
	p, err := r.start()
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.worker = p
	r.mu.Unlock()
	if err = r.call(fnInitialize, nil, nil); err != nil {
		r.drop(p)
	}
	return err
}

// drop ends a worker process that was of no use.
func (r *remote) drop(p *workerProcess) {
	r.mu.Lock()
	r.worker = nil
	r.mu.Unlock()
	r.bury(p, "it could not be initialized")
}

// bury kills a process and waits for its end. One that the kernel does not let go, for a driver hangs, is left behind.
func (r *remote) bury(p *workerProcess, why string) {
	p.kill(errors.New(why))
	select {
	case <-p.exited:
	case <-time.After(endLimit):
		r.log.Error("worker process was killed, and does not end", "pid", p.cmd.Process.Pid)
	}
}

// finalize has the worker process call C_Finalize, and ends it.
func (r *remote) finalize() error {
	p := r.current()
	if p == nil {
		return ckError{rv: pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED}
	}
	err := r.call(fnFinalize, nil, nil)
	r.mu.Lock()
	r.worker = nil
	r.mu.Unlock()
	p.mu.Lock()
	crashed := p.gone
	if crashed == nil {
		p.gone = &workerGone{errors.New("finalized")}
	}
	p.mu.Unlock()
	if crashed != nil {
		r.log.Error("worker process ended", "pid", p.cmd.Process.Pid, "error", crashed)
		err = nil // it is as finalized as it can be
	}
	p.socket.Close()
	select {
	case <-p.exited:
	case <-time.After(endLimit):
		r.bury(p, "it did not end by itself")
	}
	return err
}

func (r *remote) info() (i libraryInfo, err error) {
	err = r.call(fnInfo, nil, func(a *reading) {
		i = libraryInfo{string(a.bytes()), string(a.bytes()), a.byte(), a.byte(), a.byte(), a.byte()}
	})
	return i, err
}

func (r *remote) slots() (ids []uint, err error) {
	err = r.call(fnSlots, nil, func(a *reading) { ids = a.uints() })
	return ids, err
}

func (r *remote) calls() (symmetric, private uint, err error) {
	err = r.call(fnCalls, nil, func(a *reading) {
		if both := a.uints(); len(both) == 2 {
			symmetric, private = both[0], both[1]
		} else {
			a.torn = true
		}
	})
	return symmetric, private, err
}

func (r *remote) tokenInfo(slot uint) (t tokenInfo, err error) {
	err = r.call(fnTokenInfo, func(w *writing) { w.uint(slot) }, func(a *reading) {
		t = tokenInfo{Label: string(a.bytes()), Manufacturer: string(a.bytes()), Model: string(a.bytes()), Serial: string(a.bytes()),
			Flags: a.uint(), MaxSessions: a.uint(), MaxReadWrite: a.uint(),
			HardwareMajor: a.byte(), HardwareMinor: a.byte(), FirmwareMajor: a.byte(), FirmwareMinor: a.byte()}
	})
	return t, err
}

func (r *remote) mechanisms(slot uint) (all []uint, err error) {
	err = r.call(fnMechanisms, func(w *writing) { w.uint(slot) }, func(a *reading) { all = a.uints() })
	return all, err
}

func (r *remote) openSession(slot uint) (s session, err error) {
	err = r.call(fnOpenSession, func(w *writing) { w.uint(slot) }, func(a *reading) { s = session(a.uint()) })
	return s, err
}

// in begins the arguments of a call in a session.
func in(s session, more ...uint) func(*writing) {
	return func(w *writing) {
		w.uint(uint(s))
		for _, n := range more {
			w.uint(n)
		}
	}
}

func (r *remote) closeSession(s session) error { return r.call(fnCloseSession, in(s), nil) }

func (r *remote) state(s session) (n uint, err error) {
	err = r.call(fnState, in(s), func(a *reading) { n = a.uint() })
	return n, err
}

// login leaves the PIN to the worker process.
func (r *remote) login(s session, slot *Slot) error {
	return r.call(fnLogin, in(s, uint(slot.Number)), nil)
}

func (r *remote) random(s session, out []byte) error {
	return r.call(fnRandom, in(s, uint(len(out))), func(a *reading) {
		copy(out, a.take(len(out)))
		clear(a.b)
	})
}

func (r *remote) seedRandom(s session, data []byte) error {
	return r.call(fnSeedRandom, func(w *writing) { w.uint(uint(s)); w.bytes(data) }, nil)
}

func (r *remote) destroy(s session, object handle) error {
	return r.call(fnDestroy, in(s, uint(object)), nil)
}

// made is a call that answers a handle.
func (r *remote) made(f function, arguments func(*writing)) (h handle, err error) {
	err = r.call(f, arguments, func(a *reading) { h = handle(a.uint()) })
	return h, err
}

func (r *remote) create(s session, t template) (handle, error) {
	return r.made(fnCreate, func(w *writing) {
		w.uint(uint(s))
		w.template(t)
	})
}

func (r *remote) generate(s session, mechanism uint, t template) (handle, error) {
	return r.made(fnGenerate, func(w *writing) {
		w.uint(uint(s))
		w.uint(mechanism)
		w.template(t)
	})
}

func (r *remote) generatePair(s session, mechanism uint, public, private template) (publicKey, privateKey handle, err error) {
	err = r.call(fnGeneratePair, func(w *writing) {
		w.uint(uint(s))
		w.uint(mechanism)
		w.template(public)
		w.template(private)
	}, func(a *reading) {
		if both := a.uints(); len(both) == 2 {
			publicKey, privateKey = handle(both[0]), handle(both[1])
		} else {
			a.torn = true
		}
	})
	return publicKey, privateKey, err
}

func (r *remote) find(s session, t template, most int) (all []handle, err error) {
	err = r.call(fnFind, func(w *writing) {
		w.uint(uint(s))
		w.template(t)
		w.uint(uint(most))
	}, func(a *reading) {
		for _, n := range a.uints() {
			all = append(all, handle(n))
		}
	})
	return all, err
}

func (r *remote) attributes(s session, object handle, types []uint) (t template, err error) {
	err = r.call(fnAttributes, func(w *writing) {
		w.uint(uint(s))
		w.uint(uint(object))
		*w = append(*w, numbers(types)...)
	}, func(a *reading) { t = a.template() })
	return t, err
}

// operate is a call that answers bytes, which are the caller's to wipe, and may write another IV into m.
func (r *remote) operate(f function, s session, m *mechanism, key handle, more func(*writing)) (out []byte, err error) {
	err = r.call(f, func(w *writing) {
		w.uint(uint(s))
		w.mechanism(m)
		w.uint(uint(key))
		more(w)
	}, func(a *reading) {
		out = a.bytes()
		if iv := a.bytes(); f == fnEncrypt && !bytes.Equal(m.IV, iv) {
			copy(m.IV, iv)
		}
	})
	return out, err
}

// data is the arguments data and room.
func data(b []byte, room int) func(*writing) {
	return func(w *writing) {
		w.bytes(b)
		w.uint(uint(room))
	}
}

func (r *remote) encrypt(s session, m *mechanism, key handle, b []byte, room int) ([]byte, error) {
	return r.operate(fnEncrypt, s, m, key, data(b, room))
}

func (r *remote) decrypt(s session, m *mechanism, key handle, b []byte, room int) ([]byte, error) {
	return r.operate(fnDecrypt, s, m, key, data(b, room))
}

func (r *remote) sign(s session, m *mechanism, key handle, b []byte, room int) ([]byte, error) {
	return r.operate(fnSign, s, m, key, data(b, room))
}

func (r *remote) wrap(s session, m *mechanism, wrapping, key handle, room int) ([]byte, error) {
	return r.operate(fnWrap, s, m, wrapping, func(w *writing) {
		w.uint(uint(key))
		w.uint(uint(room))
	})
}

func (r *remote) unwrap(s session, m *mechanism, unwrapping handle, wrapped []byte, t template) (handle, error) {
	return r.made(fnUnwrap, func(w *writing) {
		w.uint(uint(s))
		w.mechanism(m)
		w.uint(uint(unwrapping))
		w.bytes(wrapped)
		w.template(t)
	})
}
