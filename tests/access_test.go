package tests

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/authz"
	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// requests makes, for each operation on an existing object, a request that somebody with the right to it would be answered.
var requests = map[kmip.Operation]func(uid kmip.UniqueIdentifier) any{
	kmip.OperationGet:    func(uid kmip.UniqueIdentifier) any { return &kmip.GetRequest{UniqueIdentifier: uid} },
	kmip.OperationExport: func(uid kmip.UniqueIdentifier) any { return &kmip.ExportRequest{UniqueIdentifier: uid} },
	kmip.OperationGetAttributes: func(uid kmip.UniqueIdentifier) any {
		return &kmip.GetAttributesRequest{UniqueIdentifier: uid}
	},
	kmip.OperationGetAttributeList: func(uid kmip.UniqueIdentifier) any {
		return &kmip.GetAttributeListRequest{UniqueIdentifier: uid}
	},
	kmip.OperationAddAttribute: func(uid kmip.UniqueIdentifier) any {
		return &kmip.AddAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{}.With(ttlv.TagObjectGroup, "added")}
	},
	kmip.OperationModifyAttribute: func(uid kmip.UniqueIdentifier) any {
		return &kmip.ModifyAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{}.With(ttlv.TagComment, "modified")}
	},
	kmip.OperationDeleteAttribute: func(uid kmip.UniqueIdentifier) any {
		return &kmip.DeleteAttributeRequest{UniqueIdentifier: uid, AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagComment}}}
	},
	kmip.OperationReKey: func(uid kmip.UniqueIdentifier) any { return &kmip.ReKeyRequest{UniqueIdentifier: uid} },
	kmip.OperationReKeyKeyPair: func(uid kmip.UniqueIdentifier) any {
		return &kmip.ReKeyKeyPairRequest{PrivateKeyUniqueIdentifier: uid}
	},
	kmip.OperationCertify: func(uid kmip.UniqueIdentifier) any {
		return &kmip.CertifyRequest{UniqueIdentifier: uid, Attributes: kmip.Attributes{}.With(ttlv.TagCertificateType, kmip.CertificateTypeX509)}
	},
	kmip.OperationReCertify: func(uid kmip.UniqueIdentifier) any { return &kmip.ReCertifyRequest{UniqueIdentifier: uid} },
	kmip.OperationSetAttribute: func(uid kmip.UniqueIdentifier) any {
		return &kmip.SetAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{}.With(ttlv.TagComment, "set")}
	},
	kmip.OperationAdjustAttribute: func(uid kmip.UniqueIdentifier) any {
		return &kmip.AdjustAttributeRequest{UniqueIdentifier: uid, AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagProtectionPeriod}}, AdjustmentType: kmip.AdjustmentTypeIncrement}
	},
	kmip.OperationCheck:       func(uid kmip.UniqueIdentifier) any { return &kmip.CheckRequest{UniqueIdentifier: uid} },
	kmip.OperationObtainLease: func(uid kmip.UniqueIdentifier) any { return &kmip.ObtainLeaseRequest{UniqueIdentifier: uid} },
	kmip.OperationGetUsageAllocation: func(uid kmip.UniqueIdentifier) any {
		return &kmip.GetUsageAllocationRequest{UniqueIdentifier: uid, UsageLimitsCount: new(int64(1))}
	},
	kmip.OperationArchive:  func(uid kmip.UniqueIdentifier) any { return &kmip.ArchiveRequest{UniqueIdentifier: uid} },
	kmip.OperationRecover:  func(uid kmip.UniqueIdentifier) any { return &kmip.RecoverRequest{UniqueIdentifier: uid} },
	kmip.OperationActivate: func(uid kmip.UniqueIdentifier) any { return &kmip.ActivateRequest{UniqueIdentifier: uid} },
	kmip.OperationRevoke: func(uid kmip.UniqueIdentifier) any {
		return &kmip.RevokeRequest{UniqueIdentifier: uid, RevocationReason: kmip.RevocationReason{RevocationReasonCode: kmip.RevocationReasonCodeKeyCompromise}}
	},
	kmip.OperationDestroy: func(uid kmip.UniqueIdentifier) any { return &kmip.DestroyRequest{UniqueIdentifier: uid} },
	kmip.OperationEncrypt: func(uid kmip.UniqueIdentifier) any {
		return &kmip.EncryptRequest{UniqueIdentifier: uid, CryptographicParameters: gcm, Data: []byte("data")}
	},
	kmip.OperationDecrypt: func(uid kmip.UniqueIdentifier) any {
		return &kmip.DecryptRequest{UniqueIdentifier: uid, CryptographicParameters: cbc, Data: make([]byte, 16), IVCounterNonce: make([]byte, 16)}
	},
	kmip.OperationSign: func(uid kmip.UniqueIdentifier) any {
		return &kmip.SignRequest{UniqueIdentifier: uid, CryptographicParameters: rsaSHA256, Data: []byte("data")}
	},
	kmip.OperationSignatureVerify: func(uid kmip.UniqueIdentifier) any {
		return &kmip.SignatureVerifyRequest{UniqueIdentifier: uid, CryptographicParameters: rsaSHA256, Data: []byte("data"), SignatureData: make([]byte, 256)}
	},
	kmip.OperationMAC: func(uid kmip.UniqueIdentifier) any {
		return &kmip.MACRequest{UniqueIdentifier: uid, CryptographicParameters: &kmip.CryptographicParameters{CryptographicAlgorithm: kmip.CryptographicAlgorithmHMACSHA256}, Data: []byte("data")}
	},
	kmip.OperationMACVerify: func(uid kmip.UniqueIdentifier) any {
		return &kmip.MACVerifyRequest{UniqueIdentifier: uid, CryptographicParameters: &kmip.CryptographicParameters{CryptographicAlgorithm: kmip.CryptographicAlgorithmHMACSHA256}, Data: []byte("data"), MACData: make([]byte, 32)}
	},
	kmip.OperationGrantAccess: func(uid kmip.UniqueIdentifier) any {
		return &kmip.GrantAccessRequest{UniqueIdentifier: uid, Grantee: "bob", Operations: []kmip.Operation{kmip.OperationGet}}
	},
	kmip.OperationWithdrawAccess: func(uid kmip.UniqueIdentifier) any {
		return &kmip.WithdrawAccessRequest{UniqueIdentifier: uid, Grantee: "bob"}
	},
	kmip.OperationListAccess: func(uid kmip.UniqueIdentifier) any { return &kmip.ListAccessRequest{UniqueIdentifier: uid} },
}

