package server

import (
	"crypto/rand"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/cryptoki"
	"strongroom/kmip/ttlv"
)

// The operation PKCS#11 serves a view of the server as Cryptoki has it: a slot for each token that the caller may use keys in, one
// more for the database, and read-only sessions in which objects are found and looked at. Nothing of it reaches a module but
// what the operations of KMIP would: sessions are ours, and objects are opened through the door.

// databaseSlot is the slot ID of the database.
const databaseSlot = 0xFFFFFFFF

// Bounds of what is kept for those who have called C_Initialize.
const (
	mostApplications  = 4096
	mostOfOneIdentity = 16
	mostSessions      = 64        // of one application
	mostHandles       = 1 << 20   // likewise
	mostFound         = 1 << 16   // handles in one answer
	applicationIdle   = time.Hour // after which an application is forgotten when there are too many
)

// An application is one that has called C_Initialize, by the Correlation Value it got. It belongs to an identity.
type application struct {
	identity string

	mu       sync.Mutex
	used     time.Time
	last     uint64 // handle that was given
	sessions map[uint64]*session
	objects  map[uint64]string // identifiers by handle
	handles  map[string]uint64
}

// A session is one of ours: no session of a token is held for it.
type session struct {
	slot    uint64
	finding bool
	found   []string // not yet given out
}

// applications are those of a server.
type applications struct {
	mu  sync.Mutex
	all map[[16]byte]*application
}

// add makes an application, nil if there are too many.
func (s *applications) add(identity string, now time.Time) (correlation []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := 0
	for key, a := range s.all {
		a.mu.Lock()
		idle := now.Sub(a.used) > applicationIdle
		a.mu.Unlock()
		if idle {
			delete(s.all, key)
		} else if a.identity == identity {
			own++
		}
	}
	if len(s.all) >= mostApplications || own >= mostOfOneIdentity {
		return nil
	}
	var key [16]byte
	rand.Read(key[:])
	if s.all == nil {
		s.all = make(map[[16]byte]*application)
	}
	s.all[key] = &application{
		identity: identity, used: now,
		sessions: make(map[uint64]*session), objects: make(map[uint64]string), handles: make(map[string]uint64),
	}
	return key[:]
}

// of is the application of a Correlation Value, nil where an identity has none.
func (s *applications) of(correlation []byte, identity string) *application {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(correlation) != 16 {
		return nil
	}
	if a := s.all[[16]byte(correlation)]; a != nil && a.identity == identity {
		return a
	}
	return nil
}

func (s *applications) remove(correlation []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, [16]byte(correlation))
}

// A pkcs11Call is one function on its way.
type pkcs11Call struct {
	*application
	in  *cryptoki.Reader
	out cryptoki.Writer
}

// A pkcs11Function answers one. It takes its parameters apart, all of them, before it does anything.
type pkcs11Function func(*Request, *pkcs11Call) (kmip.PKCS11ReturnCode, error)

// pkcs11Functions are those that there are, for an application. All others are not supported.
var pkcs11Functions = map[kmip.PKCS11Function]pkcs11Function{
	cryptoki.GetInfo:           (*Request).cGetInfo,
	cryptoki.GetSlotList:       (*Request).cGetSlotList,
	cryptoki.GetSlotInfo:       (*Request).cGetSlotInfo,
	cryptoki.GetTokenInfo:      (*Request).cGetTokenInfo,
	cryptoki.GetMechanismList:  (*Request).cGetMechanismList,
	cryptoki.GetMechanismInfo:  (*Request).cGetMechanismInfo,
	cryptoki.OpenSession:       (*Request).cOpenSession,
	cryptoki.CloseSession:      (*Request).cCloseSession,
	cryptoki.CloseAllSessions:  (*Request).cCloseAllSessions,
	cryptoki.GetSessionInfo:    (*Request).cGetSessionInfo,
	cryptoki.Login:             (*Request).cLogin,
	cryptoki.FindObjectsInit:   (*Request).cFindObjectsInit,
	cryptoki.FindObjects:       (*Request).cFindObjects,
	cryptoki.FindObjectsFinal:  (*Request).cFindObjectsFinal,
	cryptoki.GetAttributeValue: (*Request).cGetAttributeValue,
	cryptoki.GetFunctionStatus: (*Request).cNotParallel,
	cryptoki.CancelFunction:    (*Request).cNotParallel,
}

