package soft

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Every private and public key goes through all its formats and comes back.
func TestConvert(t *testing.T) {
	const (
		pkcs1, pkcs8, sec1, x509f = kmip.KeyFormatTypePKCS1, kmip.KeyFormatTypePKCS8, kmip.KeyFormatTypeECPrivateKey, kmip.KeyFormatTypeX509
	)
	for name, v := range map[string]struct {
		a               kmip.Attributes
		private, public []kmip.KeyFormatType
	}{
		"RSA": {describe(kmip.CryptographicAlgorithmRSA, 2048), []kmip.KeyFormatType{pkcs1, kmip.KeyFormatTypeTransparentRSAPrivateKey, pkcs8},
			[]kmip.KeyFormatType{pkcs1, kmip.KeyFormatTypeTransparentRSAPublicKey, x509f}},
		"EC": {describe(kmip.CryptographicAlgorithmEC, 521), []kmip.KeyFormatType{sec1, kmip.KeyFormatTypeTransparentECPrivateKey,
			kmip.KeyFormatTypeTransparentECDSAPrivateKey, kmip.KeyFormatTypeTransparentECDHPrivateKey, kmip.KeyFormatTypeTransparentECMQVPrivateKey, pkcs8},
			[]kmip.KeyFormatType{kmip.KeyFormatTypeTransparentECPublicKey, kmip.KeyFormatTypeTransparentECDSAPublicKey, kmip.KeyFormatTypeTransparentECDHPublicKey, kmip.KeyFormatTypeTransparentECMQVPublicKey, x509f}},
		"Ed25519": {describe(kmip.CryptographicAlgorithmEd25519, 256), []kmip.KeyFormatType{pkcs8}, []kmip.KeyFormatType{x509f}},
		"X25519":  {onCurve(kmip.CryptographicAlgorithmECDH, kmip.RecommendedCurveCURVE25519), []kmip.KeyFormatType{pkcs8}, []kmip.KeyFormatType{x509f}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, v.a)
			requireConverts(t, p.privateValue, v.private)
			requireConverts(t, p.publicValue, v.public)
		})
	}
	key := symmetricValue(kmip.CryptographicAlgorithmAES, bytes.Repeat([]byte{7}, 16))
	requireConverts(t, key, []kmip.KeyFormatType{kmip.KeyFormatTypeTransparentSymmetricKey, kmip.KeyFormatTypeRaw})
}

// requireConverts goes through the formats, of which the last is v's own, and refuses all others.
func requireConverts(t *testing.T, v *kmip.Value, formats []kmip.KeyFormatType) {
	t.Helper()
	object, block := v.ObjectType(), v.KeyBlock()
	before := clone(block.KeyValue.Material)
	has := map[kmip.KeyFormatType]bool{0: true, kmip.KeyFormatTypeRaw: block.CryptographicAlgorithm != kmip.CryptographicAlgorithmRSA}
	at := v
	for _, f := range formats {
		next, err := Convert(at, Form{Format: f})
		require.NoError(t, err, f)
		require.NoError(t, Check(object, next), f)
		b := next.KeyBlock()
		require.Equal(t, f, b.KeyFormatType)
		require.Equal(t, block.CryptographicAlgorithm, b.CryptographicAlgorithm)
		require.Equal(t, block.CryptographicLength, b.CryptographicLength)
		encoded, err := ttlv.Append(nil, ttlv.V1_4, ttlv.TagKeyBlock, b)
		require.NoError(t, err)
		require.NotEmpty(t, encoded)
		at, has[f] = next, true
	}
	require.Equal(t, v, at, "the round ends where it began")
	require.Equal(t, before, block.KeyValue.Material, "the value was not changed")
	same, err := Convert(v, Form{})
	require.NoError(t, err)
	require.Same(t, v, same)
	for f := kmip.KeyFormatTypeRaw; f <= kmip.KeyFormatTypePKCS10; f++ {
		if !has[f] {
			_, err := Convert(v, Form{Format: f})
			require.Equal(t, kmip.ResultReasonKeyFormatTypeNotSupported, kmip.ReasonOf(err), "%v", f)
		}
	}
}

