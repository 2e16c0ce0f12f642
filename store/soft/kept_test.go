package soft

import (
	"context"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// half is a private or public key with its material.
func half(private bool, f kmip.KeyFormatType, material []byte) *kmip.Value {
	k := &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: f, KeyValue: &kmip.KeyValue{Material: material}}}
	if private {
		return &kmip.Value{PrivateKey: k}
	}
	return &kmip.Value{PublicKey: k}
}

// opensslKey has openssl make a key, private and public, in DER.
func opensslKey(t *testing.T, args ...string) (pkcs8, spki []byte) {
	t.Helper()
	dir := t.TempDir()
	run(t, dir, "openssl", append([]string{"genpkey", "-out", "key.pem"}, args...)...)
	private := run(t, dir, "openssl", "pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER")
	return []byte(private), []byte(run(t, dir, "openssl", "pkey", "-in", "key.pem", "-pubout", "-outform", "DER"))
}

// domain has openssl make the domain parameters of DSA or DH.
func domain(t *testing.T, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	run(t, dir, "openssl", append([]string{"genpkey", "-genparam", "-out", "params.pem"}, args...)...)
	return dir + "/params.pem"
}

// Keys that nothing is computed with come out of every format as openssl made them, and say what they are.
func TestKeptPairs(t *testing.T) {
	openssl(t)
	const (
		pkcs8, x509f, sec1  = kmip.KeyFormatTypePKCS8, kmip.KeyFormatTypeX509, kmip.KeyFormatTypeECPrivateKey
		ecPrivate, ecPublic = kmip.KeyFormatTypeTransparentECPrivateKey, kmip.KeyFormatTypeTransparentECPublicKey
	)
	for name, v := range map[string]struct {
		args            []string
		algorithm       kmip.CryptographicAlgorithm
		length          int32
		domain          kmip.CryptographicDomainParameters
		private, public []kmip.KeyFormatType
	}{
		"DSA": {[]string{"-paramfile", domain(t, "-algorithm", "DSA", "-pkeyopt", "dsa_paramgen_bits:1024", "-pkeyopt", "dsa_paramgen_q_bits:160")},
			kmip.CryptographicAlgorithmDSA, 1024, kmip.CryptographicDomainParameters{Qlength: 160},
			[]kmip.KeyFormatType{kmip.KeyFormatTypeTransparentDSAPrivateKey, pkcs8}, []kmip.KeyFormatType{kmip.KeyFormatTypeTransparentDSAPublicKey, x509f}},
		"DH, a named group": {[]string{"-algorithm", "DH", "-pkeyopt", "group:ffdhe2048"},
			kmip.CryptographicAlgorithmDH, 2048, kmip.CryptographicDomainParameters{},
			[]kmip.KeyFormatType{kmip.KeyFormatTypeTransparentDHPrivateKey, pkcs8}, []kmip.KeyFormatType{kmip.KeyFormatTypeTransparentDHPublicKey, x509f}},
		"DH, X9.42": {[]string{"-algorithm", "DHX", "-pkeyopt", "dh_rfc5114:1"},
			kmip.CryptographicAlgorithmDH, 1024, kmip.CryptographicDomainParameters{Qlength: 160},
			[]kmip.KeyFormatType{kmip.KeyFormatTypeTransparentDHPrivateKey, pkcs8}, []kmip.KeyFormatType{kmip.KeyFormatTypeTransparentDHPublicKey, x509f}},
		"secp256k1": {[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"},
			algorithmECDSA, 256, kmip.CryptographicDomainParameters{RecommendedCurve: kmip.RecommendedCurveSECP256K1},
			[]kmip.KeyFormatType{sec1, ecPrivate}, []kmip.KeyFormatType{ecPublic, x509f}},
		"brainpoolP320r1": {[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP320r1"},
			algorithmECDSA, 320, kmip.CryptographicDomainParameters{RecommendedCurve: kmip.RecommendedCurveBRAINPOOLP320R1},
			[]kmip.KeyFormatType{sec1, ecPrivate}, []kmip.KeyFormatType{ecPublic, x509f}},
		"sect283r1": {[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:sect283r1"},
			algorithmECDSA, 283, kmip.CryptographicDomainParameters{RecommendedCurve: kmip.RecommendedCurveB283},
			[]kmip.KeyFormatType{sec1, ecPrivate}, []kmip.KeyFormatType{ecPublic, x509f}},
	} {
		t.Run(name, func(t *testing.T) {
			private, public := opensslKey(t, v.args...)
			for _, k := range []struct {
				value   *kmip.Value
				formats []kmip.KeyFormatType
			}{{half(true, pkcs8, private), v.private}, {half(false, x509f, public), v.public}} {
				a, err := Attributes(k.value)
				require.NoError(t, err)
				require.Equal(t, v.algorithm, a.Algorithm())
				require.Equal(t, v.length, a.Length())
				d, _ := kmip.Get[kmip.CryptographicDomainParameters](a, ttlv.TagCryptographicDomainParameters)
				require.Equal(t, v.domain, d)
				require.NotEmpty(t, kmip.All[kmip.Digest](a, ttlv.TagDigest))

				at := k.value
				for _, f := range k.formats {
					at, err = Convert(at, Form{Format: f})
					require.NoError(t, err, f)
					require.NoError(t, Check(k.value.ObjectType(), at), f)
				}
				if last := k.formats[len(k.formats)-1]; last == pkcs8 || last == x509f {
					require.Equal(t, k.value.KeyBlock().KeyValue.Material, at.KeyBlock().KeyValue.Material, "as openssl wrote it")
				} else { // without the point, which PKCS #8 of openssl has
					back, err := Convert(at, Form{Format: sec1})
					require.NoError(t, err)
					dir := t.TempDir()
					write(t, dir, "key.der", back.PrivateKey.KeyBlock.KeyValue.Material)
					require.Equal(t, string(public), run(t, dir, "openssl", "pkey", "-inform", "DER", "-in", "key.der", "-pubout", "-outform", "DER"))
				}
				opened, err := Open(k.value, a, nil)
				require.NoError(t, err)
				_, err = opened.Sign(context.Background(), &kmip.SignRequest{Data: []byte("x")})
				require.Equal(t, kmip.ResultReasonOperationNotSupported, kmip.ReasonOf(err))
				opened.Close()
			}
		})
	}
}

// A group key whose numbers cannot be right is refused.
func TestGroupKeyRefused(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(one, 1024), big.NewInt(105))
	q, g, x := new(big.Int).Lsh(one, 159), big.NewInt(2), big.NewInt(5)
	huge := new(big.Int).Add(new(big.Int).Lsh(one, mostGroup+1), one)
	for name, c := range map[string]*kmip.KeyComponents{
		"nothing":      {},
		"no P":         {Q: q, G: g, X: x},
		"no Q":         {P: p, G: g, X: x},
		"no X":         {P: p, Q: q, G: g},
		"zero":         {P: p, Q: q, G: g, X: new(big.Int)},
		"negative":     {P: p, Q: q, G: g, X: big.NewInt(-1)},
		"X above Q":    {P: p, Q: q, G: g, X: new(big.Int).Add(q, one)},
		"G one":        {P: p, Q: q, G: one, X: x},
		"even P":       {P: new(big.Int).Add(p, one), Q: q, G: g, X: x},
		"P too large":  {P: huge, Q: q, G: g, X: x},
		"Q larger":     {P: p, Q: huge, G: g, X: x},
		"G larger":     {P: p, Q: q, G: huge, X: x},
		"J larger":     {P: p, Q: q, G: g, J: huge, X: x},
		"Y, no X":      {P: p, Q: q, G: g, Y: x},
		"a wrong size": {P: big.NewInt(23), Q: big.NewInt(11), G: g, X: x},
	} {
		v := &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeTransparentDSAPrivateKey, KeyValue: &kmip.KeyValue{Components: c}}}}
		require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(Check(kmip.ObjectTypePrivateKey, v)), name)
	}
	good := &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeTransparentDHPrivateKey,
		KeyValue: &kmip.KeyValue{Components: &kmip.KeyComponents{P: p, G: g, J: x, X: x}}}}}
	require.NoError(t, Check(kmip.ObjectTypePrivateKey, good), "DH has no Q")
}

