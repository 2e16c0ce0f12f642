package hsm

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"syscall"
)

// workerSocket is the descriptor that a worker process inherits.
const workerSocket = 3

// Work is the whole of a worker process: it loads the library of m, whose variables it sets, and makes the calls that the
// server asks for over the socket that it inherited, until the server closes it. It has the PINs of m's slots, so that the
// server does not need them.
func Work(m Module) error {
	if _, err := syscall.GetsockoptInt(workerSocket, syscall.SOL_SOCKET, syscall.SO_TYPE); err != nil {
		return fmt.Errorf("a worker process is started by the server only: %w", err)
	}
	if err := environment([]Module{m}); err != nil {
		return err
	}
	lib, broken := openLibrary(m.Library, &m)
	// A call keeps the processor of Go's scheduler that it was made on for a while. Where calls of a device keep all of them, nobody
	// looks at the socket in that time, which is up to 10 ms.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + m.sessions())
	c, rest, err := newCrew(lib, workerSocket)
	if err != nil {
		return err
	}
	defer rest.Close()
	defer c.wait()
	w := &worker{module: m, lib: lib, broken: broken, answers: postbox{to: c}}
	return w.serve(rest)
}

// A worker makes calls for a server: those that its crew leaves to it.
type worker struct {
	module  Module
	lib     cryptoki
	broken  error // why there is no library
	answers postbox
}

// serve makes each call in a goroutine of its own: the server sees to it that a session has one at a time.
func (w *worker) serve(from io.Reader) error {
	var calls sync.WaitGroup
	defer calls.Wait()
	incoming := newMailbox(from)
	for {
		number, r, err := incoming.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		calls.Go(func() {
			answer := w.answer(number, r)
			_ = w.answers.send(answer.end()) // a server that is gone needs none
		})
	}
}

// answer makes one call, and wipes what it came with.
func (w *worker) answer(number uint32, r *reading) writing {
	defer clear(r.b)
	f := function(r.byte())
	a := r.arguments(f)
	var results writing
	err := w.broken
	switch {
	case r.torn || len(r.b) > 0:
		err = errTorn
	case err == nil:
		results, err = w.call(f, a)
	}
	out := begin(number)
	out.error(err)
	if err == nil {
		out = append(out, results...)
	}
	clear(results)
	return out
}

// Arguments are those of any function; each has some of them.
type arguments struct {
	session          session
	number           uint // a slot, a mechanism or a bound
	object, other    handle
	mechanism        *mechanism
	data             []byte
	template, second template
	types            []uint
	room             int
}

// arguments reads those of a function, in the order in which remote writes them. The functions of a crew are not among them: one
// that comes here is torn.
func (r *reading) arguments(f function) (a arguments) {
	switch f {
	case fnInitialize, fnFinalize, fnInfo, fnSlots, fnCalls:
		return a
	case fnTokenInfo, fnMechanisms, fnOpenSession:
		a.number = r.uint()
		return a
	}
	a.session = session(r.uint())
	switch f {
	case fnCloseSession, fnState:
	case fnLogin:
		a.number = r.uint()
	case fnRandom:
		a.room = r.room()
	case fnSeedRandom:
		a.data = r.bytes()
	case fnDestroy:
		a.object = handle(r.uint())
	case fnCreate:
		a.template = r.template()
	case fnGenerate:
		a.number, a.template = r.uint(), r.template()
	case fnGeneratePair:
		a.number, a.template, a.second = r.uint(), r.template(), r.template()
	case fnFind:
		a.template, a.room = r.template(), r.room()
	case fnAttributes:
		a.object, a.types = handle(r.uint()), r.uints()
	case fnWrap:
		a.mechanism, a.object, a.other, a.room = r.mechanism(), handle(r.uint()), handle(r.uint()), r.room()
	case fnUnwrap:
		a.mechanism, a.object, a.data, a.template = r.mechanism(), handle(r.uint()), r.bytes(), r.template()
	default:
		r.torn = true
	}
	return a
}

