package hsm

/*
#cgo linux LDFLAGS: -ldl
#cgo noescape sr_random
#cgo nocallback sr_random
#cgo noescape sr_slow
#cgo nocallback sr_slow
#include <stdlib.h>
#include "lanes.h"
*/
import "C"

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// A library is a module loaded into this process. It is never unloaded: threads that a vendor's library started would go on
// without their code.
type library struct {
	functions  unsafe.Pointer // C memory
	parameters *C.char        // for C_Initialize; nil, or C memory that is never freed, for the module may keep it

	// Operations with symmetric keys, and those with private keys, which take a hundred times as long and would hold them up.
	quick, slow *lanes
}

// openLibrary loads a module's library, which is at path.
func openLibrary(path string, m *Module) (*library, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var why [512]C.char
	var rv C.ck_ulong
	f := C.sr_open(name, &why[0], C.ck_ulong(len(why)), &rv)
	switch {
	case f != nil:
		return newLibrary(f, m)
	case rv != 0:
		return nil, fmt.Errorf("%s: C_GetFunctionList: %w", path, ckError{rv: uint(rv)})
	}
	return nil, errors.New(C.GoString(&why[0]))
}

func newLibrary(functions unsafe.Pointer, m *Module) (*library, error) {
	cores := runtime.GOMAXPROCS(0)
	few := func(n int) int { return cmp.Or(m.CallsAtOnce, n) }
	many := cmp.Or(m.CallsAtOnce, m.sessions())
	quick, err := newLanes(few(max(1, cores/2)), many)
	if err != nil {
		return nil, err
	}
	slow, err := newLanes(few(cores), many)
	l := &library{functions: functions, quick: quick, slow: slow}
	if m.Parameters != "" {
		l.parameters = C.CString(m.Parameters)
	}
	return l, err
}

func (l *library) calls() (symmetric, private uint, err error) {
	return l.quick.most(), l.slow.most(), nil
}

// check makes an error of a return value.
func check(rv C.ck_ulong) error {
	if rv == 0 {
		return nil
	}
	return ckError{rv: uint(rv)}
}

func (l *library) initialize() error { return check(C.sr_initialize(l.functions, l.parameters)) }

func (l *library) finalize() error { return check(C.sr_finalize(l.functions)) }

func (l *library) info() (libraryInfo, error) {
	var text [64]byte
	var version [4]byte
	if err := check(C.sr_info(l.functions, bytesOf(text[:]), bytesOf(version[:]))); err != nil {
		return libraryInfo{}, err
	}
	return libraryInfo{padded(text[:32]), padded(text[32:]), version[0], version[1], version[2], version[3]}, nil
}

// padded is text that is padded with blanks, or as some tokens do with zeros.
func padded(b []byte) string { return strings.TrimRight(strings.ToValidUTF8(string(b), "?"), " \x00") }

// list calls a function that fills an array, with more room until it has enough.
func list(f func(first *C.ck_ulong, max C.ck_ulong) C.sr_result) ([]uint, error) {
	for room := 64; ; room *= 4 {
		array := make([]C.ck_ulong, room)
		r := f(&array[0], C.ck_ulong(room))
		if uint(r.rv) == pkcs11.CKR_BUFFER_TOO_SMALL && room < 1<<16 {
			continue
		}
		if err := check(r.rv); err != nil {
			return nil, err
		}
		all := make([]uint, min(int(r.n), room))
		for i := range all {
			all[i] = uint(array[i])
		}
		return all, nil
	}
}

func (l *library) slots() ([]uint, error) {
	return list(func(first *C.ck_ulong, max C.ck_ulong) C.sr_result { return C.sr_slots(l.functions, first, max) })
}

func (l *library) mechanisms(slot uint) ([]uint, error) {
	return list(func(first *C.ck_ulong, max C.ck_ulong) C.sr_result {
		return C.sr_mechanisms(l.functions, C.ck_ulong(slot), first, max)
	})
}

func (l *library) tokenInfo(slot uint) (tokenInfo, error) {
	var text [96]byte
	var numbers [3]C.ck_ulong
	var v [4]byte
	if err := check(C.sr_token_info(l.functions, C.ck_ulong(slot), bytesOf(text[:]), &numbers[0], bytesOf(v[:]))); err != nil {
		return tokenInfo{}, err
	}
	return tokenInfo{
		Label: padded(text[:32]), Manufacturer: padded(text[32:64]), Model: padded(text[64:80]), Serial: padded(text[80:]),
		Flags: uint(numbers[0]), MaxSessions: known(numbers[1]), MaxReadWrite: known(numbers[2]),
		HardwareMajor: v[0], HardwareMinor: v[1], FirmwareMajor: v[2], FirmwareMinor: v[3],
	}, nil
}

// known is a number that a token may leave open.
func known(n C.ck_ulong) uint {
	if uint(n) == ckULongMax {
		return 0
	}
	return uint(n)
}

func (l *library) openSession(slot uint) (session, error) {
	r := C.sr_open_session(l.functions, C.ck_ulong(slot))
	return session(r.n), check(r.rv)
}

