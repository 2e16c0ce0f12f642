package tests

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// An eye is a client of one version, and how it finds things in an answer.
type eye struct {
	*talk
	old bool // 1.x: attributes have names
}

// sees is what the client is told of an object.
func (e *eye) sees(uid string) reply {
	e.t.Helper()
	payload := e.one(operation("GetAttributes", "", id(uid)))
	if e.old {
		return payload
	}
	return payload.child(ttlv.TagAttributes)
}

// values are those of an attribute, by its name in 1.x.
func (e *eye) values(seen reply, name string) (found []ttlv.Node) {
	for _, c := range seen.node.Children {
		r := reply{e.t, c}
		vendor, custom := strings.CutPrefix(name, "x-")
		switch {
		case e.old && c.Tag == ttlv.TagAttribute && r.value(ttlv.TagAttributeName) == name:
			found = append(found, r.child(ttlv.TagAttributeValue).node)
		case !e.old && custom && c.Tag == ttlv.TagAttribute && r.value(ttlv.TagVendorIdentification) == "x" && r.value(ttlv.TagAttributeName) == vendor:
			found = append(found, r.child(ttlv.TagAttributeValue).node)
		case !e.old && c.Tag.String() == strings.ReplaceAll(name, " ", ""):
			found = append(found, c)
		}
	}
	return found
}

// terms requires that an answer has nothing but attributes of the version, in its own form.
func (e *eye) terms(seen reply, version ttlv.Version) {
	e.t.Helper()
	byName := map[string]*kmip.AttributeRule{}
	for i := range kmip.AttributeRules {
		byName[kmip.AttributeRules[i].Name] = &kmip.AttributeRules[i]
	}
	for _, c := range seen.node.Children {
		r := reply{e.t, c}
		rule := kmip.RuleOf(c.Tag)
		if e.old {
			if c.Tag == ttlv.TagUniqueIdentifier {
				continue // of the payload
			}
			require.Equal(e.t, ttlv.TagAttribute, c.Tag, "%s", r)
			require.Empty(e.t, r.all(ttlv.TagVendorIdentification))
			name := r.value(ttlv.TagAttributeName).(string)
			if strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "y-") {
				continue
			}
			rule = byName[name]
		} else if c.Tag == ttlv.TagAttribute {
			require.Len(e.t, r.all(ttlv.TagVendorIdentification), 1)
			continue
		}
		require.NotNil(e.t, rule, "%s", r)
		require.True(e.t, rule.Since <= version && version <= rule.Until, "%v has no %s", version, rule.Name)
	}
}

// facts are what every client is to see of an object.
type facts struct {
	uid, object     string
	name, project   string
	linked          string // whither the object has a link
	certificate     bool
	sensitive, made bool // has these attributes: Sensitive, of 1.4 and later; Cryptographic Algorithm
}

const begun = "2001-09-09T01:46:40Z" // an Activation Date

// about are the attributes that the objects of the test have, as 1.x and as 2.x says them.
func about(name, project string) (old, young string) {
	old = nameIs(name) + attribute("x-Project", "TextString", project) + attribute("Activation Date", "DateTime", begun) +
		attribute("Contact Information", "TextString", "ops") + attribute("Object Group", "TextString", "shared")
	young = in("Name", text("NameValue", name), enum("NameType", "UninterpretedTextString")) +
		in("Attribute", text("VendorIdentification", "x"), text("AttributeName", "Project"), text("AttributeValue", project)) +
		in("Attribute", text("VendorIdentification", "Acme"), text("AttributeName", "Color"), text("AttributeValue", "red")) +
		fmt.Sprintf(`<ActivationDate type="DateTime" value="%s"/>`, begun) + text("ContactInformation", "ops") + text("ObjectGroup", "shared")
	return old, young
}