var (
	cbc       = &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodNone}
	rsaSHA256 = &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPKCS1v15, HashingAlgorithm: kmip.HashingAlgorithmSHA256, CryptographicAlgorithm: kmip.CryptographicAlgorithmRSA}
)

// TestRequestsOfEveryOperation keeps the table above whole: an operation on an object that is not in it would go untested.
func TestRequestsOfEveryOperation(t *testing.T) {
	for _, p := range kmip.Payloads {
		if q, ok := p.NewRequest().(kmip.Targeted); ok {
			_, tested := requests[p.Operation]
			require.True(t, tested, "%v needs a request of %T that succeeds in the table", p.Operation, q)
		}
	}
}

// A stranger compares what somebody hears of objects and of identifiers that do not exist.
type stranger struct {
	*testing.T
	c *client.Client
}

// heard is an error without what differs between two identifiers.
func (s *stranger) heard(op kmip.Operation, q any, uid string) string {
	s.Helper()
	e := refusal(s.T, perform(s.T, s.c, op, q))
	return fmt.Sprintf("%v %v %s", e.Status, e.Reason, strings.ReplaceAll(e.Message, uid, "…"))
}

// seesNothing fails the test unless an object that is there, and one that is not, make the same answer to an operation.
func (s *stranger) seesNothing(op kmip.Operation, present, absent string) {
	s.Helper()
	q := requests[op]
	of, none := s.heard(op, q(kmip.UniqueIdentifier(present)), present), s.heard(op, q(kmip.UniqueIdentifier(absent)), absent)
	require.Equal(s, none, of, "%v of %s tells a stranger that it exists", op, present)
	require.Contains(s, of, kmip.ResultReasonObjectNotFound.String())
}