// call makes a call and writes its results.
func (w *worker) call(f function, a arguments) (out writing, err error) {
	switch f {
	case fnInitialize:
		return nil, w.lib.initialize()
	case fnFinalize:
		return nil, w.lib.finalize()
	case fnInfo:
		i, err := w.lib.info()
		out.bytes([]byte(i.Manufacturer))
		out.bytes([]byte(i.Description))
		return append(out, i.Major, i.Minor, i.CryptokiMajor, i.CryptokiMinor), err
	case fnSlots:
		ids, err := w.lib.slots()
		return numbers(ids), err
	case fnCalls:
		symmetric, private, err := w.lib.calls()
		return numbers([]uint{symmetric, private}), err
	case fnTokenInfo:
		t, err := w.lib.tokenInfo(a.number)
		for _, text := range []string{t.Label, t.Manufacturer, t.Model, t.Serial} {
			out.bytes([]byte(text))
		}
		for _, n := range []uint{t.Flags, t.MaxSessions, t.MaxReadWrite} {
			out.uint(n)
		}
		return append(out, t.HardwareMajor, t.HardwareMinor, t.FirmwareMajor, t.FirmwareMinor), err
	case fnMechanisms:
		all, err := w.lib.mechanisms(a.number)
		return numbers(all), err
	case fnOpenSession:
		s, err := w.lib.openSession(a.number)
		return one(handle(s), err)
	}
	return w.inSession(f, a)
}

// inSession is call for the functions around objects.
func (w *worker) inSession(f function, a arguments) (out writing, err error) {
	s := a.session
	switch f {
	case fnCloseSession:
		return nil, w.lib.closeSession(s)
	case fnState:
		n, err := w.lib.state(s)
		return one(handle(n), err)
	case fnLogin:
		slot, err := w.slot(uint32(a.number))
		if err != nil {
			return nil, err
		}
		return nil, w.lib.login(s, slot)
	case fnRandom:
		b := make([]byte, a.room)
		err := w.lib.random(s, b)
		return b, err
	case fnSeedRandom:
		return nil, w.lib.seedRandom(s, a.data)
	case fnDestroy:
		return nil, w.lib.destroy(s, a.object)
	case fnCreate:
		return one(w.lib.create(s, a.template))
	case fnGenerate:
		return one(w.lib.generate(s, a.number, a.template))
	case fnGeneratePair:
		public, private, err := w.lib.generatePair(s, a.number, a.template, a.second)
		return numbers([]handle{public, private}), err
	case fnFind:
		handles, err := w.lib.find(s, a.template, a.room)
		return numbers(handles), err
	case fnAttributes:
		t, err := w.lib.attributes(s, a.object, a.types)
		out.template(t)
		for _, x := range t {
			clear(x.Value)
		}
		return out, err
	case fnWrap:
		return w.wrap(a)
	}
	return one(w.lib.unwrap(s, a.mechanism, a.object, a.data, a.template))
}

// wrap is call for the function that answers bytes, and the IV as the token left it, as those of the crew do.
func (w *worker) wrap(a arguments) (out writing, err error) {
	result, err := w.lib.wrap(a.session, a.mechanism, a.object, a.other, a.room)
	out.bytes(result)
	out.bytes(a.mechanism.IV)
	clear(result)
	return out, err
}

// slot is the slot of that number, whose PIN is here.
func (w *worker) slot(number uint32) (*Slot, error) {
	for i := range w.module.Slots {
		if w.module.Slots[i].Number == number {
			return &w.module.Slots[i], nil
		}
	}
	return nil, fmt.Errorf("the worker process knows no slot %d", number)
}

// numbers writes a list.
func numbers[N ~uint](all []N) (out writing) {
	out.uint(uint(len(all)))
	for _, n := range all {
		out.uint(uint(n))
	}
	return out
}

// one writes a handle.
func one(h handle, err error) (writing, error) {
	var out writing
	out.uint(uint(h))
	return out, err
}