// Points are written in the form that is asked for, and read in any; openssl writes the same.
func TestKeyCompression(t *testing.T) {
	openssl(t)
	forms := map[string]kmip.KeyCompressionType{
		"compressed": kmip.KeyCompressionTypeECPublicKeyTypeX9_62CompressedPrime,
		"hybrid":     kmip.KeyCompressionTypeECPublicKeyTypeX9_62Hybrid,
	}
	for _, curve := range []string{"prime256v1", "secp521r1", "secp256k1"} {
		for range 4 { // of both signs
			dir := t.TempDir()
			run(t, dir, "openssl", "ecparam", "-genkey", "-name", curve, "-noout", "-out", "key.pem")
			spki := run(t, dir, "openssl", "ec", "-in", "key.pem", "-pubout", "-outform", "DER")
			for form, compression := range forms {
				want := run(t, dir, "openssl", "ec", "-in", "key.pem", "-pubout", "-outform", "DER", "-conv_form", form)
				v := half(false, kmip.KeyFormatTypeX509, []byte(spki))
				got, err := Convert(v, Form{Compression: compression})
				require.NoError(t, err)
				require.Equal(t, want, string(got.PublicKey.KeyBlock.KeyValue.Material), "%s %s", curve, form)
				require.Equal(t, compression, got.PublicKey.KeyBlock.KeyCompressionType)
				require.NoError(t, Check(kmip.ObjectTypePublicKey, got))

				transparent, err := Convert(v, Form{kmip.KeyFormatTypeTransparentECPublicKey, compression})
				require.NoError(t, err)
				raw, err := Convert(v, Form{kmip.KeyFormatTypeRaw, compression})
				require.NoError(t, err)
				require.Equal(t, raw.PublicKey.KeyBlock.KeyValue.Material, transparent.PublicKey.KeyBlock.KeyValue.Components.QString)
				if curve != "secp256k1" || form != "compressed" { // which nothing here can expand
					back, err := Convert(transparent, Form{kmip.KeyFormatTypeX509, kmip.KeyCompressionTypeECPublicKeyTypeUncompressed})
					require.NoError(t, err)
					require.Equal(t, spki, string(back.PublicKey.KeyBlock.KeyValue.Material))
				}
			}
		}
	}
	p := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	same, err := Convert(p.publicValue, Form{Compression: kmip.KeyCompressionTypeECPublicKeyTypeUncompressed})
	require.NoError(t, err)
	require.Equal(t, p.publicValue.PublicKey.KeyBlock.KeyValue, same.PublicKey.KeyBlock.KeyValue)
	ec := newPair(t, describe(kmip.CryptographicAlgorithmEC, 256))
	for _, v := range []struct {
		value *kmip.Value
		form  kmip.KeyCompressionType
	}{
		{ec.privateValue, kmip.KeyCompressionTypeECPublicKeyTypeX9_62CompressedPrime},
		{ec.publicValue, kmip.KeyCompressionTypeECPublicKeyTypeX9_62CompressedChar2},
		{ec.publicValue, 9},
		{symmetricValue(kmip.CryptographicAlgorithmAES, make([]byte, 16)), 0x80000001},
	} {
		_, err := Convert(v.value, Form{Compression: v.form})
		require.Error(t, err)
	}
}

