package tests

import (
	"bytes"
	"crypto"
	cryptoaes "crypto/aes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// A kind is where keys are kept, and keys of each algorithm that are kept there.
type kind struct {
	t      *testing.T
	c      *client.Client
	prefix string
	number int
}

// name is a new identifier of the kind.
func (k *kind) name() string {
	k.number++
	return k.prefix + strings.ToLower(rand.Text()[:12])
}

func (k *kind) secret(algorithm kmip.CryptographicAlgorithm, bits int32, with ...kmip.Attribute) kmip.UniqueIdentifier {
	return kmip.UniqueIdentifier(create(k.t, k.c, append(usable(k.name(), algorithm, bits), with...)))
}

func (k *kind) aes(with ...kmip.Attribute) kmip.UniqueIdentifier {
	everything := kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskDecrypt | kmip.CryptographicUsageMaskWrapKey |
		kmip.CryptographicUsageMaskUnwrapKey | kmip.CryptographicUsageMaskMACGenerate | kmip.CryptographicUsageMaskMACVerify | kmip.CryptographicUsageMaskDeriveKey
	return k.secret(kmip.CryptographicAlgorithmAES, 256, append(with, kmip.Attribute{Tag: ttlv.TagCryptographicUsageMask, Value: everything})...)
}

func (k *kind) hmac() kmip.UniqueIdentifier {
	mask := kmip.CryptographicUsageMaskMACGenerate | kmip.CryptographicUsageMaskMACVerify | kmip.CryptographicUsageMaskDeriveKey
	return k.secret(kmip.CryptographicAlgorithmHMACSHA256, 256, kmip.Attribute{Tag: ttlv.TagCryptographicUsageMask, Value: mask})
}

func (k *kind) pair(algorithm kmip.CryptographicAlgorithm, bits int32) (private, public kmip.UniqueIdentifier) {
	a, b := createPair(k.t, k.c, usable(k.name(), algorithm, bits))
	return kmip.UniqueIdentifier(a), kmip.UniqueIdentifier(b)
}

// do performs an operation and gives its error.
func (k *kind) do(op kmip.Operation, q any) error { return perform(k.t, k.c, op, q) }

// sealed is encrypted, and decrypted again.
func (k *kind) sealed(uid, by kmip.UniqueIdentifier, p *kmip.CryptographicParameters, iv, plain []byte) error {
	e, err := client.Do[kmip.EncryptResponse](k.t.Context(), k.c, kmip.OperationEncrypt, &kmip.EncryptRequest{
		UniqueIdentifier: uid, CryptographicParameters: p, IVCounterNonce: iv, Data: plain})
	if err != nil {
		return err
	}
	if iv == nil {
		iv = e.IVCounterNonce
	}
	d, err := client.Do[kmip.DecryptResponse](k.t.Context(), k.c, kmip.OperationDecrypt, &kmip.DecryptRequest{
		UniqueIdentifier: by, CryptographicParameters: p, IVCounterNonce: iv, Data: e.Data, AuthenticatedEncryptionTag: e.AuthenticatedEncryptionTag})
	if err != nil {
		return err
	}
	require.Equal(k.t, plain, d.Data)
	require.NotEqual(k.t, plain, e.Data)
	return nil
}

func (k *kind) publicKey(uid kmip.UniqueIdentifier) any {
	key, err := x509.ParsePKIXPublicKey(get(k.t, k.c, string(uid), kmip.KeyFormatTypeX509).Material)
	require.NoError(k.t, err)
	return key
}

// signed is signed, and verified by the server and here.
func (k *kind) signed(private, public kmip.UniqueIdentifier, p *kmip.CryptographicParameters, verify func(key any, digest, signature []byte) bool) error {
	data := []byte("signed")
	s, err := client.Do[kmip.SignResponse](k.t.Context(), k.c, kmip.OperationSign, &kmip.SignRequest{UniqueIdentifier: private, CryptographicParameters: p, Data: data})
	if err != nil {
		return err
	}
	digest := sha256.Sum256(data)
	require.True(k.t, verify(k.publicKey(public), digest[:], s.SignatureData))
	for sent, want := range map[string]kmip.ValidityIndicator{"signed": kmip.ValidityIndicatorValid, "another": kmip.ValidityIndicatorInvalid} {
		v, err := client.Do[kmip.SignatureVerifyResponse](k.t.Context(), k.c, kmip.OperationSignatureVerify, &kmip.SignatureVerifyRequest{
			UniqueIdentifier: public, CryptographicParameters: p, Data: []byte(sent), SignatureData: s.SignatureData})
		if err != nil {
			return err
		}
		require.Equal(k.t, want, v.ValidityIndicator)
	}
	return nil
}

func (k *kind) mac(uid kmip.UniqueIdentifier, p *kmip.CryptographicParameters) error {
	m, err := client.Do[kmip.MACResponse](k.t.Context(), k.c, kmip.OperationMAC, &kmip.MACRequest{UniqueIdentifier: uid, CryptographicParameters: p, Data: []byte("data")})
	if err != nil {
		return err
	}
	v, err := client.Do[kmip.MACVerifyResponse](k.t.Context(), k.c, kmip.OperationMACVerify, &kmip.MACVerifyRequest{
		UniqueIdentifier: uid, CryptographicParameters: p, Data: []byte("data"), MACData: m.MACData})
	if err == nil {
		require.Equal(k.t, kmip.ValidityIndicatorValid, v.ValidityIndicator)
	}
	return err
}

// wrapped gets a key wrapped by another, and imports what comes of it.
func (k *kind) wrapped(key, by kmip.UniqueIdentifier, p kmip.CryptographicParameters) error {
	r, err := client.Do[kmip.GetResponse](k.t.Context(), k.c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: key, KeyWrappingSpecification: &kmip.KeyWrappingSpecification{
		WrappingMethod: kmip.WrappingMethodEncrypt, EncryptionKeyInformation: &kmip.EncryptionKeyInformation{UniqueIdentifier: by, CryptographicParameters: &p}}})
	if err != nil {
		return err
	}
	return k.do(kmip.OperationImport, &kmip.ImportRequest{UniqueIdentifier: kmip.UniqueIdentifier(k.name()), ObjectType: r.ObjectType,
		KeyWrapType: kmip.KeyWrapTypeNotWrapped, Attributes: kmip.Attributes{}.With(ttlv.TagActivationDate, born), Value: r.Value})
}