func (l *library) closeSession(s session) error {
	return check(C.sr_close_session(l.functions, C.ck_ulong(s)))
}

func (l *library) state(s session) (uint, error) {
	r := C.sr_session_state(l.functions, C.ck_ulong(s))
	return uint(r.n), check(r.rv)
}

func (l *library) login(s session, slot *Slot) error {
	if slot.PIN == nil {
		return errNoPIN
	}
	pin, err := slot.PIN()
	if err != nil {
		return err
	}
	defer clear(pin)
	return check(C.sr_login(l.functions, C.ck_ulong(s), bytesOf(pin), C.ck_ulong(len(pin))))
}

var errNoPIN = errors.New("no PIN is configured")

func (l *library) random(s session, out []byte) error {
	return check(C.sr_random(l.functions, C.ck_ulong(s), bytesOf(out), C.ck_ulong(len(out))))
}

func (l *library) seedRandom(s session, data []byte) error {
	return check(C.sr_seed_random(l.functions, C.ck_ulong(s), bytesOf(data), C.ck_ulong(len(data))))
}

func (l *library) destroy(s session, object handle) error {
	return check(C.sr_destroy(l.functions, C.ck_ulong(s), C.ck_ulong(object)))
}

func (l *library) find(s session, t template, most int) ([]handle, error) {
	p := pack(t)
	defer p.clear()
	for room := min(64, most); ; room = min(4*room, most) {
		array := make([]C.ck_ulong, room)
		r := C.sr_find(l.functions, C.ck_ulong(s), p.first, p.sizes, p.count, p.values, &array[0], C.ck_ulong(room))
		if err := check(r.rv); err != nil {
			return nil, err
		}
		if int(r.n) == room && room < most {
			continue
		}
		all := make([]handle, int(r.n))
		for i := range all {
			all[i] = handle(array[i])
		}
		return all, nil
	}
}

func (l *library) attributes(s session, object handle, types []uint) (template, error) {
	want := make([]C.ck_ulong, len(types))
	for i, t := range types {
		want[i] = C.ck_ulong(t)
	}
	sizes := make([]C.ck_ulong, len(types))
	for room := 2048; ; {
		values := make([]byte, room)
		r := C.sr_attributes(l.functions, C.ck_ulong(s), C.ck_ulong(object), &want[0], &sizes[0], C.ck_ulong(len(want)),
			bytesOf(values), C.ck_ulong(room))
		if uint(r.rv) == pkcs11.CKR_BUFFER_TOO_SMALL && int(r.n) > room && room < 1<<20 {
			room = 2*int(r.n) + 2048
			continue
		}
		if err := check(r.rv); err != nil {
			return nil, err
		}
		return unpack(types, sizes, values), nil
	}
}

// unpack cuts the values that sr_attributes wrote.
func unpack(types []uint, sizes []C.ck_ulong, values []byte) template {
	t := make(template, 0, len(types))
	at := 0
	for i, size := range sizes {
		if uint(size) == ckULongMax {
			continue
		}
		end := at + int(size)
		t = append(t, attribute{types[i], values[at:end:end]})
		at = eight(end)
	}
	return t
}

func (l *library) create(s session, t template) (handle, error) {
	p := pack(t)
	defer p.clear()
	r := C.sr_create(l.functions, C.ck_ulong(s), p.first, p.sizes, p.count, p.values)
	return handle(r.n), check(r.rv)
}

func (l *library) generate(s session, mechanism uint, t template) (handle, error) {
	p := pack(t)
	r := C.sr_generate(l.functions, C.ck_ulong(s), C.ck_ulong(mechanism), p.first, p.sizes, p.count, p.values)
	return handle(r.n), check(r.rv)
}

func (l *library) generatePair(s session, mechanism uint, public, private template) (publicKey, privateKey handle, err error) {
	pub, priv := pack(public), pack(private)
	var h C.ck_ulong
	r := C.sr_generate_pair(l.functions, C.ck_ulong(s), C.ck_ulong(mechanism), pub.first, pub.sizes, pub.count, pub.values,
		priv.first, priv.sizes, priv.count, priv.values, &h)
	return handle(h), handle(r.n), check(r.rv)
}

func (l *library) encrypt(s session, m *mechanism, key handle, data []byte, room int) ([]byte, error) {
	return l.operate(C.SR_ENCRYPT, s, m, key, data, room)
}

func (l *library) decrypt(s session, m *mechanism, key handle, data []byte, room int) ([]byte, error) {
	return l.operate(C.SR_DECRYPT, s, m, key, data, room)
}

func (l *library) sign(s session, m *mechanism, key handle, data []byte, room int) ([]byte, error) {
	return l.operate(C.SR_SIGN, s, m, key, data, room)
}

