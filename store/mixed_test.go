package store

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/seal"
)

// TestRowsUnderEncryptionOracle: somebody reads the database and may encrypt with the wrapping key, as everybody may who has keys
// wrapped by it. An IV of their choice gives the key stream of a row's, and so its data key, which opens nothing.
func TestRowsUnderEncryptionOracle(t *testing.T) {
	s := wrappingStore(t, Options{})
	require.NoError(t, s.Register(t.Context(), under(aesKey("k", "alice"), "kek"), symmetric(material)))
	r, err := s.row(t.Context(), "k")
	require.NoError(t, err)
	raw := r.envelope.Bytes()
	at := 22 + int(binary.BigEndian.Uint16(raw[16:])) + int(binary.BigEndian.Uint16(raw[18:]))
	wrapped := raw[at : at+int(binary.BigEndian.Uint16(raw[20:]))]
	iv, sealed := raw[at+len(wrapped):][:12], raw[at+len(wrapped)+12:]

	kek, err := s.Object(t.Context(), "kek")
	require.NoError(t, err)
	stream, err := kek.Key.Encrypt(t.Context(), &kmip.EncryptRequest{
		CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM},
		IVCounterNonce:          wrapped[:12], Data: make([]byte, 32),
	})
	require.NoError(t, err)
	dataKey := make([]byte, 32)
	for i := range dataKey {
		dataKey[i] = wrapped[12+i] ^ stream.Data[i]
	}
	again, err := kek.Key.Unwrap(t.Context(), &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}, wrapped)
	require.NoError(t, err)
	require.Equal(t, again, dataKey, "it is the data key")

	block, err := aes.NewCipher(dataKey)
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	bound := r.bound()
	additional := binary.BigEndian.AppendUint32(append([]byte{}, raw[:len(raw)-len(sealed)]...), uint32(len(bound)))
	_, err = gcm.Open(nil, iv, sealed, append(additional, bound...))
	require.Error(t, err)
	plain := make([]byte, len(sealed))
	cipher.NewCTR(block, append(append([]byte{}, iv...), 0, 0, 0, 2)).XORKeyStream(plain, sealed)
	require.NotContains(t, string(plain), string(material), "nor is the payload under the bare data key")

	got, err := value(t, s, "k")
	require.NoError(t, err)
	require.Equal(t, material, got)
}

// TestRowsUnmixed opens rows of before, whose payload is under the data key itself; what is sealed anew is not.
func TestRowsUnmixed(t *testing.T) {
	s := wrappingStore(t, Options{})
	require.NoError(t, s.Register(t.Context(), under(aesKey("k", "alice"), "kek"), symmetric(material)))
	r, err := s.row(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, seal.AlgorithmMixedAES256GCM, r.envelope.Algorithm)
	kek, err := s.Object(t.Context(), "kek")
	require.NoError(t, err)
	p, err := seal.KeyProtector(keyReference+"kek", kek.Key, kek.Attributes)
	require.NoError(t, err)
	plain, err := encodeValue(symmetric(material))
	require.NoError(t, err)
	e, err := seal.Seal(t.Context(), nil, p, seal.Label{Purpose: seal.PurposeObject, Generation: 1}, r.bound(), plain)
	require.NoError(t, err)
	require.Equal(t, seal.AlgorithmAES256GCM, e.Algorithm)
	forge(t, s, `UPDATE objects SET envelope = $1 WHERE uid = 'k'`, e.Bytes())
	authenticateAgain(t, s) // by the program of before
	got, err := value(t, s, "k")
	require.NoError(t, err)
	require.Equal(t, material, got)

	o, err := s.Object(t.Context(), "k")
	require.NoError(t, err)
	o = o.Clone()
	o.Attributes = append(o.Attributes, kmip.Attribute{Tag: ttlv.TagSensitive, Value: true})
	require.NoError(t, s.Update(t.Context(), o))
	r, err = s.row(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, seal.AlgorithmMixedAES256GCM, r.envelope.Algorithm)
}
