package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A rule is one sentence of the standard about messages: what is sent, and what comes of it.
type rule struct {
	section      string
	since, until ttlv.Version // all, where 0
	version      string       // of the header, in XML, where it is not the version at hand
	header       string       // in XML, but for the version and the Batch Count
	count        int          // the Batch Count, where it is not that of the items
	items        []string     // in XML; an Operation alone is written as its name, with its payload behind it
	want         string       // "Operation Status Reason" of each answer; of 1.x and 2.x, with | between, where they differ
	then         func(*testing.T, *exchanged)
}

// exchanged is what came of a rule's message.
type exchanged struct {
	rig     *rig
	conn    *tls.Conn
	version ttlv.Version
	answer  *kmip.ResponseMessage
	name    string // that the rule's $NAME stood for
}

// get asks for an object.
func (x *exchanged) get(t *testing.T, uid string) kmip.ResponseBatchItem {
	return one(t, x.conn, x.version, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
}

// uid is the Unique Identifier in answer i.
func (x *exchanged) uid(t *testing.T, i int) string {
	t.Helper()
	var p struct {
		UniqueIdentifier kmip.UniqueIdentifier `ttlv:"UniqueIdentifier,omitempty"`
		Private          kmip.UniqueIdentifier `ttlv:"PrivateKeyUniqueIdentifier,omitempty"`
	}
	var d ttlv.Decoder
	d.Reset(x.version, nil, true)
	require.NoError(t, d.Unmarshal(x.answer.BatchItem[i].ResponsePayload, ttlv.TagResponsePayload, &p))
	return string(p.UniqueIdentifier + p.Private)
}

// message writes a rule's request at version v.
func (x *rule) message(t testing.TB, v ttlv.Version, name string) []byte {
	t.Helper()
	version := x.version
	if version == "" {
		version = fmt.Sprintf(`<ProtocolVersion><ProtocolVersionMajor type="Integer" value="%d"/><ProtocolVersionMinor type="Integer" value="%d"/></ProtocolVersion>`, v.Major(), v.Minor())
	}
	count := len(x.items)
	if x.count != 0 {
		count = x.count
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<RequestMessage><RequestHeader>%s%s<BatchCount type="Integer" value="%d"/></RequestHeader>`, version, x.header, count)
	for i, it := range x.items {
		b.WriteString("<BatchItem>" + itemXML(v, it, i, len(x.items)) + "</BatchItem>")
	}
	b.WriteString("</RequestMessage>")
	n, err := ttlv.ParseXML([]byte(strings.ReplaceAll(b.String(), "$NAME", name)), nil)
	require.NoError(t, err, b.String())
	return n.Append(nil)
}

// itemXML is a batch item: as it stands, or made of an operation and what is in its payload.
func itemXML(v ttlv.Version, it string, i, n int) string {
	if strings.HasPrefix(it, "<") {
		return it
	}
	op, payload, _ := strings.Cut(it, " ")
	if op == "Create" {
		payload = createXML(v, payload)
	}
	id := ""
	if n > 1 {
		id = fmt.Sprintf(`<UniqueBatchItemID type="ByteString" value="%02x"/>`, i+1)
	}
	return fmt.Sprintf(`<Operation type="Enumeration" value="%s"/>%s<RequestPayload>%s</RequestPayload>`, op, id, payload)
}

// createXML asks for an AES key under a name, or under one of the server's.
func createXML(v ttlv.Version, name string) string {
	if v >= ttlv.V2_0 {
		uid := ""
		if name != "" {
			uid = `<UniqueIdentifier type="TextString" value="` + name + `"/>`
		}
		return `<ObjectType type="Enumeration" value="SymmetricKey"/><Attributes>` + uid + `<CryptographicAlgorithm type="Enumeration" value="AES"/><CryptographicLength type="Integer" value="128"/><CryptographicUsageMask type="Integer" value="Encrypt Decrypt MACGenerate"/><ActivationDate type="DateTime" value="2020-01-01T00:00:00Z"/></Attributes>`
	}
	attribute := func(name, typ, value string) string {
		return fmt.Sprintf(`<Attribute><AttributeName type="TextString" value="%s"/><AttributeValue type="%s" value="%s"/></Attribute>`, name, typ, value)
	}
	uid := ""
	if name != "" {
		uid = attribute("Unique Identifier", "TextString", name)
	}
	return `<ObjectType type="Enumeration" value="SymmetricKey"/><TemplateAttribute>` + uid + attribute("Cryptographic Algorithm", "Enumeration", "AES") +
		attribute("Cryptographic Length", "Integer", "128") + attribute("Cryptographic Usage Mask", "Integer", "Encrypt Decrypt MACGenerate") + attribute("Activation Date", "DateTime", "2020-01-01T00:00:00Z") + `</TemplateAttribute>`
}

// told is what an answer comes to, as a rule wants it.
func told(m *kmip.ResponseMessage) string {
	var words []string
	for _, x := range m.BatchItem {
		if x.Operation != 0 {
			words = append(words, x.Operation.String())
		}
		words = append(words, x.ResultStatus.String())
		if x.ResultReason != 0 {
			words = append(words, x.ResultReason.String())
		}
	}
	return strings.Join(words, " ")
}

// check sends a rule's message, and looks at the answer: at what it wants, and at what every answer has.
func (x *rule) check(t *testing.T, g *rig, v ttlv.Version) {
	e := &exchanged{rig: g, conn: g.dial("alice"), version: v, name: strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())}
	_, err := e.conn.Write(x.message(t, v, e.name))
	require.NoError(t, err)
	e.answer = receive(t, e.conn, v)
	one, two, both := strings.Cut(x.want, "|")
	want := one
	if both && v >= ttlv.V2_0 {
		want = two
	}
	require.Equal(t, strings.Join(strings.Fields(want), " "), told(e.answer), "%+v", e.answer.BatchItem)
	h := e.answer.ResponseHeader
	require.EqualValues(t, len(e.answer.BatchItem), h.BatchCount)
	require.WithinDuration(t, time.Now(), h.TimeStamp, 10*time.Second, "KMIP 2.1 §9.20: required")
	require.Nil(t, h.Nonce)
	require.Empty(t, h.ClientCorrelationValue, "KMIP 2.1 §9.10: it belongs to requests")
	for _, a := range e.answer.BatchItem {
		failed := a.ResultStatus == kmip.ResultStatusOperationFailed
		require.Equal(t, failed, a.ResultReason != 0, "KMIP 2.1 §9.18")
		require.Equal(t, failed, a.ResultMessage != "", "KMIP 2.1 table 399")
		if !failed { // the refusal of Check has a payload
			require.Equal(t, a.ResultStatus != kmip.ResultStatusOperationPending, a.ResponsePayload != nil)
		}
	}
	if x.then != nil {
		x.then(t, e)
	}
}

// holds says whether version v has the rule.
func (x *rule) holds(v ttlv.Version) bool { return v >= x.since && (x.until == 0 || v <= x.until) }

var messageRules = map[string][]rule{
	"batches": batchRules, "errors": errorRules, "placeholder": placeholderRules, "references": referenceRules, "header": headerRules, "extensions": extensionRules,
}

// TestMessages holds every rule about messages at every version that has it.
func TestMessages(t *testing.T) {
	g := newRig(t, Limits{})
	for name, rules := range messageRules {
		for i, x := range rules {
			for _, v := range kmip.Versions {
				if !x.holds(v) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%d/%v", name, i, v), func(t *testing.T) {
					t.Log(x.section)
					x.check(t, g, v)
				})
			}
		}
	}
}

const (
	who       = "WhoAmI"
	getAbsent = `Get <UniqueIdentifier type="TextString" value="absent"/>`
)

func text(tag ttlv.Tag, value string) string {
	return fmt.Sprintf(`<%v type="TextString" value="%s"/>`, tag, value)
}

func enumeration(tag, value string) string {
	return fmt.Sprintf(`<%s type="Enumeration" value="%s"/>`, tag, value)
}

func uidXML(name string) string { return text(ttlv.TagUniqueIdentifier, name) }

var undo = enumeration("BatchErrorContinuationOption", "Undo")

// notMade shows that a rule's object was not made.
func notMade(t *testing.T, x *exchanged) {
	require.Equal(t, kmip.ResultReasonObjectNotFound.At(x.version), x.get(t, x.name).ResultReason)
}

var batchRules = []rule{
	{section: "KMIP 1.0 §6.14, KMIP 2.1 §9.5: the Batch Count is that of the items", items: []string{who, who}, count: 1, want: "OperationFailed InvalidMessage"},
	{section: "the same, of fewer items", items: []string{"Create $NAME"}, count: 2, want: "OperationFailed InvalidMessage", then: notMade},
	{section: "KMIP 2.1 §8.1: a message has an item", count: 0, want: "OperationFailed InvalidMessage"},
	{section: "KMIP 1.0 table 188, KMIP 2.1 table 396: Unique Batch Item IDs are required of more than one item", items: []string{
		`<Operation type="Enumeration" value="Create"/><UniqueBatchItemID type="ByteString" value="01"/><RequestPayload/>`,
		`<Operation type="Enumeration" value="WhoAmI"/><RequestPayload/>`,
	}, want: "OperationFailed InvalidMessage"},
	{section: "KMIP 1.0 §6.4, KMIP 2.1 §9.21: they come back", items: []string{who, getAbsent}, want: "WhoAmI Success Get OperationFailed ItemNotFound|WhoAmI Success Get OperationFailed ObjectNotFound",
		then: func(t *testing.T, x *exchanged) {
			require.Equal(t, []byte{1}, x.answer.BatchItem[0].UniqueBatchItemID)
			require.Equal(t, []byte{2}, x.answer.BatchItem[1].UniqueBatchItemID)
		}},
	{section: "of a single item, too", items: []string{`<Operation type="Enumeration" value="WhoAmI"/><UniqueBatchItemID type="ByteString" value="abcd"/><RequestPayload/>`}, want: "WhoAmI Success",
		then: func(t *testing.T, x *exchanged) {
			require.Equal(t, []byte{0xab, 0xcd}, x.answer.BatchItem[0].UniqueBatchItemID)
		}},
	{section: "KMIP 1.0 §6.13, KMIP 2.1 §9.6: Stop is the default", items: []string{who, getAbsent, "Create $NAME"},
		want: "WhoAmI Success Get OperationFailed ItemNotFound|WhoAmI Success Get OperationFailed ObjectNotFound", then: notMade},
	{section: "Stop", header: enumeration("BatchErrorContinuationOption", "Stop"), items: []string{who, getAbsent, "Create $NAME"},
		want: "WhoAmI Success Get OperationFailed ItemNotFound|WhoAmI Success Get OperationFailed ObjectNotFound", then: notMade},
	{section: "Continue", header: enumeration("BatchErrorContinuationOption", "Continue"), items: []string{getAbsent, "Create $NAME", getAbsent, who},
		want: "Get OperationFailed ItemNotFound Create Success Get OperationFailed ItemNotFound WhoAmI Success|Get OperationFailed ObjectNotFound Create Success Get OperationFailed ObjectNotFound WhoAmI Success"},
	{section: "Undo", header: undo, items: []string{"Create $NAME", getAbsent, who},
		want: "Create OperationUndone Get OperationFailed ItemNotFound|Create OperationUndone Get OperationFailed ObjectNotFound",
		then: func(t *testing.T, x *exchanged) {
			require.Equal(t, kmip.ResultReasonObjectDestroyed.At(x.version), x.get(t, x.name).ResultReason)
		}},
	{section: "the option has one of three values", header: `<BatchErrorContinuationOption type="Enumeration" value="0x00000007"/>`, items: []string{"Create $NAME", who},
		want: "OperationFailed InvalidField|OperationFailed UnknownEnumeration", then: notMade},
	{section: "KMIP 1.0 §6.12, KMIP 2.1 §9.8: True is in order", header: `<BatchOrderOption type="Boolean" value="true"/>`, items: []string{"Create $NAME", "Get"}, want: "Create Success Get Success"},
	{section: "False is in any order, theirs too", header: `<BatchOrderOption type="Boolean" value="false"/>`, items: []string{"Create $NAME", "Get"}, want: "Create Success Get Success"},
}

var errorRules = []rule{
	{section: "KMIP 1.0 table 226: a major version that is not spoken", version: `<ProtocolVersion><ProtocolVersionMajor type="Integer" value="3"/><ProtocolVersionMinor type="Integer" value="0"/></ProtocolVersion>`,
		since: ttlv.V2_1, items: []string{who}, want: "OperationFailed UnsupportedProtocolVersion"},
	{section: "a minor version that is not there is answered in the last before it", version: `<ProtocolVersion><ProtocolVersionMajor type="Integer" value="1"/><ProtocolVersionMinor type="Integer" value="5"/></ProtocolVersion>`,
		since: ttlv.V1_4, until: ttlv.V1_4, items: []string{"Create $NAME"}, want: "OperationFailed InvalidMessage",
		then: func(t *testing.T, x *exchanged) {
			require.Equal(t, kmip.VersionOf(ttlv.V1_4), x.answer.ResponseHeader.ProtocolVersion)
			notMade(t, x)
		}},
	{section: "a version that is not spoken is told before the faults of its header", version: `<ProtocolVersion><ProtocolVersionMajor type="Integer" value="4"/><ProtocolVersionMinor type="Integer" value="0"/></ProtocolVersion>`,
		since: ttlv.V2_1, header: `<TTLV tag="0x420FFF" type="Integer" value="1"/>`, items: []string{who}, want: "OperationFailed UnsupportedProtocolVersion"},
	{section: "KMIP 1.0 table 226: an unknown field, in the header", header: `<TTLV tag="0x420FFF" type="Integer" value="1"/>`, items: []string{who}, want: "OperationFailed InvalidField|OperationFailed UnknownTag",
		then: func(t *testing.T, x *exchanged) {
			require.Equal(t, kmip.VersionOf(x.version), x.answer.ResponseHeader.ProtocolVersion)
		}},
	{section: "in a batch item", items: []string{`<Operation type="Enumeration" value="WhoAmI"/><RequestPayload/><TTLV tag="0x420FFF" type="Integer" value="1"/>`}, want: "WhoAmI OperationFailed InvalidField|WhoAmI OperationFailed UnknownTag"},
	{section: "in a payload", items: []string{`Get <TTLV tag="0x420FFF" type="Integer" value="1"/>`}, want: "Get OperationFailed InvalidField|Get OperationFailed UnknownTag"},
	{section: "a known field where it has no place: KMIP 2.1 §11.46, Invalid Message", items: []string{`Get <DigestValue type="ByteString" value="00"/>`}, want: "Get OperationFailed InvalidField|Get OperationFailed InvalidMessage"},
	{section: "KMIP 1.0 §9.1.1.1: a vendor's tag is passed over", items: []string{`WhoAmI <TTLV tag="0x54FFFF" type="Integer" value="1"/>`}, want: "WhoAmI Success"},
	{section: "KMIP 1.0 table 226: a field twice, in the header", header: `<TimeStamp type="DateTime" value="2020-01-01T00:00:00Z"/><TimeStamp type="DateTime" value="2020-01-01T00:00:00Z"/>`, items: []string{who}, want: "OperationFailed InvalidMessage"},
	{section: "in a batch item", items: []string{`<Operation type="Enumeration" value="WhoAmI"/><Operation type="Enumeration" value="WhoAmI"/><RequestPayload/>`}, want: "WhoAmI OperationFailed InvalidMessage"},
	{section: "in a payload", items: []string{`Locate <MaximumItems type="Integer" value="1"/><MaximumItems type="Integer" value="1"/>`}, want: "Locate OperationFailed InvalidMessage"},
	{section: "KMIP 1.0 table 226: a payload that cannot be parsed fails by itself", header: enumeration("BatchErrorContinuationOption", "Continue"), items: []string{`Get <UniqueIdentifier type="Integer" value="1"/><UniqueIdentifier type="ByteString" value="00"/>`, who},
		want: "Get OperationFailed InvalidMessage WhoAmI Success"},
	{section: "so does a batch item", header: enumeration("BatchErrorContinuationOption", "Continue"), items: []string{
		"Create $NAME", `<Operation type="Enumeration" value="WhoAmI"/><UniqueBatchItemID type="Integer" value="1"/><RequestPayload/>`, `<UniqueBatchItemID type="ByteString" value="03"/><RequestPayload/>`, who,
	}, want: "Create Success WhoAmI OperationFailed InvalidMessage OperationFailed InvalidMessage WhoAmI Success"},
	{section: "and what comes before it is undone", header: undo, items: []string{"Create $NAME", `<Operation type="Enumeration" value="WhoAmI"/><UniqueBatchItemID type="Integer" value="1"/><RequestPayload/>`},
		want: "Create OperationUndone WhoAmI OperationFailed InvalidMessage"},
	{section: "KMIP 1.0 table 226: an operation that is not there", items: []string{`<Operation type="Enumeration" value="0x00000077"/><RequestPayload/>`}, want: "0x00000077 OperationFailed OperationNotSupported"},
	{section: "or came later", until: ttlv.V1_1, items: []string{"Encrypt"}, want: "Encrypt OperationFailed OperationNotSupported"},
	{section: "or in 2.1", until: ttlv.V2_0, items: []string{"Ping"}, want: "Ping OperationFailed OperationNotSupported"},
}

var placeholderRules = []rule{
	{section: "KMIP 1.0 §4, KMIP 2.1 §6.1: Create sets the ID placeholder, an operation on another object does not", items: []string{"Create $NAME-1", "Create $NAME-2", "Get " + uidXML("$NAME-1"), "Get"},
		want: "Create Success Create Success Get Success Get Success",
		then: func(t *testing.T, x *exchanged) { require.Equal(t, x.name+"-2", x.uid(t, 3)) }},
	{section: "it is empty at first", items: []string{"Get"}, want: "Get OperationFailed InvalidField"},
	{section: "KMIP 1.0 §4.8, KMIP 2.1 §6.1.28: Locate of no object empties it", items: []string{"Create $NAME", `Locate <MaximumItems type="Integer" value="0"/>`, "Destroy"},
		want: "Create Success Locate Success Destroy OperationFailed InvalidField"},
	{section: "Locate of several empties it", items: []string{"Create $NAME-1", "Create $NAME-2", "Locate", "Destroy"}, want: "Create Success Create Success Locate Success Destroy OperationFailed InvalidField"},
	{section: "Locate of one of several, which the client asks for, sets it", items: []string{"Create $NAME-1", "Create $NAME-2", `Locate <MaximumItems type="Integer" value="1"/>`, "Get"}, want: "Create Success Create Success Locate Success Get Success",
		then: func(t *testing.T, x *exchanged) { require.Equal(t, x.name+"-2", x.uid(t, 3), "the newest") }},
	{section: "KMIP 1.0 §4.22: Recover sets it", items: []string{"Create $NAME-1", "Archive", "Create $NAME-2", "Recover " + uidXML("$NAME-1"), "Get"},
		want: "Create Success Archive Success Create Success Recover Success Get Success",
		then: func(t *testing.T, x *exchanged) { require.Equal(t, x.name+"-1", x.uid(t, 4)) }},
	{section: "KMIP 1.4 §4.41: so does Export", since: ttlv.V1_4, items: []string{"Create $NAME-1", "Create $NAME-2", "Export " + uidXML("$NAME-1"), "Get"},
		want: "Create Success Create Success Export Success Get Success",
		then: func(t *testing.T, x *exchanged) { require.Equal(t, x.name+"-1", x.uid(t, 3)) }},
	{section: "KMIP 1.0 §4.4: Re-key sets it to the replacement", items: []string{"Create $NAME", "ReKey", "Get"}, want: "Create Success ReKey Success Get Success",
		then: func(t *testing.T, x *exchanged) { require.Equal(t, x.uid(t, 1), x.uid(t, 2)) }},
	{section: "KMIP 2.1 §6.1.9: Create Key Pair sets it to the private key", since: ttlv.V2_0, items: []string{pairXML, "Activate"}, want: "CreateKeyPair Success Activate Success",
		then: func(t *testing.T, x *exchanged) { require.Equal(t, x.uid(t, 0), x.uid(t, 1)) }},
	{section: "KMIP 2.1 §6.1.47: Re-key Key Pair to the new one", since: ttlv.V2_0, items: []string{pairXML, "ReKeyKeyPair", "Activate"}, want: "CreateKeyPair Success ReKeyKeyPair Success Activate Success",
		then: func(t *testing.T, x *exchanged) { require.Equal(t, x.uid(t, 1), x.uid(t, 2)) }},
	{section: "KMIP 2.1 §6.1.43: Register", since: ttlv.V2_0, items: []string{registerXML("Register", "$NAME", ""), "Get"}, want: "Register Success Get Success", then: answersName("")},
	{section: "KMIP 2.1 §6.1.25: Import", since: ttlv.V2_0, items: []string{registerXML("Import", "", uidXML("$NAME")), "Get"}, want: "Import Success Get Success", then: answersName("")},
	{section: "KMIP 2.1 §6.1.10: Create Split Key sets it to the first part", since: ttlv.V2_0, items: []string{splitXML, "Get"}, want: "CreateSplitKey Success Get Success", then: answersName("_1")},
	{section: "KMIP 2.1 §6.1.27: Join Split Key to the key, and a list takes all that an identifier stands for", since: ttlv.V2_0, items: []string{splitXML, `JoinSplitKey <ObjectType type="Enumeration" value="SymmetricKey"/>` + referTo("CreateSplitKey"), "Get"},
		want: "CreateSplitKey Success JoinSplitKey Success Get Success",
		then: func(t *testing.T, x *exchanged) { require.Equal(t, x.uid(t, 1), x.uid(t, 2)) }},
	{section: "KMIP 2.1 §6.1.14: Derive Key", since: ttlv.V2_0, items: []string{
		`Register <ObjectType type="Enumeration" value="SecretData"/><Attributes><CryptographicUsageMask type="Integer" value="DeriveKey"/><ActivationDate type="DateTime" value="2020-01-01T00:00:00Z"/></Attributes><SecretData><SecretDataType type="Enumeration" value="Seed"/><KeyBlock><KeyFormatType type="Enumeration" value="Raw"/><KeyValue><KeyMaterial type="ByteString" value="00112233445566778899aabbccddeeff"/></KeyValue></KeyBlock></SecretData>`,
		`DeriveKey <ObjectType type="Enumeration" value="SymmetricKey"/>` + referTo("Register") + `<DerivationMethod type="Enumeration" value="HMAC"/><DerivationParameters><CryptographicParameters><HashingAlgorithm type="Enumeration" value="SHA_256"/></CryptographicParameters><DerivationData type="ByteString" value="00"/></DerivationParameters><Attributes><CryptographicAlgorithm type="Enumeration" value="AES"/><CryptographicLength type="Integer" value="128"/></Attributes>`, "Get",
	}, want: "Register Success DeriveKey Success Get Success",
		then: func(t *testing.T, x *exchanged) { require.Equal(t, x.uid(t, 1), x.uid(t, 2)) }},
	{section: "KMIP 1.0 §4.5: Derive Key does not use it", items: []string{"Create $NAME", `DeriveKey <ObjectType type="Enumeration" value="SymmetricKey"/><UniqueIdentifier type="TextString" value=""/><DerivationMethod type="Enumeration" value="HMAC"/><DerivationParameters/>`},
		want: "Create Success DeriveKey OperationFailed InvalidField"},
	{section: "KMIP 1.0 §4.9: a Check that is refused empties it", header: enumeration("BatchErrorContinuationOption", "Continue"), items: []string{"Create $NAME", `Check <CryptographicUsageMask type="Integer" value="Sign"/>`, "Get"},
		want: "Create Success Check OperationFailed PermissionDenied Get OperationFailed InvalidField|Create Success Check OperationFailed IncompatibleCryptographicUsageMask Get OperationFailed InvalidField"},
}

var pairXML = `CreateKeyPair <CommonAttributes><CryptographicAlgorithm type="Enumeration" value="ECDSA"/><CryptographicDomainParameters><RecommendedCurve type="Enumeration" value="P_256"/></CryptographicDomainParameters><CryptographicUsageMask type="Integer" value="Sign Verify"/></CommonAttributes>`

// registerXML brings in an AES key under a name in its attributes, or beside them.
func registerXML(op, name, beside string) string {
	if name != "" {
		name = uidXML(name)
	}
	return op + " " + beside + `<ObjectType type="Enumeration" value="SymmetricKey"/><Attributes>` + name + `<CryptographicUsageMask type="Integer" value="Encrypt"/></Attributes><SymmetricKey><KeyBlock><KeyFormatType type="Enumeration" value="Raw"/><KeyValue><KeyMaterial type="ByteString" value="00112233445566778899aabbccddeeff"/></KeyValue><CryptographicAlgorithm type="Enumeration" value="AES"/><CryptographicLength type="Integer" value="128"/></KeyBlock></SymmetricKey>`
}

var splitXML = `CreateSplitKey <ObjectType type="Enumeration" value="SplitKey"/><SplitKeyParts type="Integer" value="2"/><SplitKeyThreshold type="Integer" value="2"/><SplitKeyMethod type="Enumeration" value="XOR"/><Attributes>` + uidXML("$NAME") +
	`<CryptographicAlgorithm type="Enumeration" value="AES"/><CryptographicLength type="Integer" value="128"/><CryptographicUsageMask type="Integer" value="Encrypt"/></Attributes>`

func referTo(value string) string { return enumeration("UniqueIdentifier", value) }

func numbered(n int) string {
	return fmt.Sprintf(`<UniqueIdentifier type="Integer" value="%d"/>`, n)
}

// answersName shows which objects the last answers are about.
func answersName(suffixes ...string) func(*testing.T, *exchanged) {
	return func(t *testing.T, x *exchanged) {
		from := len(x.answer.BatchItem) - len(suffixes)
		for i, s := range suffixes {
			require.Equal(t, x.name+s, x.uid(t, from+i))
		}
	}
}

const blocks = `<CryptographicParameters><BlockCipherMode type="Enumeration" value="ECB"/><PaddingMethod type="Enumeration" value="None"/><CryptographicAlgorithm type="Enumeration" value="AES"/></CryptographicParameters>`

var referenceRules = []rule{
	{section: "KMIP 2.1 §11.58: the ID placeholder", since: ttlv.V2_0, items: []string{"Create $NAME", "Get " + referTo("IDPlaceholder")}, want: "Create Success Get Success", then: answersName("")},
	{section: "the most recent operation of a kind", since: ttlv.V2_0, items: []string{"Create $NAME-1", "Create $NAME-2", "Get " + uidXML("$NAME-1"), "Get " + referTo("Create")}, want: "Create Success Create Success Get Success Get Success", then: answersName("-2")},
	{section: "either half of a pair", since: ttlv.V2_0, items: []string{pairXML, "Activate " + referTo("CreateKeyPairPrivateKey"), "Activate " + referTo("CreateKeyPairPublicKey")}, want: "CreateKeyPair Success Activate Success Activate Success",
		then: func(t *testing.T, x *exchanged) {
			var p kmip.CreateKeyPairResponse
			require.NoError(t, ttlv.Unmarshal(x.answer.BatchItem[0].ResponsePayload, x.version, ttlv.TagResponsePayload, &p, nil))
			require.EqualValues(t, p.PrivateKeyUniqueIdentifier, x.uid(t, 1))
			require.EqualValues(t, p.PublicKeyUniqueIdentifier, x.uid(t, 2))
		}},
	{section: "of several identifiers, the operation is repeated for each", since: ttlv.V2_0, items: []string{pairXML, "Activate " + referTo("CreateKeyPair"), "Create $NAME"}, want: "CreateKeyPair Success Activate Success Activate Success Create Success",
		then: func(t *testing.T, x *exchanged) {
			require.Equal(t, []byte{2}, x.answer.BatchItem[1].UniqueBatchItemID)
			require.Equal(t, []byte{2}, x.answer.BatchItem[2].UniqueBatchItemID)
			require.NotEqual(t, x.uid(t, 1), x.uid(t, 2))
		}},
	{section: "and stops where it fails", since: ttlv.V2_0, items: []string{pairXML, "Activate " + referTo("CreateKeyPairPublicKey"), "Activate " + referTo("CreateKeyPair"), "Activate " + referTo("CreateKeyPair"), "Create $NAME"},
		want: "CreateKeyPair Success Activate Success Activate Success Activate OperationFailed WrongKeyLifecycleState", then: notMade},
	{section: "or goes on", since: ttlv.V2_0, header: enumeration("BatchErrorContinuationOption", "Continue"), items: []string{pairXML, "Activate " + referTo("CreateKeyPairPrivateKey"), "Activate " + referTo("CreateKeyPair")},
		want: "CreateKeyPair Success Activate Success Activate OperationFailed WrongKeyLifecycleState Activate Success"},
	{section: "or is undone", since: ttlv.V2_0, header: undo, items: []string{pairXML, "Activate " + referTo("CreateKeyPair"), getAbsent},
		want: "CreateKeyPair OperationUndone Activate OperationUndone Activate OperationUndone Get OperationFailed ObjectNotFound"},
	{section: "what Locate found", since: ttlv.V2_0, items: []string{"Create $NAME", `Locate <MaximumItems type="Integer" value="1"/>`, "Get " + referTo("Locate")}, want: "Create Success Locate Success Get Success", then: answersName("")},
	{section: "a kind that the batch has not", since: ttlv.V2_0, items: []string{"Create $NAME", "Get " + referTo("Register")}, want: "Create Success Get OperationFailed InvalidField"},
	{section: "a kind that nobody knows", since: ttlv.V2_0, items: []string{`Get <UniqueIdentifier type="Enumeration" value="0x00000099"/>`}, want: "Get OperationFailed UnknownEnumeration"},
	{section: "KMIP 2.1 table 145: zero based nth Unique Identifier in the response", since: ttlv.V2_0, items: []string{"Create $NAME-0", "Create $NAME-1", pairXML, "Get " + numbered(1), "Activate " + numbered(3)},
		want: "Create Success Create Success CreateKeyPair Success Get Success Activate Success",
		then: func(t *testing.T, x *exchanged) {
			require.Equal(t, x.name+"-1", x.uid(t, 3))
			require.NotEqual(t, x.uid(t, 2), x.uid(t, 4), "the public half")
		}},
	{section: "a negative number counts backwards", since: ttlv.V2_0, items: []string{"Create $NAME-0", "Create $NAME-1", "Get " + numbered(-2), "Get " + numbered(-1), "Get " + numbered(-3)},
		want: "Create Success Create Success Get Success Get Success Get Success", then: answersName("-0", "-0", "-1")},
	{section: "past either end", since: ttlv.V2_0, header: enumeration("BatchErrorContinuationOption", "Continue"), items: []string{"Create $NAME", "Get " + numbered(1), "Get " + numbered(-2), "Get " + numbered(-2147483648)},
		want: "Create Success Get OperationFailed InvalidField Get OperationFailed InvalidField Get OperationFailed InvalidField"},
	{section: "KMIP 1.4 §3.1: a Unique Identifier is text in 1.x", until: ttlv.V1_4, items: []string{"Create $NAME", "Get " + referTo("0x00000001"), "Get " + numbered(0)}, want: "Create Success Get OperationFailed InvalidField"},
	{section: "KMIP 2.1 §7.9: Data of the most recent operation of a kind", since: ttlv.V2_0, items: []string{
		"Create $NAME", "Encrypt " + blocks + `<Data type="ByteString" value="00112233445566778899aabbccddeeff"/>`, "Decrypt " + blocks + enumeration("Data", "Encrypt"),
	}, want: "Create Success Encrypt Success Decrypt Success",
		then: func(t *testing.T, x *exchanged) {
			require.Equal(t, []byte("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"), dataOf(t, x, 2))
		}},
	{section: "of MAC and Sign what they give", since: ttlv.V2_0, items: []string{
		"Create $NAME", `MAC <CryptographicParameters><CryptographicAlgorithm type="Enumeration" value="AES"/><BlockCipherMode type="Enumeration" value="CMAC"/></CryptographicParameters><Data type="ByteString" value="00"/>`,
		`Encrypt ` + blocks + enumeration("Data", "MACMACData"), `Decrypt ` + blocks + `<Data type="Integer" value="-1"/>`,
	}, want: "Create Success MAC Success Encrypt Success Decrypt Success",
		then: func(t *testing.T, x *exchanged) { require.Len(t, dataOf(t, x, 3), 16) }},
	{section: "zero based nth Data in the response", since: ttlv.V2_0, items: []string{
		"RNGRetrieve " + `<DataLength type="Integer" value="8"/>`, "RNGRetrieve " + `<DataLength type="Integer" value="16"/>`,
		`Hash <CryptographicParameters><HashingAlgorithm type="Enumeration" value="SHA_256"/></CryptographicParameters><Data type="Integer" value="0"/>`,
		`Hash <CryptographicParameters><HashingAlgorithm type="Enumeration" value="SHA_256"/></CryptographicParameters><Data type="Integer" value="3"/>`,
	}, want: "RNGRetrieve Success RNGRetrieve Success Hash Success Hash OperationFailed InvalidField"},
	{section: "KMIP 2.1 §8.3: Ephemeral data is for the items that follow alone", since: ttlv.V2_0, items: []string{
		`<Operation type="Enumeration" value="RNGRetrieve"/><Ephemeral type="Boolean" value="true"/><UniqueBatchItemID type="ByteString" value="01"/><RequestPayload><DataLength type="Integer" value="16"/></RequestPayload>`,
		`Create $NAME`, "Encrypt " + blocks + enumeration("Data", "RNGRetrieve"), "Decrypt " + blocks + `<Data type="Integer" value="1"/>`,
	}, want: "RNGRetrieve Success Create Success Encrypt Success Decrypt Success",
		then: func(t *testing.T, x *exchanged) {
			require.Empty(t, dataOf(t, x, 0))
			require.Len(t, dataOf(t, x, 3), 16)
		}},
	{section: "data that nothing gave", since: ttlv.V2_0, items: []string{"Create $NAME", "Encrypt " + blocks + enumeration("Data", "Decrypt")}, want: "Create Success Encrypt OperationFailed InvalidField"},
	{section: "data of no kind", since: ttlv.V2_0, items: []string{"Create $NAME", "Encrypt " + blocks + enumeration("Data", "0x00000099")}, want: "Create Success Encrypt OperationFailed UnknownEnumeration"},
	{section: "KMIP 1.4: Data is bytes in 1.x", since: ttlv.V1_2, until: ttlv.V1_4, items: []string{"Create $NAME", "Encrypt " + blocks + enumeration("Data", "0x00000001")}, want: "Create Success Encrypt OperationFailed InvalidMessage"},
}

// dataOf is the Data of answer i.
func dataOf(t *testing.T, x *exchanged, i int) []byte {
	t.Helper()
	var p struct {
		Data []byte `ttlv:"Data,omitempty"`
	}
	var d ttlv.Decoder
	d.Reset(x.version, nil, true)
	require.NoError(t, d.Unmarshal(x.answer.BatchItem[i].ResponsePayload, ttlv.TagResponsePayload, &p))
	return p.Data
}

func sized(n int) string {
	return fmt.Sprintf(`<MaximumResponseSize type="Integer" value="%d"/>`, n)
}

var headerRules = []rule{
	{section: "KMIP 1.0 §6.3, KMIP 2.1 §9.12: an answer that is larger than the client takes", header: sized(200), items: []string{`Query <QueryFunction type="Enumeration" value="QueryOperations"/>`}, want: "Query OperationFailed ResponseTooLarge"},
	{section: "what cannot fit is not done", header: sized(120), items: []string{"Create $NAME"}, want: "Create OperationFailed ResponseTooLarge", then: notMade},
	{section: "nor what follows something large", header: sized(220) + enumeration("BatchErrorContinuationOption", "Continue"), items: []string{who, "Create $NAME"}, want: "WhoAmI Success Create OperationFailed ResponseTooLarge", then: notMade},
	{section: "what turns out too large is undone with the batch", header: sized(500) + undo, items: []string{"Create $NAME", `Query <QueryFunction type="Enumeration" value="QueryOperations"/>`}, want: "Create OperationUndone Query OperationFailed ResponseTooLarge"},
	{section: "a size is not negative", header: sized(-1), items: []string{who}, want: "OperationFailed InvalidField"},
	{section: "KMIP 1.0 §6.5: any Time Stamp may come", header: `<TimeStamp type="DateTime" value="2009-11-12T11:46:41Z"/>`, items: []string{who}, want: "WhoAmI Success"},
	{section: "KMIP 1.4 §6.19, KMIP 2.1 §9.10: the server's correlation value, for who sends one", since: ttlv.V1_4, header: text(ttlv.TagClientCorrelationValue, "mine"), items: []string{who}, want: "WhoAmI Success",
		then: func(t *testing.T, x *exchanged) {
			require.Regexp(t, "^"+x.rig.server.instance+"-[0-9]+$", x.answer.ResponseHeader.ServerCorrelationValue)
		}},
	{section: "with a message that is refused, too", since: ttlv.V1_4, header: text(ttlv.TagClientCorrelationValue, "mine"), items: []string{who}, count: 9, want: "OperationFailed InvalidMessage",
		then: func(t *testing.T, x *exchanged) { require.NotEmpty(t, x.answer.ResponseHeader.ServerCorrelationValue) }},
	{section: "for nobody else", items: []string{who}, want: "WhoAmI Success",
		then: func(t *testing.T, x *exchanged) { require.Empty(t, x.answer.ResponseHeader.ServerCorrelationValue) }},
	{section: "below 1.4 there is none", until: ttlv.V1_3, header: text(ttlv.TagClientCorrelationValue, "mine"), items: []string{who}, want: "WhoAmI Success",
		then: func(t *testing.T, x *exchanged) { require.Empty(t, x.answer.ResponseHeader.ServerCorrelationValue) }},
	{section: "KMIP 1.2 §6.17: a client that can attest", since: ttlv.V1_2, header: `<AttestationCapableIndicator type="Boolean" value="true"/>` + enumeration("AttestationType", "TPMQuote") + enumeration("AttestationType", "0x80000001"), items: []string{who}, want: "WhoAmI Success"},
	{section: "KMIP 1.0 §6.6: a credential", header: `<Authentication><Credential><CredentialType type="Enumeration" value="UsernameAndPassword"/><CredentialValue><Username type="TextString" value=""/><Password type="TextString" value=""/></CredentialValue></Credential></Authentication>`, items: []string{who}, want: "WhoAmI Success"},
	{section: "KMIP 1.0 §6.7: a client that cannot take an asynchronous answer", until: ttlv.V1_4, header: `<AsynchronousIndicator type="Boolean" value="false"/>`, items: []string{"Create $NAME"}, want: "Create Success"},
	{section: "or can, of what is done at once", until: ttlv.V1_4, header: `<AsynchronousIndicator type="Boolean" value="true"/>`, items: []string{"Create $NAME", who}, want: "Create Success WhoAmI Success"},
	{section: "KMIP 2.1 §9.2: Prohibited", since: ttlv.V2_0, header: enumeration("AsynchronousIndicator", "Prohibited"), items: []string{"Create $NAME"}, want: "Create Success"},
	{section: "Optional", since: ttlv.V2_0, header: enumeration("AsynchronousIndicator", "Optional"), items: []string{"Create $NAME", who}, want: "Create Success WhoAmI Success"},
	{section: "Mandatory", since: ttlv.V2_0, header: enumeration("AsynchronousIndicator", "Mandatory"), items: []string{"Create $NAME", who}, want: "Create OperationPending WhoAmI OperationPending"},
	{section: "the indicator of 2.x is no Boolean", since: ttlv.V2_0, header: `<AsynchronousIndicator type="Boolean" value="true"/>`, items: []string{who}, want: "OperationFailed InvalidMessage"},
	{section: "that of 1.x is no Enumeration", until: ttlv.V1_4, header: `<AsynchronousIndicator type="Enumeration" value="0x00000001"/>`, items: []string{who}, want: "OperationFailed InvalidMessage"},
	{section: "a value that nobody knows", since: ttlv.V2_0, header: enumeration("AsynchronousIndicator", "0x00000004"), items: []string{who}, want: "OperationFailed UnknownEnumeration"},
}

// extension is a Message Extension.
func extension(critical bool) string {
	return fmt.Sprintf(`<MessageExtension><VendorIdentification type="TextString" value="Acme"/><CriticalityIndicator type="Boolean" value="%t"/><VendorExtension><Comment type="TextString" value="x"/></VendorExtension></MessageExtension>`, critical)
}

func extended(op, id, extensions string) string {
	return fmt.Sprintf(`<Operation type="Enumeration" value="%s"/><UniqueBatchItemID type="ByteString" value="%s"/><RequestPayload/>%s`, op, id, extensions)
}

var extensionRules = []rule{
	{section: "KMIP 1.0 §6.16, KMIP 2.1 §9.13: an extension that is not critical is passed over", items: []string{extended("WhoAmI", "01", extension(false))}, want: "WhoAmI Success"},
	{section: "a critical one has the entire message rejected", header: enumeration("BatchErrorContinuationOption", "Continue"), items: []string{"Create $NAME", extended("WhoAmI", "02", extension(true)), who},
		want: "WhoAmI OperationFailed FeatureNotSupported|WhoAmI OperationFailed UnknownMessageExtension",
		then: func(t *testing.T, x *exchanged) {
			require.Equal(t, []byte{2}, x.answer.BatchItem[0].UniqueBatchItemID)
			notMade(t, x)
		}},
	{section: "KMIP 2.1 table 396: several", since: ttlv.V2_0, items: []string{extended("WhoAmI", "01", extension(false)+extension(false))}, want: "WhoAmI Success"},
	{section: "KMIP 1.4 table 283: one", until: ttlv.V1_4, items: []string{extended("WhoAmI", "01", extension(false)+extension(false))}, want: "WhoAmI OperationFailed InvalidMessage"},
	{section: "it contains the three fields", items: []string{extended("WhoAmI", "01", `<MessageExtension><VendorIdentification type="TextString" value="Acme"/><CriticalityIndicator type="Boolean" value="false"/></MessageExtension>`)}, want: "WhoAmI OperationFailed InvalidMessage"},
}

// TestMessageUnparsed: what is no message is answered with an item that has no operation, and ends the connection where nobody can
// say what comes next. KMIP 1.0 table 226.
func TestMessageUnparsed(t *testing.T) {
	g := newRig(t, Limits{})
	for name, sent := range map[string]string{
		"another structure": "\x42\x00\x7b\x01\x00\x00\x00\x00",
		"no header":         "\x42\x00\x78\x01\x00\x00\x00\x00",
		"no structure":      "\x42\x00\x78\x02\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00\x00",
	} {
		c := g.dial("alice")
		_, err := io.WriteString(c, sent)
		require.NoError(t, err)
		m := receive(t, c, ttlv.V1_0)
		require.Equal(t, "OperationFailed InvalidMessage", told(m), name)
		require.Equal(t, kmip.VersionOf(ttlv.V1_0), m.ResponseHeader.ProtocolVersion, "no version was told")
	}
}