func (k *kind) derived(from kmip.UniqueIdentifier, method kmip.DerivationMethod, p kmip.DerivationParameters) error {
	return k.do(kmip.OperationDeriveKey, &kmip.DeriveKeyRequest{ObjectType: kmip.ObjectTypeSymmetricKey, UniqueIdentifier: []kmip.UniqueIdentifier{from},
		DerivationMethod: method, DerivationParameters: p, Attributes: kmip.Attributes{}.With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmAES).With(ttlv.TagCryptographicLength, int32(128))})
}

// A row is an operation, and how it ends with a key in the database and with one in a token; 0 is success. What ends differently
// has its reason beside it.
type row struct {
	name            string
	database, token kmip.ResultReason
	do              func(k *kind) error
}

const (
	unsupportedParameters = kmip.ResultReasonUnsupportedCryptographicParameters
	contradictory         = kmip.ResultReasonBadCryptographicParameters
	notSupported          = kmip.ResultReasonOperationNotSupported
)

func mode(m kmip.BlockCipherMode) *kmip.CryptographicParameters {
	return &kmip.CryptographicParameters{BlockCipherMode: m}
}

// rows are the table.
func rows() []row {
	block, iv := bytes.Repeat([]byte("0123456789abcdef"), 3), bytes.Repeat([]byte{7}, 16)
	sealing := func(p kmip.CryptographicParameters, iv, plain []byte) func(*kind) error {
		return func(k *kind) error { uid := k.aes(); return k.sealed(uid, uid, &p, iv, plain) }
	}
	wrapping := func(p kmip.CryptographicParameters) func(*kind) error {
		return func(k *kind) error {
			return k.wrapped(k.aes(kmip.Attribute{Tag: ttlv.TagSensitive, Value: false}), k.aes(), p)
		}
	}
	pkcs5 := kmip.PaddingMethodPKCS5
	sha := func(p kmip.PaddingMethod) *kmip.CryptographicParameters {
		return &kmip.CryptographicParameters{PaddingMethod: p, HashingAlgorithm: kmip.HashingAlgorithmSHA256, CryptographicAlgorithm: kmip.CryptographicAlgorithmRSA}
	}
	rsaPair := func(f func(k *kind, private, public kmip.UniqueIdentifier) error) func(*kind) error {
		return func(k *kind) error {
			private, public := k.pair(kmip.CryptographicAlgorithmRSA, 2048)
			return f(k, private, public)
		}
	}
	ecPair := func(f func(k *kind, private, public kmip.UniqueIdentifier) error) func(*kind) error {
		return func(k *kind) error {
			private, public := k.pair(kmip.CryptographicAlgorithmECDSA, 256)
			return f(k, private, public)
		}
	}
	onAES := func(op kmip.Operation, q func(uid kmip.UniqueIdentifier) any) func(*kind) error {
		return func(k *kind) error { return k.do(op, q(k.aes())) }
	}
	comment := kmip.Attribute{Tag: ttlv.TagComment, Value: "a comment"}
	commented := func(op kmip.Operation, q func(uid kmip.UniqueIdentifier) any) func(*kind) error {
		return func(k *kind) error {
			uid := k.aes(comment)
			if err := k.do(op, q(uid)); err != nil {
				return err
			}
			r := do[kmip.GetAttributesResponse](k.t, k.c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: uid})
			require.False(k.t, r.Attributes.Has(comment), "nothing changed")
			return nil
		}
	}
	return []row{
		{"Encrypt ECB", 0, 0, sealing(*mode(kmip.BlockCipherModeECB), nil, block)},
		{"Encrypt CBC", 0, 0, sealing(*mode(kmip.BlockCipherModeCBC), iv, block)},
		{"Encrypt CBC PKCS5", 0, 0, sealing(kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: pkcs5}, iv, []byte("some text"))},
		{"Encrypt CBC, IV of the server's", 0, 0, sealing(kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: pkcs5}, nil, []byte("some text"))},
		{"Encrypt CTR", 0, 0, sealing(*mode(kmip.BlockCipherModeCTR), iv, []byte("some text"))},
		{"Encrypt GCM", 0, 0, sealing(*mode(kmip.BlockCipherModeGCM), nil, []byte("some text"))},
		{"Encrypt GCM, IV of the client's", 0, 0, sealing(*mode(kmip.BlockCipherModeGCM), iv[:12], []byte("some text"))},
		{"Encrypt CFB", 0, unsupportedParameters, sealing(*mode(kmip.BlockCipherModeCFB), iv, []byte("some text"))},
		{"Encrypt OFB", 0, unsupportedParameters, sealing(*mode(kmip.BlockCipherModeOFB), iv, []byte("some text"))},
		{"Encrypt CCM", 0, unsupportedParameters, sealing(*mode(kmip.BlockCipherModeCCM), nil, []byte("some text"))},
		{"Encrypt NISTKeyWrap", 0, 0, sealing(*mode(kmip.BlockCipherModeNISTKeyWrap), nil, block)},
		{"Encrypt AESKeyWrapPadding", 0, 0, sealing(*mode(kmip.BlockCipherModeAESKeyWrapPadding), nil, block)},
		{"Encrypt AESKeyWrapPadding of nine bytes", 0, 0, sealing(*mode(kmip.BlockCipherModeAESKeyWrapPadding), nil, []byte("some text"))},
		{"Encrypt with a mode that none has", unsupportedParameters, unsupportedParameters, sealing(*mode(kmip.BlockCipherModePCBC), iv, block)},

		{"MAC CMAC", 0, 0, func(k *kind) error {
			return k.mac(k.aes(), &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCMAC, CryptographicAlgorithm: kmip.CryptographicAlgorithmAES})
		}},
		{"MAC HMAC", 0, 0, func(k *kind) error {
			return k.mac(k.hmac(), &kmip.CryptographicParameters{CryptographicAlgorithm: kmip.CryptographicAlgorithmHMACSHA256})
		}},
		{"MAC with another HMAC than the key's", contradictory, contradictory, func(k *kind) error {
			return k.mac(k.hmac(), &kmip.CryptographicParameters{CryptographicAlgorithm: kmip.CryptographicAlgorithmHMACSHA1})
		}},
		{"MAC with another hash than the key's", contradictory, contradictory, func(k *kind) error {
			return k.mac(k.hmac(), &kmip.CryptographicParameters{HashingAlgorithm: kmip.HashingAlgorithmSHA1})
		}},
		{"MAC HMAC with a padding", contradictory, contradictory, func(k *kind) error {
			return k.mac(k.hmac(), &kmip.CryptographicParameters{CryptographicAlgorithm: kmip.CryptographicAlgorithmHMACSHA256, PaddingMethod: kmip.PaddingMethodPKCS5})
		}},

		{"Get in clear", 0, kmip.ResultReasonSensitive, onAES(kmip.OperationGet, func(uid kmip.UniqueIdentifier) any { return &kmip.GetRequest{UniqueIdentifier: uid} })},
		{"Export in clear", 0, kmip.ResultReasonSensitive, onAES(kmip.OperationExport, func(uid kmip.UniqueIdentifier) any { return &kmip.ExportRequest{UniqueIdentifier: uid} })},
		{"Get of what is not sensitive", 0, 0, func(k *kind) error {
			return k.do(kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: k.aes(kmip.Attribute{Tag: ttlv.TagSensitive, Value: false})})
		}},
		{"Get wrapped, NISTKeyWrap", 0, 0, wrapping(*mode(kmip.BlockCipherModeNISTKeyWrap))},
		{"Get wrapped, AESKeyWrapPadding", 0, 0, wrapping(*mode(kmip.BlockCipherModeAESKeyWrapPadding))},
		{"Get wrapped with RSA", 0, 0, func(k *kind) error {
			private, public := k.pair(kmip.CryptographicAlgorithmRSA, 2048)
			secret := k.aes(kmip.Attribute{Tag: ttlv.TagSensitive, Value: false})
			r, err := client.Do[kmip.GetResponse](k.t.Context(), k.c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: secret, KeyWrappingSpecification: &kmip.KeyWrappingSpecification{
				WrappingMethod: kmip.WrappingMethodEncrypt, EncryptionKeyInformation: &kmip.EncryptionKeyInformation{UniqueIdentifier: public, CryptographicParameters: oaep}}})
			if err != nil {
				return err
			}
			r.KeyBlock().KeyWrappingData.EncryptionKeyInformation.UniqueIdentifier = private
			return k.do(kmip.OperationImport, &kmip.ImportRequest{UniqueIdentifier: kmip.UniqueIdentifier(k.name()), ObjectType: r.ObjectType, KeyWrapType: kmip.KeyWrapTypeNotWrapped, Value: r.Value})
		}},

		{"Sign PKCS1v15", 0, 0, rsaPair(func(k *kind, private, public kmip.UniqueIdentifier) error {
			return k.signed(private, public, sha(kmip.PaddingMethodPKCS1v15), func(key any, digest, s []byte) bool {
				return rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, digest, s) == nil
			})
		})},
		{"Sign PSS", 0, 0, rsaPair(func(k *kind, private, public kmip.UniqueIdentifier) error {
			return k.signed(private, public, sha(kmip.PaddingMethodPSS), func(key any, digest, s []byte) bool {
				return rsa.VerifyPSS(key.(*rsa.PublicKey), crypto.SHA256, digest, s, nil) == nil
			})
		})},
		{"Sign ECDSA", 0, 0, ecPair(func(k *kind, private, public kmip.UniqueIdentifier) error {
			p := &kmip.CryptographicParameters{CryptographicAlgorithm: kmip.CryptographicAlgorithmECDSA, HashingAlgorithm: kmip.HashingAlgorithmSHA256}
			return k.signed(private, public, p, func(key any, digest, s []byte) bool { return ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), digest, s) })
		})},
		{"Encrypt OAEP", 0, 0, rsaPair(func(k *kind, private, public kmip.UniqueIdentifier) error {
			return k.sealed(public, private, oaep, nil, []byte("some text"))
		})},
		{"Encrypt PKCS1v15", 0, 0, rsaPair(func(k *kind, private, public kmip.UniqueIdentifier) error {
			return k.sealed(public, private, &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPKCS1v15}, nil, []byte("some text"))
		})},
		{"Get of a public key, each format", 0, 0, rsaPair(func(k *kind, _, public kmip.UniqueIdentifier) error {
			for _, f := range []kmip.KeyFormatType{0, kmip.KeyFormatTypeX509, kmip.KeyFormatTypePKCS1, kmip.KeyFormatTypeTransparentRSAPublicKey} {
				if err := k.do(kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: public, KeyFormatType: f}); err != nil {
					return err
				}
			}
			return nil
		})},
		{"Get of a public key on a curve, each format", 0, 0, ecPair(func(k *kind, _, public kmip.UniqueIdentifier) error {
			for _, f := range []kmip.KeyFormatType{0, kmip.KeyFormatTypeX509, kmip.KeyFormatTypeTransparentECPublicKey} {
				if err := k.do(kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: public, KeyFormatType: f}); err != nil {
					return err
				}
			}
			return nil
		})},
		{"Get of a private key", 0, kmip.ResultReasonSensitive, rsaPair(func(k *kind, private, _ kmip.UniqueIdentifier) error {
			return k.do(kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: private})
		})},

		{"Derive Key ENCRYPT", 0, 0, func(k *kind) error {
			return k.derived(k.aes(), kmip.DerivationMethodENCRYPT, kmip.DerivationParameters{CryptographicParameters: mode(kmip.BlockCipherModeCBC), InitializationVector: iv, DerivationData: [][]byte{block[:16]}})
		}},
		// The material would have to leave the token.
		{"Derive Key HMAC", 0, notSupported, func(k *kind) error {
			return k.derived(k.hmac(), kmip.DerivationMethodHMAC, kmip.DerivationParameters{CryptographicParameters: &kmip.CryptographicParameters{HashingAlgorithm: kmip.HashingAlgorithmSHA256}, DerivationData: [][]byte{[]byte("data")}})
		}},
		{"Create Split Key of it", 0, notSupported, func(k *kind) error {
			return k.do(kmip.OperationCreateSplitKey, &kmip.CreateSplitKeyRequest{ObjectType: kmip.ObjectTypeSplitKey, UniqueIdentifier: k.aes(), SplitKeyParts: 3, SplitKeyThreshold: 3, SplitKeyMethod: kmip.SplitKeyMethodXOR})
		}},

		{"Register", 0, 0, func(k *kind) error {
			uid := register(k.t, k.c, usable(k.name(), kmip.CryptographicAlgorithmAES, 128), block[:16])
			sealed := do[kmip.EncryptResponse](k.t, k.c, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), CryptographicParameters: mode(kmip.BlockCipherModeECB), Data: block[:16]})
			own, err := cryptoaes.NewCipher(block[:16])
			require.NoError(k.t, err)
			want := make([]byte, 16)
			own.Encrypt(want, block[:16])
			require.Equal(k.t, want, sealed.Data)
			return nil
		}},
		{"Import", 0, 0, func(k *kind) error {
			return k.do(kmip.OperationImport, &kmip.ImportRequest{UniqueIdentifier: kmip.UniqueIdentifier(k.name()), ObjectType: kmip.ObjectTypeSymmetricKey, Value: rawKey(kmip.CryptographicAlgorithmAES, block[:32])})
		}},
		{"Create of a name in use", kmip.ResultReasonObjectAlreadyExists, kmip.ResultReasonObjectAlreadyExists, func(k *kind) error {
			return k.do(kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes(string(k.aes()))})
		}},

		{"Re-key without a name", 0, 0, onAES(kmip.OperationReKey, func(uid kmip.UniqueIdentifier) any { return &kmip.ReKeyRequest{UniqueIdentifier: uid} })},
		{"Re-key", 0, 0, func(k *kind) error {
			return k.do(kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: k.aes(), Attributes: named(k.name())})
		}},
		{"Re-key Key Pair", 0, 0, rsaPair(func(k *kind, private, _ kmip.UniqueIdentifier) error {
			return k.do(kmip.OperationReKeyKeyPair, &kmip.ReKeyKeyPairRequest{PrivateKeyUniqueIdentifier: private, PrivateKeyAttributes: named(k.name())})
		})},
		{"rotation by the server", 0, kmip.ResultReasonFeatureNotSupported, onAES(kmip.OperationSetAttribute, func(uid kmip.UniqueIdentifier) any {
			return &kmip.SetAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{{Tag: ttlv.TagRotateAutomatic, Value: true}}}
		})},

		{"Get Attributes", 0, 0, onAES(kmip.OperationGetAttributes, func(uid kmip.UniqueIdentifier) any { return &kmip.GetAttributesRequest{UniqueIdentifier: uid} })},
		{"Get Attribute List", 0, 0, onAES(kmip.OperationGetAttributeList, func(uid kmip.UniqueIdentifier) any { return &kmip.GetAttributeListRequest{UniqueIdentifier: uid} })},
		{"Add Attribute", 0, 0, onAES(kmip.OperationAddAttribute, func(uid kmip.UniqueIdentifier) any {
			return &kmip.AddAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{comment}}
		})},
		// How a key is kept was said when it was made.
		{"Add Attribute x-Strongroom-Protection", kmip.ResultReasonReadOnlyAttribute, kmip.ResultReasonReadOnlyAttribute, onAES(kmip.OperationAddAttribute, func(uid kmip.UniqueIdentifier) any {
			return &kmip.AddAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{}.PlusVendor(kmip.VendorClient, kmip.AttributeProtection, kmip.ProtectionHSMWrapped)}
		})},
		{"Modify Attribute", 0, 0, commented(kmip.OperationModifyAttribute, func(uid kmip.UniqueIdentifier) any {
			return &kmip.ModifyAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{{Tag: ttlv.TagComment, Value: "another"}}}
		})},
		{"Delete Attribute", 0, 0, commented(kmip.OperationDeleteAttribute, func(uid kmip.UniqueIdentifier) any {
			return &kmip.DeleteAttributeRequest{UniqueIdentifier: uid, AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagComment}}}
		})},
		{"Set Attribute", 0, 0, commented(kmip.OperationSetAttribute, func(uid kmip.UniqueIdentifier) any {
			return &kmip.SetAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{{Tag: ttlv.TagComment, Value: "another"}}}
		})},
		{"Adjust Attribute", 0, 0, onAES(kmip.OperationAdjustAttribute, func(uid kmip.UniqueIdentifier) any {
			return &kmip.AdjustAttributeRequest{UniqueIdentifier: uid, AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagProtectionPeriod}}, AdjustmentType: kmip.AdjustmentTypeIncrement}
		})},
		// What a token keeps in flags was said to it when the key was made.
		{"Set Attribute Sensitive", 0, kmip.ResultReasonFeatureNotSupported, func(k *kind) error {
			uid := k.aes(kmip.Attribute{Tag: ttlv.TagSensitive, Value: false})
			return k.do(kmip.OperationSetAttribute, &kmip.SetAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{{Tag: ttlv.TagSensitive, Value: true}}})
		}},
		{"Locate by name", 0, 0, func(k *kind) error {
			name := kmip.Attribute{Tag: ttlv.TagName, Value: kmip.Name{NameValue: k.name(), NameType: kmip.NameTypeUninterpretedTextString}}
			uid := k.aes(name)
			r, err := client.Do[kmip.LocateResponse](k.t.Context(), k.c, kmip.OperationLocate, &kmip.LocateRequest{Attributes: kmip.Attributes{name}})
			if err == nil {
				require.Equal(k.t, []kmip.UniqueIdentifier{uid}, r.UniqueIdentifier)
			}
			return err
		}},

		{"Check", 0, 0, onAES(kmip.OperationCheck, func(uid kmip.UniqueIdentifier) any {
			mask := kmip.CryptographicUsageMaskEncrypt
			return &kmip.CheckRequest{UniqueIdentifier: uid, CryptographicUsageMask: &mask}
		})},
		{"Obtain Lease", 0, 0, onAES(kmip.OperationObtainLease, func(uid kmip.UniqueIdentifier) any { return &kmip.ObtainLeaseRequest{UniqueIdentifier: uid} })},
		{"Usage Limits", kmip.ResultReasonPermissionDenied, kmip.ResultReasonPermissionDenied, func(k *kind) error {
			one := int64(1)
			uid := k.aes(kmip.Attribute{Tag: ttlv.TagUsageLimits, Value: kmip.UsageLimits{UsageLimitsTotal: 2, UsageLimitsUnit: kmip.UsageLimitsUnitObject}})
			do[kmip.GetUsageAllocationResponse](k.t, k.c, kmip.OperationGetUsageAllocation, &kmip.GetUsageAllocationRequest{UniqueIdentifier: uid, UsageLimitsCount: &one})
			require.NoError(k.t, k.sealed(uid, uid, gcm, nil, []byte("x")))
			return k.sealed(uid, uid, gcm, nil, []byte("x"))
		}},
		{"Archive", kmip.ResultReasonObjectArchived, kmip.ResultReasonObjectArchived, func(k *kind) error {
			uid := k.aes()
			do[kmip.ArchiveResponse](k.t, k.c, kmip.OperationArchive, &kmip.ArchiveRequest{UniqueIdentifier: uid})
			archived := k.sealed(uid, uid, gcm, nil, []byte("x"))
			do[kmip.RecoverResponse](k.t, k.c, kmip.OperationRecover, &kmip.RecoverRequest{UniqueIdentifier: uid})
			require.NoError(k.t, k.sealed(uid, uid, gcm, nil, []byte("x")))
			return archived
		}},
		{"Activate", kmip.ResultReasonWrongKeyLifecycleState, kmip.ResultReasonWrongKeyLifecycleState, func(k *kind) error {
			uid := kmip.UniqueIdentifier(create(k.t, k.c, aes(k.name()).Without(ttlv.TagActivationDate)))
			before := k.sealed(uid, uid, gcm, nil, []byte("x"))
			do[kmip.ActivateResponse](k.t, k.c, kmip.OperationActivate, &kmip.ActivateRequest{UniqueIdentifier: uid})
			require.NoError(k.t, k.sealed(uid, uid, gcm, nil, []byte("x")))
			return before
		}},
		{"Revoke", kmip.ResultReasonWrongKeyLifecycleState, kmip.ResultReasonWrongKeyLifecycleState, func(k *kind) error {
			uid := k.aes()
			revoke(k.t, k.c, string(uid))
			return k.sealed(uid, uid, gcm, nil, []byte("x"))
		}},
		// Operators of tokens expect to destroy without revoking first.
		{"Destroy of an Active key", kmip.ResultReasonWrongKeyLifecycleState, 0, onAES(kmip.OperationDestroy, func(uid kmip.UniqueIdentifier) any { return &kmip.DestroyRequest{UniqueIdentifier: uid} })},
		// Nothing stays of a key in a token.
		{"use of what is destroyed", kmip.ResultReasonObjectDestroyed, kmip.ResultReasonObjectNotFound, func(k *kind) error {
			uid := k.aes()
			revoke(k.t, k.c, string(uid))
			destroy(k.t, k.c, string(uid))
			return k.sealed(uid, uid, gcm, nil, []byte("x"))
		}},
		{"Grant Access", 0, 0, func(k *kind) error {
			uid := k.aes()
			grant(k.t, k.c, string(uid), "bob", kmip.OperationEncrypt)
			withdraw(k.t, k.c, string(uid), "bob", kmip.OperationEncrypt)
			return nil
		}},
	}
}

// TestBothKinds performs the same operations on keys in the database and on keys in a token.
func TestBothKinds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	for _, prefix := range []string{"", "hsm::4::"} {
		t.Run(map[bool]string{true: "token", false: "database"}[prefix != ""], func(t *testing.T) {
			for _, r := range rows() {
				t.Run(r.name, func(t *testing.T) {
					k := &kind{t: t, c: s.client("admin", ttlv.V2_1), prefix: prefix}
					want := r.database
					if prefix != "" {
						want = r.token
					}
					err := r.do(k)
					if want == 0 {
						require.NoError(t, err)
						return
					}
					require.Error(t, err)
					require.Equal(t, want, refusal(t, err).Reason, "%v", err)
				})
			}
		})
	}
}