// pkcs11 answers PKCS#11. KMIP 2.1 §6.1.37. What a function answers, errors too, is in its return code; what is no function, or
// not its parameters, is an error of the operation.
func (r *Request) pkcs11(_ *call, q *kmip.PKCS11Request) (*kmip.PKCS11Response, error) {
	if q.PKCS11Interface != "" && q.PKCS11Interface != cryptoki.InterfaceName {
		return nil, kmip.Errorf(kmip.ResultReasonPKCS11InvalidInterface, "the interface is %q, not %.80q", cryptoki.InterfaceName, q.PKCS11Interface)
	}
	if q.PKCS11Function.Type() != ttlv.TypeEnumeration || len(q.PKCS11Function.Body()) != 4 {
		return nil, kmip.Errorf(kmip.ResultReasonPKCS11InvalidFunction, "there are no functions of vendors")
	}
	f := kmip.PKCS11Function(binary.BigEndian.Uint32(q.PKCS11Function.Body()))
	if f == 0 || f > cryptoki.LastFunction {
		return nil, kmip.Errorf(kmip.ResultReasonPKCS11InvalidFunction, "the interface has no function %v", f)
	}
	response := &kmip.PKCS11Response{PKCS11Interface: q.PKCS11Interface, PKCS11Function: f}
	a := r.server.applications.of(q.CorrelationValue, r.identity)
	var err error
	switch run := pkcs11Functions[f]; {
	case f == cryptoki.Initialize:
		response.CorrelationValue, response.PKCS11ReturnCode, err = r.cInitialize(a, q.PKCS11InputParameters)
	case a == nil:
		response.PKCS11ReturnCode = cryptoki.CryptokiNotInitialized
	case f == cryptoki.Finalize:
		if err = cryptoki.NewReader(q.PKCS11InputParameters).End(); err == nil {
			r.server.applications.remove(q.CorrelationValue)
		}
	case run == nil:
		response.PKCS11ReturnCode = cryptoki.FunctionNotSupported
	default:
		c := &pkcs11Call{application: a, in: cryptoki.NewReader(q.PKCS11InputParameters)}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.used = r.now
		response.PKCS11ReturnCode, err = run(r, c)
		response.PKCS11OutputParameters = c.out.Bytes()
	}
	if err != nil {
		return nil, err
	}
	return response, nil
}

// cInitialize makes an application. It says the version of the encoding.
func (r *Request) cInitialize(a *application, parameters []byte) (correlation []byte, _ kmip.PKCS11ReturnCode, _ error) {
	in := cryptoki.NewReader(parameters)
	version := in.Byte()
	switch err := in.End(); {
	case err != nil:
		return nil, 0, err
	case a != nil:
		return nil, cryptoki.CryptokiAlreadyInitiated, nil
	case version != cryptoki.EncodingVersion:
		return nil, cryptoki.ArgumentsBad, nil
	}
	if correlation = r.server.applications.add(r.identity, r.now); correlation == nil {
		return nil, cryptoki.HostMemory, nil
	}
	return correlation, cryptoki.OK, nil
}

func (r *Request) cGetInfo(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	if err := c.in.End(); err != nil {
		return 0, err
	}
	c.out.Version([2]byte{3, 0})
	c.out.Text(vendor, 32)
	c.out.ULong(0)
	c.out.Text(vendor+" "+r.server.Version, 32)
	c.out.Version([2]byte{1, 0})
	return cryptoki.OK, nil
}

