package tests

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A talk is a connection on which a test says, in KMIP's XML, what some product's client says.
type talk struct {
	t       *testing.T
	c       *tls.Conn
	version string                                                 // major.minor of the headers
	header  string                                                 // what stands in the headers between the version and the Batch Count
	carry   func(t *testing.T, c *tls.Conn, message []byte) []byte // sends a message and gives its answer; nil: as they stand
}

// talk connects as the administrator. The header has further fields of all its requests, in XML.
func (s *site) talk(t *testing.T, version string, header ...string) *talk {
	t.Helper()
	return &talk{t: t, c: s.dial("admin"), version: version, header: strings.Join(header, "")}
}

// operation is a batch item; id is its Unique Batch Item ID in hexadecimal, "" for none.
func operation(name, id string, payload ...string) string {
	if id != "" {
		id = fmt.Sprintf(`<UniqueBatchItemID type="ByteString" value="%s"/>`, id)
	}
	return fmt.Sprintf(`<BatchItem><Operation type="Enumeration" value="%s"/>%s<RequestPayload>%s</RequestPayload></BatchItem>`, name, id, strings.Join(payload, ""))
}

// text, enum and integerOf are items of these types, bytesOf one of a byte string in hexadecimal.
func text(tag, value string) string {
	return fmt.Sprintf(`<%s type="TextString" value="%s"/>`, tag, value)
}
func enum(tag, value string) string {
	return fmt.Sprintf(`<%s type="Enumeration" value="%s"/>`, tag, value)
}
func integerOf(tag string, value int) string {
	return fmt.Sprintf(`<%s type="Integer" value="%d"/>`, tag, value)
}
func bytesOf(tag, value string) string {
	return fmt.Sprintf(`<%s type="ByteString" value="%s"/>`, tag, value)
}

// in is a structure.
func in(tag string, children ...string) string {
	return "<" + tag + ">" + strings.Join(children, "") + "</" + tag + ">"
}

// attribute is one of KMIP 1.x, whose value is of a simple type.
func attribute(name, typ, value string) string {
	return in("Attribute", text("AttributeName", name), fmt.Sprintf(`<AttributeValue type="%s" value="%s"/>`, typ, value))
}

// nameIs is the attribute Name of KMIP 1.x.
func nameIs(name string) string {
	return in("Attribute", text("AttributeName", "Name"), in("AttributeValue", text("NameValue", name), enum("NameType", "UninterpretedTextString")))
}

// describedAs has the attributes of a key of KMIP 1.x, with a mask of 0 left out.
func describedAs(algorithm string, bits, mask int) string {
	a := attribute("Cryptographic Algorithm", "Enumeration", algorithm) + attribute("Cryptographic Length", "Integer", fmt.Sprint(bits))
	if mask != 0 {
		a += attribute("Cryptographic Usage Mask", "Integer", fmt.Sprint(mask))
	}
	return a
}

// keyOf is a Symmetric Key, Private Key and so on, of material in hexadecimal; more stands before its Key Value.
func keyOf(object, format, material, more, behind string) string {
	return in(object, in("KeyBlock", enum("KeyFormatType", format), more, in("KeyValue", bytesOf("KeyMaterial", material)), behind))
}

// A reply is a structure that the server sent.
type reply struct {
	t    *testing.T
	node ttlv.Node
}

// ask sends one message and gives the payloads of its answers, all of which must be successes in the version asked in, with
// the Unique Batch Item IDs of the request.
func (k *talk) ask(items ...string) []reply {
	k.t.Helper()
	replies := k.try(items...)
	payloads := make([]reply, len(replies))
	for i, r := range replies {
		require.EqualValues(k.t, kmip.ResultStatusSuccess, r.value(ttlv.TagResultStatus), "%s\n%s", items[i], r)
		payloads[i] = r.child(ttlv.TagResponsePayload)
	}
	return payloads
}

// one is ask of one operation.
func (k *talk) one(item string) reply {
	k.t.Helper()
	return k.ask(item)[0]
}

// try is ask for answers of all kinds, and gives their batch items.
func (k *talk) try(items ...string) []reply {
	k.t.Helper()
	major, minor, _ := strings.Cut(k.version, ".")
	version := fmt.Sprintf(`<ProtocolVersion><ProtocolVersionMajor type="Integer" value="%s"/><ProtocolVersionMinor type="Integer" value="%s"/></ProtocolVersion>`, major, minor)
	request, err := ttlv.ParseXML([]byte(in("RequestMessage", in("RequestHeader", version, k.header, integerOf("BatchCount", len(items))), strings.Join(items, ""))), nil)
	require.NoError(k.t, err)
	return k.exchange(request)
}

