package server

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// pairOf gives two values of an attribute that a symmetric key of 256 bits can have.
func pairOf(t *testing.T, rule *kmip.AttributeRule) [2]any {
	later := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	switch rule.Tag {
	case ttlv.TagCryptographicAlgorithm:
		return [2]any{kmip.CryptographicAlgorithmAES, kmip.CryptographicAlgorithmDES3}
	case ttlv.TagCryptographicLength:
		return [2]any{int32(256), int32(128)}
	case ttlv.TagObjectType:
		return [2]any{kmip.ObjectTypeSymmetricKey, kmip.ObjectTypeSecretData}
	case ttlv.TagUsageLimits:
		five := int64(5)
		limits := func(n int64) kmip.UsageLimits {
			return kmip.UsageLimits{UsageLimitsTotal: n, UsageLimitsCount: &five, UsageLimitsUnit: kmip.UsageLimitsUnitByte}
		}
		return [2]any{limits(100), limits(200)}
	case ttlv.TagRandomNumberGenerator:
		return [2]any{generator(false), kmip.RNGParameters{RNGAlgorithm: kmip.RNGAlgorithmDRBG}}
	case ttlv.TagSensitive, ttlv.TagFresh, ttlv.TagQuantumSafe:
		return [2]any{false, true}
	case ttlv.TagExtractable:
		return [2]any{true, false}
	case ttlv.TagKeyFormatType:
		return [2]any{kmip.KeyFormatTypeRaw, kmip.KeyFormatTypePKCS8}
	}
	switch rule.Zero.(type) {
	case string:
		return [2]any{"one", "two"}
	case []byte:
		return [2]any{[]byte{1}, []byte{2}}
	case bool:
		return [2]any{true, false}
	case int32:
		return [2]any{int32(1), int32(2)}
	case ttlv.Interval:
		return [2]any{ttlv.Interval(100_000_000), ttlv.Interval(200_000_000)}
	case time.Time:
		return [2]any{later, later}
	case kmip.Name:
		return [2]any{kmip.Name{NameValue: "one", NameType: kmip.NameTypeURI}, kmip.Name{NameValue: "two", NameType: kmip.NameTypeURI}}
	case kmip.RotateName:
		return [2]any{kmip.RotateName{RotateNameValue: "one", RotateNameType: kmip.NameTypeURI}, kmip.RotateName{RotateNameValue: "two", RotateNameType: kmip.NameTypeURI}}
	case kmip.Link:
		link := func(s kmip.UniqueIdentifier) kmip.Link {
			return kmip.Link{LinkType: kmip.LinkTypeCertificateLink, LinkedObjectIdentifier: s}
		}
		return [2]any{link("one"), link("two")}
	case kmip.ApplicationSpecificInformation:
		return [2]any{kmip.ApplicationSpecificInformation{ApplicationNamespace: "ns", ApplicationData: "one"}, kmip.ApplicationSpecificInformation{ApplicationNamespace: "ns", ApplicationData: "two"}}
	case kmip.AlternativeName:
		return [2]any{kmip.AlternativeName{AlternativeNameValue: "one", AlternativeNameType: 1}, kmip.AlternativeName{AlternativeNameValue: "two", AlternativeNameType: 1}}
	case kmip.KeyValueLocation:
		return [2]any{kmip.KeyValueLocation{KeyValueLocationValue: "one", KeyValueLocationType: 1}, kmip.KeyValueLocation{KeyValueLocationValue: "two", KeyValueLocationType: 1}}
	case kmip.CryptographicParameters:
		return [2]any{kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC}, kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeECB}}
	case kmip.CryptographicUsageMask:
		return [2]any{kmip.CryptographicUsageMaskEncrypt, kmip.CryptographicUsageMaskDecrypt}
	case kmip.Digest:
		digest := kmip.Digest{HashingAlgorithm: kmip.HashingAlgorithmSHA256, DigestValue: []byte{1}, KeyFormatType: kmip.KeyFormatTypeRaw}
		return [2]any{digest, digest}
	case kmip.NISTKeyType:
		return [2]any{kmip.NISTKeyTypeSymmetricMasterKey, kmip.NISTKeyTypeSymmetricDataEncryptionKey}
	case kmip.OldCertificateIdentifier:
		return [2]any{kmip.OldCertificateIdentifier{Issuer: "one"}, kmip.OldCertificateIdentifier{Issuer: "two"}}
	}
	return [2]any{firstOf(rule.Zero), firstOf(rule.Zero)}
}

// firstOf is the first value of an enumeration, or a structure as it is.
func firstOf(zero any) any {
	switch zero.(type) {
	case kmip.CertificateType:
		return kmip.CertificateTypeX509
	case kmip.DigitalSignatureAlgorithm:
		return kmip.DigitalSignatureAlgorithmSHA256WithRSAEncryption
	case kmip.State:
		return kmip.StateActive
	case kmip.OpaqueDataType:
		return kmip.OpaqueDataType(0x80000001)
	case kmip.ProtectionLevel:
		return kmip.ProtectionLevelHigh
	case kmip.ProtectionStorageMask:
		return kmip.ProtectionStorageMaskSoftware
	case kmip.RevocationReason:
		return kmip.RevocationReason{RevocationReasonCode: kmip.RevocationReasonCodeUnspecified}
	}
	return zero
}