// A digest is of the format that the object is kept in, and of the default one: KMIP 2.1 table 81.
func TestDigests(t *testing.T) {
	p := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	e := newPair(t, describe(kmip.CryptographicAlgorithmEC, 256))
	secret := func(of kmip.SecretDataType) *kmip.Value {
		return &kmip.Value{SecretData: &kmip.SecretData{SecretDataType: of, KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: []byte("x")}}}}
	}
	transparent, err := Convert(symmetricValue(kmip.CryptographicAlgorithmAES, make([]byte, 16)), Form{Format: kmip.KeyFormatTypeTransparentSymmetricKey})
	require.NoError(t, err)
	for name, v := range map[string]struct {
		value *kmip.Value
		want  []kmip.KeyFormatType
	}{
		"RSA, PKCS #8": {p.privateValue, []kmip.KeyFormatType{kmip.KeyFormatTypePKCS8, kmip.KeyFormatTypePKCS1}},
		"RSA, X.509":   {p.publicValue, []kmip.KeyFormatType{kmip.KeyFormatTypeX509, kmip.KeyFormatTypePKCS1}},
		"EC":           {e.privateValue, []kmip.KeyFormatType{kmip.KeyFormatTypePKCS8, kmip.KeyFormatTypeTransparentECPrivateKey}},
		"AES":          {symmetricValue(kmip.CryptographicAlgorithmAES, make([]byte, 16)), []kmip.KeyFormatType{kmip.KeyFormatTypeRaw}},
		"transparent":  {transparent, []kmip.KeyFormatType{kmip.KeyFormatTypeTransparentSymmetricKey, kmip.KeyFormatTypeRaw}},
		"seed":         {secret(kmip.SecretDataTypeSeed), []kmip.KeyFormatType{kmip.KeyFormatTypeRaw}},
		"password":     {secret(kmip.SecretDataTypePassword), nil},
		"opaque":       {&kmip.Value{OpaqueObject: &kmip.OpaqueObject{OpaqueDataValue: []byte("x")}}, []kmip.KeyFormatType{kmip.KeyFormatTypeOpaque}},
	} {
		a, err := Attributes(v.value)
		require.NoError(t, err)
		var got []kmip.KeyFormatType
		for _, d := range kmip.All[kmip.Digest](a, ttlv.TagDigest) {
			got = append(got, d.KeyFormatType)
			if converted, err := Convert(v.value, Form{Format: d.KeyFormatType}); err == nil && converted.KeyBlock() != nil {
				require.Equal(t, digestOf(t, converted.KeyBlock().KeyValue), d.DigestValue, name)
			}
		}
		require.Equal(t, v.want, got, name)
	}
}

