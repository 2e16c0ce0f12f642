package server

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// attribute is what Get Attributes says of one attribute of an object.
func attribute[T any](t *testing.T, c *client.Client, uid kmip.UniqueIdentifier, tag ttlv.Tag) T {
	t.Helper()
	r := must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{
		UniqueIdentifier: uid, AttributeReferences: kmip.AttributeReferences{{Tag: tag}},
	})
	v, ok := kmip.Get[T](r.Attributes, tag)
	require.True(t, ok, "%v", r.Attributes)
	return v
}

// rawKey is a request to register an AES key of 128 bits, Active at once.
func rawKey(uid string) *kmip.RegisterRequest {
	return &kmip.RegisterRequest{
		ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes(uid).Attributes.Without(ttlv.TagCryptographicLength),
		Value: kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
			KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: make([]byte, 16)},
			CryptographicAlgorithm: kmip.CryptographicAlgorithmAES, CryptographicLength: 128,
		}}},
	}
}

// ecb is a request to encrypt blocks of 16 bytes.
func ecb(uid string, blocks int) *kmip.EncryptRequest {
	return &kmip.EncryptRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid), Data: make([]byte, 16*blocks),
		CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeECB},
	}
}

// TestWindow shows between which dates a key is used: nothing before the Process Start Date, no protection after the Protect
// Stop Date.
func TestWindow(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	past, future := time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	for name, test := range map[string]struct {
		start, stop       time.Time
		encrypts, decrypt bool
	}{
		"within":       {past, future, true, true},
		"not yet":      {future, future, false, false},
		"no more":      {past, past, false, true},
		"contradicted": {future, past, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			q := aes("")
			q.Attributes = q.Attributes.With(ttlv.TagActivationDate, past).With(ttlv.TagProcessStartDate, test.start).With(ttlv.TagProtectStopDate, test.stop)
			uid := string(must[kmip.CreateResponse](t, c, kmip.OperationCreate, q).UniqueIdentifier)
			_, err := client.Do[kmip.EncryptResponse](t.Context(), c, kmip.OperationEncrypt, ecb(uid, 1))
			require.Equal(t, test.encrypts, err == nil, "%v", err)
			decrypt := kmip.DecryptRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), Data: make([]byte, 16), CryptographicParameters: ecb("", 0).CryptographicParameters}
			_, err = client.Do[kmip.DecryptResponse](t.Context(), c, kmip.OperationDecrypt, &decrypt)
			require.Equal(t, test.decrypt, err == nil, "%v", err)
		})
	}
}

// TestFresh shows that an object is fresh until Get has served it, and not when the client says so.
func TestFresh(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("a"))
	require.True(t, attribute[bool](t, c, "a", ttlv.TagFresh))
	for range 2 {
		must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "a"})
		require.False(t, attribute[bool](t, c, "a", ttlv.TagFresh))
	}
	stale := rawKey("b")
	stale.Attributes = stale.Attributes.With(ttlv.TagFresh, false)
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, stale)
	require.False(t, attribute[bool](t, c, "b", ttlv.TagFresh))
}

// TestSensitivePublicKey shows that a public key is withheld where it is said to be sensitive itself, and that a registered
// object has always been what it is.
func TestSensitivePublicKey(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	sensitive := kmip.Attributes{}.With(ttlv.TagSensitive, true)
	pair := func(common, public kmip.Attributes) kmip.UniqueIdentifier {
		q := kmip.CreateKeyPairRequest{CommonAttributes: append(common, kmip.Attribute{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmECDSA}), PublicKeyAttributes: public}
		q.CommonAttributes = q.CommonAttributes.With(ttlv.TagCryptographicLength, int32(256))
		return must[kmip.CreateKeyPairResponse](t, c, kmip.OperationCreateKeyPair, &q).PublicKeyUniqueIdentifier
	}
	must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: pair(sensitive, nil)})
	withheld := pair(nil, sensitive)
	require.Equal(t, kmip.ResultReasonSensitive, reason(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: withheld}))
	require.True(t, attribute[bool](t, c, withheld, ttlv.TagAlwaysSensitive))
	q := rawKey("brought")
	q.Attributes = q.Attributes.With(ttlv.TagSensitive, true).With(ttlv.TagExtractable, false)
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, q)
	require.True(t, attribute[bool](t, c, "brought", ttlv.TagAlwaysSensitive))
	require.True(t, attribute[bool](t, c, "brought", ttlv.TagNeverExtractable))
}