// absentLike is an identifier that nothing has, of the kind and the length of another.
func absentLike(uid string) string { return uid[:len(uid)-2] + "~~" }

// TestStranger has a second identity try every operation on everything that the first one has.
func TestStranger(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bob")
	s.serve()
	admin, bob := s.client("admin", ttlv.V2_1), s.client("bob", ttlv.V2_1)
	uids := []string{create(t, admin, aes("database")), create(t, admin, aes("")), create(t, admin, aes("hsm::4::symmetric"))}
	for _, uid := range []string{"pair", "hsm::4::pair"} {
		private, public := createPair(t, admin, usable(uid, kmip.CryptographicAlgorithmRSA, 2048))
		uids = append(uids, private, public)
	}
	revoked := create(t, admin, aes("revoked"))
	revoke(t, admin, revoked)
	gone := create(t, admin, named("destroyed").With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmAES).With(ttlv.TagCryptographicLength, int32(256)))
	destroy(t, admin, gone)
	uids = append(uids, revoked, gone)
	x := &stranger{t, bob}
	for _, uid := range uids {
		for op := range requests {
			x.seesNothing(op, uid, absentLike(uid))
			can := do[kmip.CanIResponse](t, bob, kmip.OperationCanI, &kmip.CanIRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), Operation: op})
			require.False(t, can.Allowed, "%v %s", op, uid)
		}
	}
	t.Run("as a second key", func(t *testing.T) { strangersSecondKey(t, &stranger{t, bob}, uids) })
	t.Run("older versions", func(t *testing.T) {
		x := &stranger{t, s.client("bob", ttlv.V1_0)}
		for _, uid := range uids {
			q := func(uid string) any { return &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)} }
			of := x.heard(kmip.OperationGet, q(uid), uid)
			require.Equal(t, x.heard(kmip.OperationGet, q(absentLike(uid)), absentLike(uid)), of)
			require.Contains(t, of, kmip.ResultReasonItemNotFound.String())
		}
	})
	require.Empty(t, locate(t, bob))
	for _, q := range []*kmip.ListAccessRequest{{Owned: true}, {Obtained: true}} {
		require.Empty(t, do[kmip.ListAccessResponse](t, bob, kmip.OperationListAccess, q).AccessEntry)
	}
	for _, uid := range []string{"database", "hsm::4::symmetric"} {
		works(t, admin, uid)
	}
}

// strangersSecondKey names the keys of others where a request has room for a second one.
func strangersSecondKey(t *testing.T, x *stranger, uids []string) {
	own := create(t, x.c, aes("bobs"))
	for _, uid := range uids {
		absent := absentLike(uid)
		for name, q := range map[string]func(uid string) (kmip.Operation, any){
			"wrapping at rest": func(uid string) (kmip.Operation, any) {
				return kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: wrappedBy(aes(""), uid)}
			},
			"wrapping on the way out": func(uid string) (kmip.Operation, any) {
				return kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(own), KeyWrappingSpecification: wrapWith(uid)}
			},
			"deriving from it": func(uid string) (kmip.Operation, any) {
				return kmip.OperationDeriveKey, &kmip.DeriveKeyRequest{
					ObjectType: kmip.ObjectTypeSymmetricKey, UniqueIdentifier: []kmip.UniqueIdentifier{kmip.UniqueIdentifier(uid)}, DerivationMethod: kmip.DerivationMethodHKDF, Attributes: aes(""),
				}
			},
			"splitting it": func(uid string) (kmip.Operation, any) {
				return kmip.OperationCreateSplitKey, &kmip.CreateSplitKeyRequest{
					ObjectType: kmip.ObjectTypeSplitKey, UniqueIdentifier: kmip.UniqueIdentifier(uid), SplitKeyParts: 2, SplitKeyThreshold: 2, SplitKeyMethod: kmip.SplitKeyMethodXOR,
				}
			},
			"joining it": func(uid string) (kmip.Operation, any) {
				return kmip.OperationJoinSplitKey, &kmip.JoinSplitKeyRequest{ObjectType: kmip.ObjectTypeSymmetricKey, UniqueIdentifier: []kmip.UniqueIdentifier{kmip.UniqueIdentifier(uid)}}
			},
			"unwrapping on the way in": func(uid string) (kmip.Operation, any) {
				v := rawKey(kmip.CryptographicAlgorithmAES, make([]byte, 40))
				v.SymmetricKey.KeyBlock.KeyWrappingData = &kmip.KeyWrappingData{
					WrappingMethod: kmip.WrappingMethodEncrypt, EncryptionKeyInformation: wrapWith(uid).EncryptionKeyInformation, EncodingOption: kmip.EncodingOptionNoEncoding,
				}
				return kmip.OperationImport, &kmip.ImportRequest{
					UniqueIdentifier: "unwrapped", ObjectType: kmip.ObjectTypeSymmetricKey, KeyWrapType: kmip.KeyWrapTypeNotWrapped, Attributes: aes(""), Value: v,
				}
			},
		} {
			op, of := q(uid)
			_, none := q(absent)
			require.Equal(t, x.heard(op, none, absent), x.heard(op, of, uid), "%s with %s", name, uid)
		}
	}
	revoke(t, x.c, own)
	destroy(t, x.c, own)
}

