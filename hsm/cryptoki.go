package hsm

import "github.com/miekg/pkcs11"

// A cryptoki is a loaded PKCS#11 module: its functions (PKCS#11 2.40 §5) with plain data in and out, each one crossing. The
// implementation in this process is library; one in a worker process can take its place, for nothing here points into the
// module's memory. Errors of the module are ckError.
//
// A session serves one call at a time, and initialize and finalize run alone: with and module see to that.
type cryptoki interface {
	initialize() error
	finalize() error
	info() (libraryInfo, error)
	slots() ([]uint, error) // those with a token in them

	// calls says how many operations with symmetric and with private keys run at once, as far as is known: it asks no token.
	calls() (symmetric, private uint, err error)

	tokenInfo(slot uint) (tokenInfo, error)
	mechanisms(slot uint) ([]uint, error)

	openSession(slot uint) (session, error)
	closeSession(s session) error
	state(s session) (uint, error)      // CKS_xxx
	login(s session, slot *Slot) error  // as CKU_USER, with the PIN of slot
	random(s session, out []byte) error // fills out
	seedRandom(s session, data []byte) error
	destroy(s session, object handle) error
	create(s session, t template) (handle, error)
	generate(s session, mechanism uint, t template) (handle, error)
	generatePair(s session, mechanism uint, public, private template) (publicKey, privateKey handle, err error)

	// find gives at most most handles.
	find(s session, t template, most int) ([]handle, error)

	// attributes leaves out what the token does not give. The caller clears secret values.
	attributes(s session, object handle, types []uint) (template, error)

	// The four operations answer into a buffer that the caller owns and is never shorter than the result; room is how
	// many bytes are expected at most.
	encrypt(s session, m *mechanism, key handle, data []byte, room int) ([]byte, error)
	decrypt(s session, m *mechanism, key handle, data []byte, room int) ([]byte, error)
	sign(s session, m *mechanism, key handle, data []byte, room int) ([]byte, error)
	wrap(s session, m *mechanism, wrapping, key handle, room int) ([]byte, error)

	unwrap(s session, m *mechanism, unwrapping handle, wrapped []byte, t template) (handle, error)
}

// A session and a handle are numbers that a module gave out; they mean nothing after it was initialized again.
type (
	session uint
	handle  uint
)

// An attribute is one of an object, its value in the form of PKCS#11: numbers and booleans in the machine's byte order.
type attribute struct {
	Type  uint
	Value []byte
}

// A template is a list of attributes.
type template []attribute

// A parameter says how a mechanism's parameter is built of the pieces in mechanism.
type parameter int

const (
	parameterNone parameter = iota
	parameterIV             // IV
	parameterGCM            // IV, Extra (the additional data), 128-bit tag
	parameterCTR            // IV (the counter block), 128-bit counter
	parameterOAEP           // Hash, MGF, Extra (the label)
	parameterPSS            // Hash, MGF, Salt
)

// A mechanism is a CKM_ number and its parameter. A token may write another IV into IV while it encrypts.
type mechanism struct {
	Type      uint
	Parameter parameter
	IV, Extra []byte
	Hash, MGF uint // CKM_, CKG_
	Salt      uint // bytes
}

// libraryInfo is what C_GetInfo tells.
type libraryInfo struct {
	Manufacturer, Description string
	Major, Minor              byte // of the library
	CryptokiMajor             byte
	CryptokiMinor             byte
}

// tokenInfo is what C_GetTokenInfo tells.
type tokenInfo struct {
	Label, Manufacturer, Model, Serial string
	Flags                              uint // CKF_
	MaxSessions, MaxReadWrite          uint // 0: unlimited or unknown
	HardwareMajor, HardwareMinor       byte
	FirmwareMajor, FirmwareMinor       byte
}

// ckULongMax is CK_UNAVAILABLE_INFORMATION, and the size of an attribute that is not given.
const ckULongMax = ^uint(0)

// Session states in which objects of the user are seen; constants that miekg/pkcs11 leaves out.
const (
	stateReadOnlyUser  = pkcs11.CKS_RO_USER_FUNCTIONS
	stateReadWriteUser = pkcs11.CKS_RW_USER_FUNCTIONS
)