// A transparent private key may bring less than all components.
func TestConvertSparseRSA(t *testing.T) {
	p := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	full, err := Convert(p.privateValue, Form{Format: kmip.KeyFormatTypeTransparentRSAPrivateKey})
	require.NoError(t, err)
	c := full.PrivateKey.KeyBlock.KeyValue.Components
	sparse := func(k kmip.KeyComponents) *kmip.Value {
		b := full.PrivateKey.KeyBlock
		b.KeyValue = &kmip.KeyValue{Components: &k}
		return &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: b}}
	}
	for name, k := range map[string]kmip.KeyComponents{
		"exponents":          {Modulus: c.Modulus, PublicExponent: c.PublicExponent, PrivateExponent: c.PrivateExponent},
		"primes":             {Modulus: c.Modulus, PublicExponent: c.PublicExponent, P: c.P, Q: c.Q},
		"no public exponent": {Modulus: c.Modulus, PrivateExponent: c.PrivateExponent, P: c.P, Q: c.Q},
		"primes in disorder": {Modulus: c.Modulus, PublicExponent: c.PublicExponent, PrivateExponent: c.PrivateExponent, P: c.Q, Q: c.P},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Convert(sparse(k), Form{Format: kmip.KeyFormatTypePKCS8})
			require.NoError(t, err)
			open, err := Open(got, nil, nil)
			require.NoError(t, err)
			defer open.Close()
			require.Equal(t, valid, verify(t, p.public, nil, []byte("x"), nil, sign(t, open, nil, []byte("x"), nil)))
		})
	}
	zero, two, huge := new(big.Int), big.NewInt(2), new(big.Int).Lsh(big.NewInt(1), 20000)
	for name, k := range map[string]kmip.KeyComponents{
		"nothing":            {},
		"modulus alone":      {Modulus: c.Modulus},
		"no exponent":        {Modulus: c.Modulus, P: c.P, Q: c.Q},
		"wrong exponents":    {Modulus: c.Modulus, PublicExponent: c.PublicExponent, PrivateExponent: c.P},
		"exponent two":       {Modulus: c.Modulus, PublicExponent: two, P: c.P, Q: c.Q},
		"exponent even of d": {Modulus: c.Modulus, PublicExponent: c.PublicExponent, PrivateExponent: two, P: c.P, Q: c.Q},
		"zero":               {Modulus: zero, PublicExponent: c.PublicExponent, PrivateExponent: c.PrivateExponent},
		"primes of another":  {Modulus: c.Modulus, PublicExponent: c.PublicExponent, P: c.P, Q: c.P},
		"primes one":         {Modulus: c.Modulus, PublicExponent: c.PublicExponent, P: one, Q: c.Modulus},
		"huge":               {Modulus: huge, PublicExponent: c.PublicExponent, PrivateExponent: huge},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(Check(kmip.ObjectTypePrivateKey, sparse(k))))
		})
	}
}

// A stranger's key does not keep the server busy: what is too long is refused before anything is computed.
func TestCheckHugeRSA(t *testing.T) {
	odd := func(bits uint) *big.Int { return new(big.Int).Sub(new(big.Int).Lsh(one, bits), one) }
	private := func(p, q *big.Int) *kmip.Value {
		n := new(big.Int).Mul(p, q)
		der, err := asn1.Marshal(struct {
			V                        int
			N                        *big.Int
			E                        int
			D, P, Q, DP, DQ, Inverse *big.Int
		}{0, n, 65537, p, p, q, p, q, q})
		require.NoError(t, err)
		return &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypePKCS1, KeyValue: &kmip.KeyValue{Material: der}}}}
	}
	public := func(n *big.Int) *kmip.Value {
		der := x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: n, E: 65537})
		return &kmip.Value{PublicKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypePKCS1, KeyValue: &kmip.KeyValue{Material: der}}}}
	}
	began := time.Now()
	require.Error(t, Check(kmip.ObjectTypePrivateKey, private(odd(4096), odd(4095))))
	require.Error(t, Check(kmip.ObjectTypePrivateKey, private(odd(20000), odd(20001))))
	require.Error(t, Check(kmip.ObjectTypePublicKey, public(odd(8193))))
	require.Error(t, Check(kmip.ObjectTypePublicKey, public(odd(1<<20))))
	require.NoError(t, Check(kmip.ObjectTypePublicKey, public(odd(8192))))
	require.Less(t, time.Since(began), 10*time.Second)
}

func TestConvertECPoints(t *testing.T) {
	p := newPair(t, describe(kmip.CryptographicAlgorithmEC, 256))
	v, err := Convert(p.publicValue, Form{Format: kmip.KeyFormatTypeTransparentECPublicKey})
	require.NoError(t, err)
	point := v.PublicKey.KeyBlock.KeyValue.Components.QString
	compressed := append([]byte{2 + point[64]&1}, point[1:33]...)
	change := func(q []byte, c kmip.RecommendedCurve) *kmip.Value {
		b := v.PublicKey.KeyBlock
		b.KeyValue = &kmip.KeyValue{Components: &kmip.KeyComponents{RecommendedCurve: c, QString: q}}
		return &kmip.Value{PublicKey: &kmip.PlainKey{KeyBlock: b}}
	}
	got, err := Convert(change(compressed, kmip.RecommendedCurveP256), Form{Format: kmip.KeyFormatTypeX509})
	require.NoError(t, err)
	require.Equal(t, p.publicValue.PublicKey.KeyBlock.KeyValue.Material, got.PublicKey.KeyBlock.KeyValue.Material)

	off := clone(point)
	off[64] ^= 1
	for name, bad := range map[string]*kmip.Value{
		"off the curve": change(off, kmip.RecommendedCurveP256),
		"infinity":      change([]byte{0}, kmip.RecommendedCurveP256),
		"nothing":       change(nil, kmip.RecommendedCurveP256),
		"another curve": change(point, kmip.RecommendedCurveP384),
		"short":         change(compressed[:32], kmip.RecommendedCurveP256),
		"no curve":      change(point, 0),
		"unknown curve": change(point, kmip.RecommendedCurveANSIX9C2PNB163V1),
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(Check(kmip.ObjectTypePublicKey, bad)))
		})
	}
}