func (r *Request) cNotParallel(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	c.in.ULong()
	return cryptoki.FunctionNotParallel, c.in.End()
}

// tokens lists those that the caller may see: of HSM keys it administers or was granted something on, and the database.
func (r *Request) tokens() ([]kmip.Token, error) {
	database := kmip.Token{
		Slot: databaseSlot, Label: vendor, Manufacturer: vendor, Model: "database", Serial: "1", Present: true,
		Mechanisms: slices.Sorted(maps.Keys(mechanisms)),
	}
	hsm, ok := r.server.HSM.(kmip.Tokens)
	if !ok {
		return []kmip.Token{database}, nil
	}
	s := r.newSearch()
	used := make(map[uint32]bool)
	if !s.Admin || len(s.Slots) > 0 || r.ticket.confines() {
		found, err := r.located(s, r.server.HSM)
		if err != nil {
			return nil, err
		}
		for _, uid := range found {
			if slot, _, _, err := kmip.HSMKey(uid); err == nil {
				used[slot] = true
			}
		}
	}
	list := slices.DeleteFunc(hsm.Tokens(r.ctx), func(t kmip.Token) bool {
		return !used[t.Slot] && (!s.Administers(t.Slot) || r.ticket.confines()) || t.Slot == databaseSlot
	})
	return append(list, database), nil
}

// token is the one in a slot that the caller may see.
func (r *Request) token(slot uint64) (*kmip.Token, error) {
	all, err := r.tokens()
	if err != nil {
		return nil, err
	}
	for i := range all {
		if uint64(all[i].Slot) == slot {
			return &all[i], nil
		}
	}
	return nil, nil
}

func (r *Request) cGetSlotList(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	present, buffer := c.in.Bool(), c.in.Buffer()
	if err := c.in.End(); err != nil {
		return 0, err
	}
	all, err := r.tokens()
	if err != nil {
		return 0, err
	}
	var slots []uint64
	for _, t := range all {
		if t.Present || !present {
			slots = append(slots, uint64(t.Slot))
		}
	}
	return c.fill(buffer, slots)
}

func (c *pkcs11Call) fill(b cryptoki.Buffer, list []uint64) (kmip.PKCS11ReturnCode, error) {
	if !c.out.Fill(b, list) {
		return cryptoki.BufferTooSmall, nil
	}
	return cryptoki.OK, nil
}

// ofSlot answers a function whose one parameter is a slot.
func (r *Request) ofSlot(c *pkcs11Call, answer func(*kmip.Token) kmip.PKCS11ReturnCode) (kmip.PKCS11ReturnCode, error) {
	slot := c.in.ULong()
	if err := c.in.End(); err != nil {
		return 0, err
	}
	return r.inSlot(slot, answer)
}

func (r *Request) inSlot(slot uint64, answer func(*kmip.Token) kmip.PKCS11ReturnCode) (kmip.PKCS11ReturnCode, error) {
	t, err := r.token(slot)
	switch {
	case err != nil:
		return 0, err
	case t == nil:
		return cryptoki.SlotIDInvalid, nil
	}
	return answer(t), nil
}

// cGetSlotInfo answers a CK_SLOT_INFO.
func (r *Request) cGetSlotInfo(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	return r.ofSlot(c, func(t *kmip.Token) kmip.PKCS11ReturnCode {
		flags := uint64(0)
		if t.Present {
			flags |= cryptoki.SlotTokenPresent
		}
		if t.Slot != databaseSlot {
			flags |= cryptoki.SlotHardware
		}
		c.out.Text(t.Label, 64)
		c.out.Text(t.Manufacturer, 32)
		c.out.ULong(flags)
		c.out.Version(t.Hardware)
		c.out.Version(t.Firmware)
		return cryptoki.OK
	})
}