// operate runs one operation into a buffer of room bytes, or once more into the one that the token asks for. What a failed
// operation left in the buffer is cleared, and so is what lies behind the result.
func (l *library) operate(operation C.int, s session, m *mechanism, key handle, data []byte, room int) ([]byte, error) {
	resume := C.int(0)
	for {
		out := make([]byte, room)
		r := l.lanes(m.Type).operate(l.functions, operation, resume, s, m, key, data, out)
		n := int(r.n)
		if r.rv == 0 && n >= 0 && n <= room {
			clear(out[n:])
			return out[:n:n], nil
		}
		clear(out)
		if uint(r.rv) == pkcs11.CKR_BUFFER_TOO_SMALL && resume == 0 && n > room && n <= room+len(data)+1<<16 {
			room, resume = n, 1
			continue
		}
		return nil, failed(r)
	}
}

// lanes are those for a mechanism.
func (l *library) lanes(mechanism uint) *lanes {
	if C.sr_slow(C.ck_ulong(mechanism)) != 0 {
		return l.slow
	}
	return l.quick
}

func (l *library) wrap(s session, m *mechanism, wrapping, key handle, room int) ([]byte, error) {
	for grown := false; ; grown = true {
		out := make([]byte, room)
		r := C.sr_wrap(l.functions, C.ck_ulong(s), C.ck_ulong(m.Type), kinds[m.Parameter],
			bytesOf(m.IV), C.ck_ulong(len(m.IV)), bytesOf(m.Extra), C.ck_ulong(len(m.Extra)),
			m.a(), C.ck_ulong(m.MGF), C.ck_ulong(m.Salt),
			C.ck_ulong(wrapping), C.ck_ulong(key), bytesOf(out), C.ck_ulong(room))
		n := int(r.n)
		if r.rv == 0 && n >= 0 && n <= room {
			return out[:n:n], nil
		}
		if uint(r.rv) != pkcs11.CKR_BUFFER_TOO_SMALL || grown || n <= room || n > 1<<20 {
			return nil, failed(r)
		}
		room = n
	}
}

func (l *library) unwrap(s session, m *mechanism, unwrapping handle, wrapped []byte, t template) (handle, error) {
	p := pack(t)
	r := C.sr_unwrap(l.functions, C.ck_ulong(s), C.ck_ulong(m.Type), kinds[m.Parameter],
		bytesOf(m.IV), C.ck_ulong(len(m.IV)), bytesOf(m.Extra), C.ck_ulong(len(m.Extra)),
		m.a(), C.ck_ulong(m.MGF), C.ck_ulong(m.Salt),
		C.ck_ulong(unwrapping), bytesOf(wrapped), C.ck_ulong(len(wrapped)), p.first, p.sizes, p.count, p.values)
	if r.rv != 0 {
		// There is no Init step: what says nothing is taken for the data's fault.
		return 0, ckError{rv: uint(r.rv), begun: meaning(uint(r.rv)) == faultVague}
	}
	return handle(r.n), nil
}

// failed makes the error of a two-step operation. A success that claims more bytes than there is room for is none.
func failed(r C.sr_result) error {
	if r.rv == 0 {
		return ckError{rv: pkcs11.CKR_GENERAL_ERROR, begun: true}
	}
	return ckError{rv: uint(r.rv), begun: r.begun != 0}
}

// kinds gives the C name of each kind of parameter.
var kinds = [...]C.int{
	parameterNone: C.SR_PLAIN, parameterIV: C.SR_IV, parameterGCM: C.SR_GCM, parameterCTR: C.SR_CTR,
	parameterOAEP: C.SR_OAEP, parameterPSS: C.SR_PSS,
}

// a is the first number of the parameter.
func (m *mechanism) a() C.ck_ulong {
	switch m.Parameter {
	case parameterGCM, parameterCTR:
		return 128 // bits of tag, of counter
	}
	return C.ck_ulong(m.Hash)
}

// bytesOf is the address of a slice's bytes, which C may use until the call returns.
func bytesOf(b []byte) *C.ck_byte { return (*C.ck_byte)(unsafe.SliceData(b)) }

// A packed template is the pieces that C makes a template of.
type packed struct {
	first, sizes *C.ck_ulong
	count        C.ck_ulong
	values       *C.ck_byte
	all          []byte
}

func pack(t template) packed {
	room := 8
	for _, a := range t {
		room += eight(len(a.Value))
	}
	numbers := make([]C.ck_ulong, 2*len(t)+1)
	all := make([]byte, room)
	at := 0
	for i, a := range t {
		numbers[i], numbers[len(t)+i] = C.ck_ulong(a.Type), C.ck_ulong(len(a.Value))
		copy(all[at:], a.Value)
		at += eight(len(a.Value))
	}
	return packed{&numbers[0], &numbers[len(t)], C.ck_ulong(len(t)), bytesOf(all), all}
}

// clear wipes the copies of the values.
func (p packed) clear() { clear(p.all) }

func eight(n int) int { return (n + 7) &^ 7 }

// number and flag are the values of attributes of those types.
func number(n uint) []byte {
	b := make([]byte, unsafe.Sizeof(C.ck_ulong(0)))
	if len(b) == 4 {
		binary.NativeEndian.PutUint32(b, uint32(n))
	} else {
		binary.NativeEndian.PutUint64(b, uint64(n))
	}
	return b
}

func flag(b bool) []byte {
	if b {
		return []byte{1}
	}
	return []byte{0}
}