// TestVersionsShareObjects shows that a client of 1.0, one of 1.4 and one of 2.1 share objects, and each sees them in its own terms.
func TestVersionsShareObjects(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	eyes := map[ttlv.Version]*eye{
		ttlv.V1_0: {s.talk(t, "1.0"), true}, ttlv.V1_4: {s.talk(t, "1.4"), true}, ttlv.V2_1: {s.talk(t, "2.1"), false},
	}
	old, middle, young := eyes[ttlv.V1_0], eyes[ttlv.V1_4], eyes[ttlv.V2_1]

	oldTerms, _ := about("key", "one")
	key := old.one(operation("Create", "", enum("ObjectType", "SymmetricKey"), template(describedAs("AES", 256, 12)+oldTerms))).uid()
	oldTerms, _ = about("pair", "two")
	pair := middle.one(operation("CreateKeyPair", "", in("CommonTemplateAttribute", describedAs("ECDSA", 256, 0)+oldTerms),
		in("PrivateKeyTemplateAttribute", attribute("Cryptographic Usage Mask", "Integer", "1")), in("PublicKeyTemplateAttribute", attribute("Cryptographic Usage Mask", "Integer", "2"))))
	private, public := pair.value(ttlv.TagPrivateKeyUniqueIdentifier).(string), pair.value(ttlv.TagPublicKeyUniqueIdentifier).(string)
	_, youngTerms := about("certificate", "three")
	der := s.pair("tls/server").Certificate[0]
	certificate := young.one(operation("Register", "", enum("ObjectType", "Certificate"), in("Attributes", youngTerms),
		in("Certificate", enum("CertificateType", "X_509"), bytesOf("CertificateValue", hex.EncodeToString(der))))).uid()
	oldTerms, _ = about("secret", "four")
	secret := middle.one(operation("Register", "", enum("ObjectType", "SecretData"), template(attribute("Cryptographic Usage Mask", "Integer", "2")+oldTerms),
		in("SecretData", enum("SecretDataType", "Password"), in("KeyBlock", enum("KeyFormatType", "Opaque"), in("KeyValue", bytesOf("KeyMaterial", "736563726574")))))).uid()

	for _, f := range []facts{
		{uid: key, object: "SymmetricKey", name: "key", project: "one", sensitive: true, made: true},
		{uid: private, object: "PrivateKey", name: "pair", project: "two", linked: public, sensitive: true, made: true},
		{uid: public, object: "PublicKey", name: "pair", project: "two", linked: private, sensitive: true, made: true},
		{uid: certificate, object: "Certificate", name: "certificate", project: "three", certificate: true, sensitive: true, made: true},
		{uid: secret, object: "SecretData", name: "secret", project: "four", sensitive: true},
	} {
		for version, e := range eyes {
			e.shows(f, version)
		}
	}
	sharedChanges(t, old, middle, young, key)
}

// shows requires that the client of a version sees an object as it is.
func (e *eye) shows(f facts, version ttlv.Version) {
	e.t.Helper()
	seen := e.sees(f.uid)
	e.terms(seen, version)
	one := func(name string) ttlv.Node {
		found := e.values(seen, name)
		require.Len(e.t, found, 1, "%v: %s of a %s\n%s", version, name, f.object, seen)
		return found[0]
	}
	require.Equal(e.t, f.name, reply{e.t, one("Name")}.value(ttlv.TagNameValue))
	require.Equal(e.t, f.project, one("x-Project").Value)
	require.Equal(e.t, "ops", one("Contact Information").Value)
	require.Equal(e.t, "shared", one("Object Group").Value)
	require.EqualValues(e.t, kmip.StateActive, one("State").Value)
	require.Equal(e.t, born.Unix(), one("Activation Date").Value.(interface{ Unix() int64 }).Unix())
	require.Equal(e.t, f.object, ttlv.EnumName(ttlv.TagObjectType, one("Object Type").Value.(uint32)))
	if f.linked != "" {
		require.Equal(e.t, f.linked, reply{e.t, one("Link")}.value(ttlv.TagLinkedObjectIdentifier))
	}
	for name, present := range map[string]bool{
		"Sensitive":               f.sensitive && version >= ttlv.V1_4,
		"Fresh":                   version >= ttlv.V1_1,
		"Key Format Type":         version >= ttlv.V2_0,
		"Short Unique Identifier": version >= ttlv.V2_0,
		"Cryptographic Algorithm": f.made,
		"Certificate Identifier":  f.certificate && version < ttlv.V2_0,
		"Certificate Length":      f.certificate && version >= ttlv.V1_1,
		"Certificate Issuer CN":   f.certificate && version >= ttlv.V2_0,
		"Operation Policy Name":   false,
	} {
		require.Equal(e.t, present, len(e.values(seen, name)) > 0, "%v: %s of a %s", version, name, f.object)
	}
	acme := 0
	for _, a := range seen.all(ttlv.TagAttribute) {
		if !e.old && a.value(ttlv.TagVendorIdentification) == "Acme" {
			acme++
		}
	}
	require.Equal(e.t, f.certificate && version >= ttlv.V2_0, acme == 1, "1.x has no name for vendors' attributes")
	found := e.one(operation("Locate", "", map[bool]string{true: nameIs(f.name), false: in("Attributes", in("Name", text("NameValue", f.name), enum("NameType", "UninterpretedTextString")))}[e.old]))
	require.Contains(e.t, found.uids(), f.uid)
	got := e.one(operation("Get", "", id(f.uid)))
	require.EqualValues(e.t, f.object, ttlv.EnumName(ttlv.TagObjectType, got.value(ttlv.TagObjectType).(uint32)))
}