// A ruleTest asks for one attribute at one version.
type ruleTest struct {
	*testing.T
	c      *client.Client
	v      ttlv.Version
	rule   *kmip.AttributeRule
	values [2]any
}

func (t *ruleTest) attribute(i int) kmip.Attribute {
	if t.rule.Tag == ttlv.TagUniqueIdentifier {
		return kmip.Attribute{Tag: t.rule.Tag, Value: "uid-" + rand.Text()} // one is used once
	}
	return kmip.Attribute{Tag: t.rule.Tag, Value: t.values[i]}
}

// key makes a Pre-Active symmetric key without attributes but those it needs, and this one where it is given.
func (t *ruleTest) key(with ...kmip.Attribute) (kmip.UniqueIdentifier, error) {
	q := aes("")
	q.Attributes = q.Attributes.Without(ttlv.TagActivationDate)
	for _, a := range with {
		q.Attributes = q.Attributes.With(a.Tag, a.Value)
	}
	response, err := client.Do[kmip.CreateResponse](t.Context(), t.c, kmip.OperationCreate, q)
	if err != nil {
		return "", err
	}
	return response.UniqueIdentifier, nil
}

func (t *ruleTest) made(with ...kmip.Attribute) kmip.UniqueIdentifier {
	uid, err := t.key(with...)
	require.NoError(t, err)
	return uid
}

// wants requires that an operation ends as is expected of it; 0 is success.
func wants[Q any](t *ruleTest, want kmip.ResultReason, op kmip.Operation, q *Q) {
	t.Helper()
	_, err := client.Do[struct{}](t.Context(), t.c, op, q)
	if want == 0 {
		require.NoError(t, err)
		return
	}
	require.ErrorContains(t, err, want.For(op, t.v).String())
}

func (t *ruleTest) seen(uid kmip.UniqueIdentifier) kmip.Attributes {
	return attributesNamed(t.T, t.c, uid, kmip.Attribute{Tag: t.rule.Tag})
}

// applies says whether symmetric keys have the attribute.
func (t *ruleTest) applies() bool { return t.rule.AppliesTo(kmip.ObjectTypeSymmetricKey, t.v) }

// set gives a key the attribute, and says whether that can be done.
func (t *ruleTest) set() (kmip.UniqueIdentifier, bool) {
	if !t.rule.ClientSets && !t.rule.Stated || !t.applies() {
		return "", false
	}
	return t.made(t.attribute(0)), true
}

// TestAttributeRules holds the server against the table of attributes: which a client may give when an object is made, add, modify,
// delete, set and adjust, at each version, and with which Result Reason the rest is refused.
func TestAttributeRules(t *testing.T) {
	g := newRig(t, Limits{})
	for _, v := range kmip.Versions {
		c := g.client("alice", v)
		t.Run(v.String(), func(t *testing.T) {
			for i := range kmip.AttributeRules {
				rule := &kmip.AttributeRules[i]
				if v < rule.Since || v > rule.Until {
					continue
				}
				t.Run(rule.Name, func(t *testing.T) {
					r := &ruleTest{t, c, v, rule, pairOf(t, rule)}
					r.create()
					r.add()
					r.modify()
					r.delete()
					if v >= ttlv.V2_0 {
						r.setAttribute()
						r.adjust()
					}
				})
			}
		})
	}
}

// create: who sets it, and that an object that always has a value has one.
func (t *ruleTest) create() {
	_, err := t.key(t.attribute(0))
	switch {
	case !t.rule.ClientSets && !t.rule.Stated:
		require.ErrorContains(t, err, kmip.ResultReasonAttributeReadOnly.For(kmip.OperationCreate, t.v).String())
	case !t.rule.AppliesEver(kmip.ObjectTypeSymmetricKey):
		require.ErrorContains(t, err, kmip.ResultReasonInvalidAttribute.For(kmip.OperationCreate, t.v).String())
	default:
		require.NoError(t, err)
	}
	if t.rule.Always.Has(kmip.ObjectTypeSymmetricKey) && t.applies() {
		require.NotEmpty(t, t.seen(t.made()))
	}
}