func wrapWith(uid string) *kmip.KeyWrappingSpecification {
	return &kmip.KeyWrappingSpecification{
		WrappingMethod: kmip.WrappingMethodEncrypt, EncodingOption: kmip.EncodingOptionNoEncoding,
		EncryptionKeyInformation: &kmip.EncryptionKeyInformation{
			UniqueIdentifier:        kmip.UniqueIdentifier(uid),
			CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeNISTKeyWrap},
		},
	}
}

// TestOnlyAdministratorsMakeTokenKeys has somebody else try every way there is.
func TestOnlyAdministratorsMakeTokenKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bob")
	s.serve()
	admin, bob := s.client("admin", ttlv.V2_1), s.client("bob", ttlv.V2_1)
	uid := "hsm::4::bobs"
	value := rawKey(kmip.CryptographicAlgorithmAES, make([]byte, 32))
	for op, q := range map[kmip.Operation]any{
		kmip.OperationCreate:        &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes(uid)},
		kmip.OperationCreateKeyPair: &kmip.CreateKeyPairRequest{CommonAttributes: usable(uid, kmip.CryptographicAlgorithmRSA, 2048)},
		kmip.OperationRegister:      &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes(uid), Value: value},
		kmip.OperationImport: &kmip.ImportRequest{
			UniqueIdentifier: kmip.UniqueIdentifier(uid), ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes(""), Value: value,
		},
	} {
		e := refusal(t, perform(t, bob, op, q))
		require.Equal(t, kmip.ResultReasonPermissionDenied, e.Reason, "%v: %v", op, e)
		can := do[kmip.CanIResponse](t, bob, kmip.OperationCanI, &kmip.CanIRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), Operation: op})
		require.False(t, can.Allowed)

		// Nor can the right to it be granted.
		create(t, admin, aes("hsm::4::"+op.String()))
		e = refusal(t, perform(t, admin, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{
			UniqueIdentifier: kmip.UniqueIdentifier("hsm::4::" + op.String()), Grantee: "bob", Operations: []kmip.Operation{op},
		}))
		require.Equal(t, kmip.ResultReasonInvalidField, e.Reason)
	}
	require.NotContains(t, s.tool("-O"), "bobs")
	require.NotContains(t, locate(t, admin), uid)
}