// sharedChanges changes one object by each client, and looks at it through the others.
func sharedChanges(t *testing.T, old, middle, young *eye, key string) {
	note := func(e *eye, want ...any) {
		t.Helper()
		var have []any
		for _, n := range e.values(e.sees(key), "x-Note") {
			have = append(have, n.Value)
		}
		require.Equal(t, want, have)
	}
	old.one(operation("AddAttribute", "", id(key), attribute("x-Note", "TextString", "first")))
	vendor := func(value string) string {
		return in("Attribute", text("VendorIdentification", "x"), text("AttributeName", "Note"), text("AttributeValue", value))
	}
	young.one(operation("AddAttribute", "", id(key), in("NewAttribute", vendor("second"))))
	third := middle.one(operation("AddAttribute", "", id(key), attribute("x-Note", "TextString", "third")))
	require.EqualValues(t, 2, third.value(ttlv.TagAttribute, ttlv.TagAttributeIndex), "the index that it got")
	for _, e := range []*eye{old, middle, young} {
		note(e, "first", "second", "third")
	}
	young.one(operation("ModifyAttribute", "", id(key), in("CurrentAttribute", vendor("second")), in("NewAttribute", vendor("SECOND"))))
	old.one(operation("DeleteAttribute", "", id(key), text("AttributeName", "x-Note"), integerOf("AttributeIndex", 0)))
	note(middle, "SECOND", "third")
	middle.one(operation("DeleteAttribute", "", id(key), text("AttributeName", "x-Note"), integerOf("AttributeIndex", 1)))
	note(young, "third")
	require.EqualValues(t, 2, middle.sees(key).noted("x-Note").value(ttlv.TagAttributeIndex), "an index never changes")

	young.one(operation("Revoke", "", id(key), in("RevocationReason", enum("RevocationReasonCode", "Superseded"), text("RevocationMessage", "done"))))
	for _, e := range []*eye{old, middle, young} {
		seen := e.sees(key)
		require.EqualValues(t, kmip.StateDeactivated, e.values(seen, "State")[0].Value)
		require.Equal(t, "done", reply{t, e.values(seen, "Revocation Reason")[0]}.value(ttlv.TagRevocationMessage))
		require.Len(t, e.values(seen, "Deactivation Date"), 1)
	}
	denied := old.try(operation("ModifyAttribute", "", id(key), attribute("Deactivation Date", "DateTime", begun)))[0]
	require.EqualValues(t, kmip.ResultReasonPermissionDenied, denied.value(ttlv.TagResultReason))
	denied = young.try(operation("ModifyAttribute", "", id(key), in("NewAttribute", fmt.Sprintf(`<DeactivationDate type="DateTime" value="%s"/>`, begun))))[0]
	require.EqualValues(t, kmip.ResultReasonWrongKeyLifecycleState, denied.value(ttlv.TagResultReason))
}

// noted is the one attribute of that name in an answer of 1.x.
func (r reply) noted(name string) reply {
	r.t.Helper()
	for _, a := range r.all(ttlv.TagAttribute) {
		if a.value(ttlv.TagAttributeName) == name {
			return a
		}
	}
	require.Fail(r.t, "no attribute "+name)
	return reply{}
}