// cGetTokenInfo answers a CK_TOKEN_INFO: of a token that is write-protected, whose user is logged in.
func (r *Request) cGetTokenInfo(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	return r.ofSlot(c, func(t *kmip.Token) kmip.PKCS11ReturnCode {
		if !t.Present {
			return cryptoki.TokenNotPresent
		}
		c.out.Text(t.Label, 32)
		c.out.Text(t.Manufacturer, 32)
		c.out.Text(t.Model, 16)
		c.out.Text(t.Serial, 16)
		c.out.ULong(cryptoki.TokenWriteProtection | cryptoki.TokenInitialized | cryptoki.TokenPINInitialized)
		for _, n := range []uint64{mostSessions, uint64(len(c.sessions)), 0, 0, 0, 0} { // sessions, those that write, PIN lengths
			c.out.ULong(n)
		}
		for range 4 { // memory
			c.out.ULong(cryptoki.Unavailable)
		}
		c.out.Version(t.Hardware)
		c.out.Version(t.Firmware)
		c.out.Text("", 16) // no clock
		return cryptoki.OK
	})
}

func (r *Request) cGetMechanismList(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	slot, buffer := c.in.ULong(), c.in.Buffer()
	if err := c.in.End(); err != nil {
		return 0, err
	}
	return r.inSlot(slot, func(t *kmip.Token) kmip.PKCS11ReturnCode {
		if !t.Present {
			return cryptoki.TokenNotPresent
		}
		code, _ := c.fill(buffer, t.Mechanisms)
		return code
	})
}

// cGetMechanismInfo answers a CK_MECHANISM_INFO.
func (r *Request) cGetMechanismInfo(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	slot, mechanism := c.in.ULong(), c.in.ULong()
	if err := c.in.End(); err != nil {
		return 0, err
	}
	return r.inSlot(slot, func(t *kmip.Token) kmip.PKCS11ReturnCode {
		info, known := mechanisms[mechanism]
		switch {
		case !t.Present:
			return cryptoki.TokenNotPresent
		case !known || !slices.Contains(t.Mechanisms, mechanism):
			return cryptoki.MechanismInvalid
		}
		if t.Slot != databaseSlot {
			info.flags |= cryptoki.MechanismHardware
		}
		c.out.ULong(info.least)
		c.out.ULong(info.most)
		c.out.ULong(info.flags)
		return cryptoki.OK
	})
}

// mechanisms are those of the operations of KMIP, with the sizes of keys in the unit that PKCS#11 gives each.
var mechanisms = map[uint64]struct{ least, most, flags uint64 }{
	cryptoki.AESECB:        {16, 32, cryptoki.MechanismEncrypt | cryptoki.MechanismDecrypt},
	cryptoki.AESCBC:        {16, 32, cryptoki.MechanismEncrypt | cryptoki.MechanismDecrypt},
	cryptoki.AESCBCPad:     {16, 32, cryptoki.MechanismEncrypt | cryptoki.MechanismDecrypt},
	cryptoki.AESCTR:        {16, 32, cryptoki.MechanismEncrypt | cryptoki.MechanismDecrypt},
	cryptoki.AESGCM:        {16, 32, cryptoki.MechanismEncrypt | cryptoki.MechanismDecrypt},
	cryptoki.AESKeyWrap:    {16, 32, cryptoki.MechanismWrap | cryptoki.MechanismUnwrap},
	cryptoki.AESKeyWrapPad: {16, 32, cryptoki.MechanismWrap | cryptoki.MechanismUnwrap},
	cryptoki.AESKeyWrapKWP: {16, 32, cryptoki.MechanismWrap | cryptoki.MechanismUnwrap},
	cryptoki.AESCMAC:       {16, 32, cryptoki.MechanismSign | cryptoki.MechanismVerify},
	cryptoki.ChaCha20Poly:  {32, 32, cryptoki.MechanismEncrypt | cryptoki.MechanismDecrypt},
	cryptoki.SHA1HMAC:      {1, 1024, cryptoki.MechanismSign | cryptoki.MechanismVerify},
	cryptoki.SHA256HMAC:    {1, 1024, cryptoki.MechanismSign | cryptoki.MechanismVerify},
	cryptoki.SHA384HMAC:    {1, 1024, cryptoki.MechanismSign | cryptoki.MechanismVerify},
	cryptoki.SHA512HMAC:    {1, 1024, cryptoki.MechanismSign | cryptoki.MechanismVerify},
	cryptoki.RSAPKCS:       {1024, 8192, cryptoki.MechanismEncrypt | cryptoki.MechanismDecrypt | cryptoki.MechanismSign | cryptoki.MechanismVerify},
	cryptoki.RSAPKCSOAEP:   {1024, 8192, cryptoki.MechanismEncrypt | cryptoki.MechanismDecrypt | cryptoki.MechanismWrap | cryptoki.MechanismUnwrap},
	cryptoki.RSAPKCSPSS:    {1024, 8192, cryptoki.MechanismSign | cryptoki.MechanismVerify},
	cryptoki.RSAX509:       {1024, 8192, cryptoki.MechanismDecrypt},
	cryptoki.ECDSA:         {224, 521, cryptoki.MechanismSign | cryptoki.MechanismVerify},
	cryptoki.EDDSA:         {255, 255, cryptoki.MechanismSign | cryptoki.MechanismVerify},
}