// openssl reads every format that has a name there.
func TestConvertOpenSSLReads(t *testing.T) {
	openssl(t)
	for _, v := range []struct {
		a      kmip.Attributes
		format kmip.KeyFormatType
		label  string
		flag   string
	}{
		{describe(kmip.CryptographicAlgorithmRSA, 2048), kmip.KeyFormatTypePKCS1, "RSA PRIVATE KEY", "-check"},
		{describe(kmip.CryptographicAlgorithmRSA, 2048), kmip.KeyFormatTypePKCS8, "PRIVATE KEY", "-check"},
		{describe(kmip.CryptographicAlgorithmEC, 256), kmip.KeyFormatTypeECPrivateKey, "EC PRIVATE KEY", "-check"},
		{describe(kmip.CryptographicAlgorithmEd25519, 0), kmip.KeyFormatTypePKCS8, "PRIVATE KEY", "-text"},
	} {
		dir := t.TempDir()
		p := newPair(t, v.a)
		got, err := Convert(p.privateValue, Form{Format: v.format})
		require.NoError(t, err)
		write(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: v.label, Bytes: got.PrivateKey.KeyBlock.KeyValue.Material}))
		run(t, dir, "openssl", "pkey", "-in", "key.pem", "-noout", v.flag)
		require.Equal(t, string(p.publicValue.PublicKey.KeyBlock.KeyValue.Material), run(t, dir, "openssl", "pkey", "-in", "key.pem", "-pubout", "-outform", "DER"))
	}
}

// Whatever stands in a key block, reading it neither panics nor gives a key that cannot be written and read again.
func FuzzConvert(f *testing.F) {
	for _, a := range []kmip.Attributes{describe(kmip.CryptographicAlgorithmEC, 256), describe(kmip.CryptographicAlgorithmEd25519, 0)} {
		private, public, err := GeneratePair(a, nil, nil)
		require.NoError(f, err)
		f.Add(uint8(kmip.ObjectTypePrivateKey), uint8(kmip.KeyFormatTypePKCS8), uint8(0), private.PrivateKey.KeyBlock.KeyValue.Material)
		f.Add(uint8(kmip.ObjectTypePublicKey), uint8(kmip.KeyFormatTypeX509), uint8(0), public.PublicKey.KeyBlock.KeyValue.Material)
		if t, err := Convert(public, Form{Format: kmip.KeyFormatTypeTransparentECPublicKey}); err == nil {
			b, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagKeyMaterial, t.PublicKey.KeyBlock.KeyValue.Components)
			require.NoError(f, err)
			f.Add(uint8(kmip.ObjectTypePublicKey), uint8(kmip.KeyFormatTypeTransparentECPublicKey), uint8(kmip.CryptographicAlgorithmEC), b)
		}
	}
	f.Add(uint8(kmip.ObjectTypeSymmetricKey), uint8(kmip.KeyFormatTypeRaw), uint8(kmip.CryptographicAlgorithmAES), make([]byte, 16))
	f.Fuzz(func(t *testing.T, object, from, algorithm uint8, material []byte) {
		kv := &kmip.KeyValue{Material: material}
		c := new(kmip.KeyComponents)
		if ttlv.Unmarshal(material, ttlv.V2_1, ttlv.TagKeyMaterial, c, nil) == nil {
			kv = &kmip.KeyValue{Components: c}
		}
		key := &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatType(from), KeyValue: kv, CryptographicAlgorithm: kmip.CryptographicAlgorithm(algorithm)}}
		v := map[kmip.ObjectType]*kmip.Value{
			kmip.ObjectTypeSymmetricKey: {SymmetricKey: key}, kmip.ObjectTypePrivateKey: {PrivateKey: key}, kmip.ObjectTypePublicKey: {PublicKey: key},
		}[kmip.ObjectType(object)]
		if v == nil || Check(kmip.ObjectType(object), v) != nil {
			return
		}
		_, err := Attributes(v)
		require.NoError(t, err)
		k, err := Open(v, nil, nil)
		require.NoError(t, err)
		k.Close()
		for want := kmip.KeyFormatTypeRaw; want <= kmip.KeyFormatTypePKCS10; want++ {
			if got, err := Convert(v, Form{Format: want}); err == nil {
				require.NoError(t, Check(kmip.ObjectType(object), got), want)
			}
		}
	})
}