func digestOf(t *testing.T, kv *kmip.KeyValue) []byte {
	t.Helper()
	material := kv.Material
	if kv.Components != nil {
		var err error
		material, err = ttlv.Append(nil, ttlv.V1_0, ttlv.TagKeyMaterial, kv.Components)
		require.NoError(t, err)
	}
	d, err := digest(kmip.HashingAlgorithmSHA256, 0)
	require.NoError(t, err)
	h := d.New()
	h.Write(material)
	return h.Sum(nil)
}

// A new object is in the format that its attributes ask for, or is not made.
func TestGenerateFormat(t *testing.T) {
	private := describe(kmip.CryptographicAlgorithmEC, 256).With(ttlv.TagKeyFormatType, kmip.KeyFormatTypeTransparentECPrivateKey)
	public := describe(kmip.CryptographicAlgorithmEC, 256).With(ttlv.TagKeyFormatType, kmip.KeyFormatTypeRaw)
	a, b, err := GeneratePair(private, public, nil)
	require.NoError(t, err)
	require.NotNil(t, a.PrivateKey.KeyBlock.KeyValue.Components.D)
	require.Len(t, b.PublicKey.KeyBlock.KeyValue.Material, 65)
	_, _, err = GeneratePair(private.With(ttlv.TagKeyFormatType, kmip.KeyFormatTypePKCS1), public, nil)
	require.Equal(t, kmip.ResultReasonKeyFormatTypeNotSupported, kmip.ReasonOf(err))
	v, err := Generate(describe(kmip.CryptographicAlgorithmAES, 128).With(ttlv.TagKeyFormatType, kmip.KeyFormatTypeTransparentSymmetricKey), nil)
	require.NoError(t, err)
	require.Len(t, v.SymmetricKey.KeyBlock.KeyValue.Components.Key, 16)
}