// cOpenSession opens a session that only reads. The certificate has logged in.
func (r *Request) cOpenSession(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	slot, flags := c.in.ULong(), c.in.ULong()
	if err := c.in.End(); err != nil {
		return 0, err
	}
	return r.inSlot(slot, func(t *kmip.Token) kmip.PKCS11ReturnCode {
		switch {
		case flags&cryptoki.SessionSerial == 0:
			return cryptoki.ParallelNotSupported
		case flags&cryptoki.SessionReadWrite != 0:
			return cryptoki.TokenWriteProtected
		case !t.Present:
			return cryptoki.TokenNotPresent
		case len(c.sessions) >= mostSessions:
			return cryptoki.SessionCount
		}
		c.last++
		c.sessions[c.last] = &session{slot: slot}
		c.out.ULong(c.last)
		return cryptoki.OK
	})
}

// inSession reads the session that a function begins with; the function reads the rest before it looks at it.
func (c *pkcs11Call) inSession() *session { return c.sessions[c.in.ULong()] }

func (r *Request) cCloseSession(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	handle := c.in.ULong()
	if err := c.in.End(); err != nil {
		return 0, err
	}
	if c.sessions[handle] == nil {
		return cryptoki.SessionHandleInvalid, nil
	}
	delete(c.sessions, handle)
	return cryptoki.OK, nil
}

func (r *Request) cCloseAllSessions(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	slot := c.in.ULong()
	if err := c.in.End(); err != nil {
		return 0, err
	}
	return r.inSlot(slot, func(*kmip.Token) kmip.PKCS11ReturnCode {
		maps.DeleteFunc(c.sessions, func(_ uint64, s *session) bool { return s.slot == slot })
		return cryptoki.OK
	})
}

// cGetSessionInfo answers a CK_SESSION_INFO.
func (r *Request) cGetSessionInfo(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	s := c.inSession()
	if err := c.in.End(); err != nil {
		return 0, err
	}
	if s == nil {
		return cryptoki.SessionHandleInvalid, nil
	}
	for _, n := range []uint64{s.slot, cryptoki.StateReadOnlyUser, cryptoki.SessionSerial, 0} {
		c.out.ULong(n)
	}
	return cryptoki.OK, nil
}

// cLogin looks at no PIN: who shows a certificate is logged in.
func (r *Request) cLogin(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	s := c.inSession()
	c.in.ULong() // the type of user
	c.in.Array() // the PIN
	if err := c.in.End(); err != nil {
		return 0, err
	}
	if s == nil {
		return cryptoki.SessionHandleInvalid, nil
	}
	return cryptoki.UserAlreadyLoggedIn, nil
}