// A target is a key on which an operation that is granted succeeds.
func target(t *testing.T, c *client.Client, prefix string, op kmip.Operation) string {
	uid := prefix + strings.ReplaceAll(op.String(), " ", "")
	switch op {
	case kmip.OperationSign:
		private, _ := createPair(t, c, usable(uid, kmip.CryptographicAlgorithmRSA, 2048))
		return private
	case kmip.OperationSignatureVerify:
		_, public := createPair(t, c, usable(uid, kmip.CryptographicAlgorithmRSA, 2048))
		return public
	case kmip.OperationMAC, kmip.OperationMACVerify:
		return create(t, c, usable(uid, kmip.CryptographicAlgorithmHMACSHA256, 256).
			With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskMACGenerate|kmip.CryptographicUsageMaskMACVerify))
	case kmip.OperationGetUsageAllocation:
		return create(t, c, aes(uid).With(ttlv.TagUsageLimits, kmip.UsageLimits{UsageLimitsTotal: 10, UsageLimitsUnit: kmip.UsageLimitsUnitByte}))
	case kmip.OperationRecover:
		create(t, c, aes(uid))
		do[kmip.ArchiveResponse](t, c, kmip.OperationArchive, &kmip.ArchiveRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
		return uid
	case kmip.OperationActivate, kmip.OperationDestroy:
		return create(t, c, aes(uid).Without(ttlv.TagActivationDate))
	}
	return create(t, c, aes(uid).With(ttlv.TagSensitive, false).With(ttlv.TagComment, "a comment").With(ttlv.TagProtectionPeriod, ttlv.Interval(3600)))
}

// TestGrantedOperation grants the operations one by one: each lets its own operation in, and no other, until it is withdrawn.
func TestGrantedOperation(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bob")
	s.addClient("carol")
	s.serve()
	admin, bob, carol := s.client("admin", ttlv.V2_1), s.client("bob", ttlv.V2_1), s.client("carol", ttlv.V2_1)
	for _, prefix := range []string{"", "hsm::4::"} {
		for op := range requests {
			if !authz.Grantable(op) || op == kmip.OperationReKeyKeyPair || op == kmip.OperationReKey && prefix != "" {
				continue // what takes more than the grant: TestReKeyInToken
			}
			if op == kmip.OperationCertify || op == kmip.OperationReCertify {
				continue // it takes the right on the issuer's key too: TestCertify
			}
			t.Run(prefix+op.String(), func(t *testing.T) {
				uid := target(t, admin, prefix, op)
				x := &stranger{t, bob}
				x.seesNothing(op, uid, absentLike(uid))
				grant(t, admin, uid, "bob", op)
				if op != kmip.OperationRecover { // what is archived is not on-line
					require.Equal(t, []string{uid}, locate(t, bob))
				}
				require.Empty(t, locate(t, carol))
				for other := range requests {
					can := do[kmip.CanIResponse](t, bob, kmip.OperationCanI, &kmip.CanIRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), Operation: other})
					require.Equal(t, other == op, can.Allowed, "%v", other)
					(&stranger{t, carol}).seesNothing(other, uid, absentLike(uid))
					if other != op {
						x.seesNothing(other, uid, absentLike(uid))
					}
				}
				require.NoError(t, perform(t, bob, op, requests[op](kmip.UniqueIdentifier(uid))))
				if op != kmip.OperationDestroy {
					withdraw(t, admin, uid, "bob", op)
				}
				x.seesNothing(op, uid, absentLike(uid))
				require.Empty(t, locate(t, bob))
				require.Empty(t, do[kmip.ListAccessResponse](t, bob, kmip.OperationListAccess, &kmip.ListAccessRequest{Obtained: true}).AccessEntry)
			})
		}
	}
}

// TestGrantToEveryone: "*" is everyone, for as long as it is not withdrawn.
func TestGrantToEveryone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bob")
	s.serve()
	admin, bob := s.client("admin", ttlv.V2_1), s.client("bob", ttlv.V2_1)
	for _, uid := range []string{"everyones", "hsm::4::everyones"} {
		create(t, admin, aes(uid))
		grant(t, admin, uid, "*", kmip.OperationEncrypt, kmip.OperationDecrypt)
		grant(t, admin, uid, "bob", kmip.OperationEncrypt)
		works(t, bob, uid)
		require.Equal(t, []string{uid}, locate(t, bob))
		x := &stranger{t, bob}
		x.seesNothing(kmip.OperationGet, uid, absentLike(uid))
		withdraw(t, admin, uid, "*")
		_, err := encrypt(t, bob, uid, []byte("his own grant stays"))
		require.NoError(t, err)
		x.seesNothing(kmip.OperationDecrypt, uid, absentLike(uid))
		withdraw(t, admin, uid, "bob")
		x.seesNothing(kmip.OperationEncrypt, uid, absentLike(uid))
		require.Empty(t, locate(t, bob))
	}
}