// TestComputedAttributes shows the attributes that nobody stores, to a client and to Locate.
func TestComputedAttributes(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("a"))
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("b"))
	short := sha256.Sum256([]byte("a"))
	require.Equal(t, short[:], attribute[[]byte](t, c, "a", ttlv.TagShortUniqueIdentifier))
	require.Equal(t, kmip.ProtectionStorageMaskSoftware, attribute[kmip.ProtectionStorageMask](t, c, "a", ttlv.TagProtectionStorageMask))
	require.Equal(t, kmip.LeaseTime, attribute[ttlv.Interval](t, c, "a", ttlv.TagLeaseTime))
	for n, wanted := range map[int]kmip.Attributes{
		1: kmip.Attributes{}.With(ttlv.TagShortUniqueIdentifier, short[:]),
		2: kmip.Attributes{}.With(ttlv.TagProtectionStorageMask, kmip.ProtectionStorageMaskSoftware).With(ttlv.TagLeaseTime, kmip.LeaseTime),
		0: kmip.Attributes{}.With(ttlv.TagProtectionStorageMask, kmip.ProtectionStorageMaskHardware),
	} {
		require.Len(t, must[kmip.LocateResponse](t, c, kmip.OperationLocate, &kmip.LocateRequest{Attributes: wanted}).UniqueIdentifier, n)
	}
}

// TestRandomNumberGenerator shows that a key says how it was made, and that none is made otherwise.
func TestRandomNumberGenerator(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V1_4)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("a"))
	require.Equal(t, generator(false), attribute[kmip.RNGParameters](t, c, "a", ttlv.TagRandomNumberGenerator))
	q := aes("b")
	q.Attributes = q.Attributes.With(ttlv.TagRandomNumberGenerator, generator(false))
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, q)
	q = aes("c")
	q.Attributes = q.Attributes.With(ttlv.TagRandomNumberGenerator, kmip.RNGParameters{RNGAlgorithm: kmip.RNGAlgorithmANSIX9_31})
	require.Equal(t, kmip.ResultReasonFeatureNotSupported, reason(t, c, kmip.OperationCreate, q))
}

// TestQuantumSafe shows that no object is said to be safe from quantum computers that is not.
func TestQuantumSafe(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	safe := kmip.Attribute{Tag: ttlv.TagQuantumSafe, Value: true}
	long, short := aes("long"), aes("short")
	long.Attributes = append(long.Attributes, safe)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, long)
	short.Attributes = append(short.Attributes.With(ttlv.TagCryptographicLength, int32(128)), safe)
	require.Equal(t, kmip.ResultReasonGeneralFailure, reason(t, c, kmip.OperationCreate, short))
	brought := rawKey("brought")
	brought.Attributes = append(brought.Attributes, safe)
	require.Equal(t, kmip.ResultReasonGeneralFailure, reason(t, c, kmip.OperationRegister, brought))
	for _, half := range []int{0, 1, 2} {
		q := kmip.CreateKeyPairRequest{CommonAttributes: kmip.Attributes{}.With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmECDSA).With(ttlv.TagCryptographicLength, int32(256))}
		for i, list := range []*kmip.Attributes{&q.CommonAttributes, &q.PrivateKeyAttributes, &q.PublicKeyAttributes} {
			if i == half {
				*list = append(*list, safe)
			}
		}
		require.Equal(t, kmip.ResultReasonGeneralFailure, reason(t, c, kmip.OperationCreateKeyPair, &q))
	}
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, rawKey("brought"))
	require.Equal(t, kmip.ResultReasonGeneralFailure, reason(t, c, kmip.OperationAddAttribute, &kmip.AddAttributeRequest{UniqueIdentifier: "brought", NewAttribute: kmip.Attributes{safe}}))
}