// add: an instance more, where there may be one.
func (t *ruleTest) add() {
	uid := t.made()
	before := t.seen(uid)
	op, q := kmip.OperationAddAttribute, &kmip.AddAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{t.attribute(0)}}
	switch {
	case !t.applies():
		wants(t, kmip.ResultReasonInvalidAttribute, op, q)
	case !t.rule.ClientSets:
		wants(t, kmip.ResultReasonReadOnlyAttribute, op, q)
	case !t.rule.Multiple && len(before) > 0:
		wants(t, kmip.ResultReasonAttributeSingleValued, op, q)
	default:
		wants(t, 0, op, q)
		require.Len(t, t.seen(uid), len(before)+1)
		again := kmip.ResultReasonAttributeSingleValued
		if t.rule.Multiple {
			again = kmip.ResultReasonInvalidField
		}
		if t.rule.Tag == ttlv.TagName {
			again = kmip.ResultReasonNonUniqueNameAttribute
		}
		wants(t, again, op, q)
		return
	}
	require.Equal(t, len(before), len(t.seen(uid)))
}

// modify: another value, for what has one.
func (t *ruleTest) modify() {
	request := func(uid kmip.UniqueIdentifier) *kmip.ModifyAttributeRequest {
		return &kmip.ModifyAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{t.attribute(1)}}
	}
	op, bare := kmip.OperationModifyAttribute, t.made()
	switch {
	case !t.applies():
		wants(t, kmip.ResultReasonInvalidField, op, request(bare))
		return
	case !t.rule.Modify:
		wants(t, kmip.ResultReasonAttributeReadOnly, op, request(bare))
	case len(t.seen(bare)) == 0:
		wants(t, kmip.ResultReasonAttributeNotFound, op, request(bare))
	}
	if uid, ok := t.set(); ok && t.rule.Modify {
		wants(t, 0, op, request(uid))
		got := t.seen(uid)
		require.Len(t, got, 1)
		require.True(t, t.same(got[0], 1), "%v", got[0].Value)
	} else if ok {
		wants(t, kmip.ResultReasonAttributeReadOnly, op, request(uid))
	}
}

// same compares what is seen with a value; the count of Usage Limits is the server's.
func (t *ruleTest) same(a kmip.Attribute, i int) bool {
	if l, ok := a.Value.(kmip.UsageLimits); ok {
		return l.UsageLimitsTotal == t.values[i].(kmip.UsageLimits).UsageLimitsTotal && *l.UsageLimitsCount == l.UsageLimitsTotal
	}
	return a.Equal(t.attribute(i))
}

// delete: where the client may.
func (t *ruleTest) delete() {
	request := func(uid kmip.UniqueIdentifier) *kmip.DeleteAttributeRequest {
		return &kmip.DeleteAttributeRequest{UniqueIdentifier: uid, AttributeReferences: kmip.AttributeReferences{{Tag: t.rule.Tag}}}
	}
	op, bare := kmip.OperationDeleteAttribute, t.made()
	switch {
	case !t.applies():
		wants(t, kmip.ResultReasonInvalidAttribute, op, request(bare))
		return
	case !t.rule.Delete:
		wants(t, kmip.ResultReasonAttributeReadOnly, op, request(bare))
	default:
		wants(t, kmip.ResultReasonAttributeNotFound, op, request(bare))
	}
	if uid, ok := t.set(); ok && t.rule.Delete {
		wants(t, 0, op, request(uid))
		require.Empty(t, t.seen(uid))
	} else if ok {
		wants(t, kmip.ResultReasonAttributeReadOnly, op, request(uid))
		require.NotEmpty(t, t.seen(uid))
	}
}

// setAttribute adds where there is none, and modifies the one that there is.
func (t *ruleTest) setAttribute() {
	op, bare := kmip.OperationSetAttribute, t.made()
	has := len(t.seen(bare)) > 0
	switch {
	case !t.applies():
		wants(t, kmip.ResultReasonInvalidField, op, set(bare, t.attribute(0)))
	case has && !t.rule.Modify, !has && !t.rule.ClientSets:
		wants(t, kmip.ResultReasonReadOnlyAttribute, op, set(bare, t.attribute(0)))
	default:
		wants(t, 0, op, set(bare, t.attribute(0)))
		require.True(t, t.same(t.seen(bare)[0], 0))
	}
	if uid, ok := t.set(); ok && t.rule.Modify {
		wants(t, 0, op, set(uid, t.attribute(1)))
		require.True(t, t.same(t.seen(uid)[0], 1))
	}
}

// adjust changes numbers, dates and truths, where the client may modify them.
func (t *ruleTest) adjust() {
	uid, ok := t.set()
	if !ok {
		return
	}
	how := kmip.AdjustmentTypeIncrement
	switch t.rule.Zero.(type) {
	case bool:
		how = kmip.AdjustmentTypeNegate
	case int32, ttlv.Interval, time.Time:
	default:
		return
	}
	want := kmip.ResultReason(0)
	if !t.rule.Modify {
		want = kmip.ResultReasonReadOnlyAttribute
	}
	before := t.seen(uid)
	wants(t, want, kmip.OperationAdjustAttribute, adjusting(uid, kmip.Attribute{Tag: t.rule.Tag}, how, nil))
	require.Equal(t, want == 0, !t.seen(uid)[0].Equal(before[0]))
}