// TestGrantsDieWithTheirObject: the next key of that label is nobody's but the administrators', whoever destroyed the one
// before, in whatever way.
func TestGrantsDieWithTheirObject(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bob")
	s.serve()
	admin, bob := s.client("admin", ttlv.V2_1), s.client("bob", ttlv.V2_1)
	for name, end := range map[string]func(uid string){
		"owner":   func(uid string) { destroy(t, admin, uid) },
		"grantee": func(uid string) { destroy(t, bob, uid) },
		"another tool": func(uid string) {
			s.tool("--delete-object", "--type", "secrkey", "--label", strings.TrimPrefix(uid, "hsm::4::"))
		},
	} {
		uid := "hsm::4::" + name
		create(t, admin, aes(uid))
		first, err := encrypt(t, admin, uid, []byte("under the first key"))
		require.NoError(t, err)
		grant(t, admin, uid, "bob", kmip.OperationEncrypt, kmip.OperationDecrypt, kmip.OperationDestroy)
		grant(t, admin, uid, "*", kmip.OperationGetAttributes)
		works(t, bob, uid)
		end(uid)
		require.Eventually(t, func() bool { return len(locate(t, bob)) == 0 }, time.Minute, 50*time.Millisecond, name)

		create(t, admin, aes(uid))
		works(t, admin, uid)
		_, err = decrypt(t, admin, first)
		require.Error(t, err, "the second key is the first one")
		x := &stranger{t, bob}
		for op := range requests {
			x.seesNothing(op, uid, absentLike(uid))
		}
		require.Empty(t, do[kmip.ListAccessResponse](t, admin, kmip.OperationListAccess, &kmip.ListAccessRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)}).AccessEntry)
		require.Empty(t, locate(t, bob))
	}
}

// TestRightsInBatch: a batch does not carry a right from one item to the next.
func TestRightsInBatch(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bob")
	s.serve()
	admin, bob := s.client("admin", ttlv.V2_1), s.client("bob", ttlv.V2_1)
	uid := create(t, admin, aes("batched"))
	grant(t, admin, uid, "bob", kmip.OperationGetAttributes)
	items := []*client.Item{
		{Operation: kmip.OperationLocate, Request: &kmip.LocateRequest{}, Response: new(kmip.LocateResponse)},
		{Operation: kmip.OperationGetAttributes, Request: &kmip.GetAttributesRequest{}, Response: new(kmip.GetAttributesResponse)},
		{Operation: kmip.OperationGet, Request: &kmip.GetRequest{}, Response: new(kmip.GetResponse)},
		{Operation: kmip.OperationEncrypt, Request: &kmip.EncryptRequest{CryptographicParameters: gcm, Data: []byte("data")}, Response: new(kmip.EncryptResponse)},
	}
	require.NoError(t, bob.Batch(t.Context(), items...))
	require.NoError(t, items[0].Err)
	require.NoError(t, items[1].Err)
	require.ErrorIs(t, items[2].Err, kmip.ErrNotFound)
	require.ErrorIs(t, items[3].Err, kmip.ErrNotFound)
}

// TestRefusalsAreAudited: who tried what, and that it was refused, stands in the audit log.
func TestRefusalsAreAudited(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bob")
	s.serve()
	admin, bob := s.client("admin", ttlv.V2_1), s.client("bob", ttlv.V2_1)
	uid := create(t, admin, aes("audited"))
	_, err := encrypt(t, bob, uid, []byte("data"))
	require.Error(t, err)
	s.stop()
	lines := bytes.Split(s.read("data/audit.jsonl"), []byte("\n"))
	require.True(t, slices.ContainsFunc(lines, func(line []byte) bool {
		return bytes.Contains(line, []byte(`"bob"`)) && bytes.Contains(line, []byte(`"audited"`)) &&
			bytes.Contains(line, []byte(`"Encrypt"`)) && bytes.Contains(line, []byte(`ObjectNotFound`))
	}), "%s", bytes.Join(lines, []byte("\n")))
	s.must(s.strongroomd("audit", "verify", "--config", s.path("strongroom.toml")))
}