// asItStands carries a message over TLS.
func asItStands(t *testing.T, c *tls.Conn, message []byte) []byte {
	t.Helper()
	_, err := c.Write(message)
	require.NoError(t, err)
	answer, err := receive(c)
	require.NoError(t, err, "no answer to %x", message)
	return answer
}

// exchange sends a message and gives the batch items of the answer.
func (k *talk) exchange(request ttlv.Node) []reply {
	k.t.Helper()
	sent, carry := request.Append(nil), k.carry
	if carry == nil {
		carry = asItStands
	}
	answer := carry(k.t, k.c, sent)
	node, err := ttlv.Parse(answer, nil)
	require.NoError(k.t, err, "%x", answer)
	require.Equal(k.t, ttlv.TagResponseMessage, node.Tag)
	asked, response := reply{k.t, request}, reply{k.t, node}
	header := response.child(ttlv.TagResponseHeader)
	require.Equal(k.t, asked.at(ttlv.TagRequestHeader, ttlv.TagProtocolVersion).String(), header.child(ttlv.TagProtocolVersion).String(), "it is answered in another version")
	items, answers := asked.all(ttlv.TagBatchItem), response.all(ttlv.TagBatchItem)
	require.EqualValues(k.t, len(answers), header.value(ttlv.TagBatchCount))
	require.Len(k.t, answers, len(items), "%s", response)
	for i := range items {
		for _, tag := range []ttlv.Tag{ttlv.TagOperation, ttlv.TagUniqueBatchItemID} {
			require.Equal(k.t, fmt.Sprint(items[i].all(tag)), fmt.Sprint(answers[i].all(tag)))
		}
	}
	return answers
}

// String is the structure in XML.
func (r reply) String() string {
	x, err := r.node.XML()
	require.NoError(r.t, err)
	return string(x)
}

// all are the children with a tag.
func (r reply) all(tag ttlv.Tag) (found []reply) {
	for _, c := range r.node.Children {
		if c.Tag == tag {
			found = append(found, reply{r.t, c})
		}
	}
	return found
}

// child is the one child with a tag.
func (r reply) child(tag ttlv.Tag) reply {
	r.t.Helper()
	found := r.all(tag)
	require.Len(r.t, found, 1, "%v in\n%s", tag, r)
	return found[0]
}

// at is the structure or value that a path of tags leads to.
func (r reply) at(path ...ttlv.Tag) reply {
	r.t.Helper()
	for _, tag := range path {
		r = r.child(tag)
	}
	return r
}

// value is the value of a child.
func (r reply) value(path ...ttlv.Tag) any {
	r.t.Helper()
	return r.at(path...).node.Value
}

// uid is the Unique Identifier of a payload.
func (r reply) uid() string {
	r.t.Helper()
	return r.value(ttlv.TagUniqueIdentifier).(string)
}

// uids are all of them.
func (r reply) uids() []string {
	uids := []string{}
	for _, c := range r.all(ttlv.TagUniqueIdentifier) {
		uids = append(uids, c.node.Value.(string))
	}
	return uids
}

// only fails the test unless these are the tags of the children, in this order.
func (r reply) only(tags ...ttlv.Tag) reply {
	r.t.Helper()
	var have []ttlv.Tag
	for _, c := range r.node.Children {
		have = append(have, c.Tag)
	}
	require.Equal(r.t, tags, have, "%s", r)
	return r
}

// attribute is the value of the attribute of that name in an answer of KMIP 1.x, nil without one.
func (r reply) attribute(name string) *ttlv.Node {
	for _, a := range r.all(ttlv.TagAttribute) {
		if a.value(ttlv.TagAttributeName) == name {
			value := a.child(ttlv.TagAttributeValue).node
			return &value
		}
	}
	return nil
}

// material is the key material of a payload of Get, in the object with that tag.
func (r reply) material(object ttlv.Tag) []byte {
	r.t.Helper()
	value := r.at(object, ttlv.TagKeyBlock, ttlv.TagKeyValue).only(ttlv.TagKeyMaterial)
	return value.value(ttlv.TagKeyMaterial).([]byte)
}

// shape is the tags and types of a tree; a run of siblings of one shape counts as one.
func shape(n ttlv.Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %v {", n.Tag, n.Type)
	last := ""
	for _, c := range n.Children {
		if s := shape(c); s != last {
			b.WriteString(s)
			last = s
		}
	}
	b.WriteString("}")
	return b.String()
}
