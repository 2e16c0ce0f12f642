package ttlv

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// requireSameTree checks that n survives bytes, XML and JSON.
func requireSameTree(t testing.TB, n Node) {
	t.Helper()
	wire := n.Append(nil)
	back, err := Parse(wire, nil)
	require.NoError(t, err)
	require.Equal(t, wire, back.Append(nil))
	require.Equal(t, n, back)

	text, err := n.XML()
	require.NoError(t, err)
	fromXML, err := ParseXML(text, nil)
	require.NoError(t, err, "%s", text)
	require.Equal(t, wire, fromXML.Append(nil), "%s", text)

	text, err = n.JSON()
	require.NoError(t, err)
	fromJSON, err := ParseJSON(text, nil)
	require.NoError(t, err, "%s", text)
	require.Equal(t, wire, fromJSON.Append(nil), "%s", text)
}

// attributeNode is an Attribute of KMIP 1.x.
func attributeNode(name string, typ Type, value any) Node {
	return Node{Tag: TagAttribute, Type: TypeStructure, Children: []Node{
		{Tag: TagAttributeName, Type: TypeTextString, Value: name},
		{Tag: TagAttributeValue, Type: typ, Value: value},
	}}
}

func TestTextForms(t *testing.T) {
	for name, c := range map[string]struct {
		node      Node
		xml, json string
	}{
		"text": {Node{Tag: TagUniqueIdentifier, Type: TypeTextString, Value: "a<\"ü\n&"},
			`<UniqueIdentifier type="TextString" value="a&lt;&#34;ü&#xA;&amp;"/>`,
			`{"tag":"UniqueIdentifier","type":"TextString","value":"a\u003c\"ü\n\u0026"}`},
		"integer": {Node{Tag: TagBatchCount, Type: TypeInteger, Value: int32(-5)},
			`<BatchCount type="Integer" value="-5"/>`, `{"tag":"BatchCount","type":"Integer","value":-5}`},
		"mask": {Node{Tag: TagCryptographicUsageMask, Type: TypeInteger, Value: int32(0x4000000C)},
			`<CryptographicUsageMask type="Integer" value="Encrypt Decrypt 0x40000000"/>`,
			`{"tag":"CryptographicUsageMask","type":"Integer","value":"Encrypt|Decrypt|0x40000000"}`},
		"empty mask": {Node{Tag: TagCryptographicUsageMask, Type: TypeInteger, Value: int32(0)},
			`<CryptographicUsageMask type="Integer" value="0"/>`, `{"tag":"CryptographicUsageMask","type":"Integer","value":0}`},
		"long": {Node{Tag: TagUsageLimitsTotal, Type: TypeLongInteger, Value: int64(1 << 53)},
			`<UsageLimitsTotal type="LongInteger" value="9007199254740992"/>`,
			`{"tag":"UsageLimitsTotal","type":"LongInteger","value":9007199254740992}`},
		"longer": {Node{Tag: TagUsageLimitsTotal, Type: TypeLongInteger, Value: int64(-1<<53 - 1)},
			`<UsageLimitsTotal type="LongInteger" value="-9007199254740993"/>`,
			`{"tag":"UsageLimitsTotal","type":"LongInteger","value":"0xFFDFFFFFFFFFFFFF"}`},
		"big": {Node{Tag: TagPublicExponent, Type: TypeBigInteger, Value: bigInt("65537")},
			`<PublicExponent type="BigInteger" value="0000000000010001"/>`,
			`{"tag":"PublicExponent","type":"BigInteger","value":"0x0000000000010001"}`},
		"negative": {Node{Tag: TagQ, Type: TypeBigInteger, Value: bigInt("-1")},
			`<Q type="BigInteger" value="ffffffffffffffff"/>`, `{"tag":"Q","type":"BigInteger","value":"0xffffffffffffffff"}`},
		"enumeration": {Node{Tag: TagCryptographicAlgorithm, Type: TypeEnumeration, Value: uint32(3)},
			`<CryptographicAlgorithm type="Enumeration" value="AES"/>`, `{"tag":"CryptographicAlgorithm","type":"Enumeration","value":"AES"}`},
		"extended enumeration": {Node{Tag: TagOpaqueDataType, Type: TypeEnumeration, Value: uint32(0x80000001)},
			`<OpaqueDataType type="Enumeration" value="0x80000001"/>`, `{"tag":"OpaqueDataType","type":"Enumeration","value":"0x80000001"}`},
		"tag": {Node{Tag: TagAttributeReference, Type: TypeEnumeration, Value: uint32(TagState)},
			`<AttributeReference type="Enumeration" value="State"/>`, `{"tag":"AttributeReference","type":"Enumeration","value":"State"}`},
		"boolean": {Node{Tag: TagSensitive, Type: TypeBoolean, Value: true},
			`<Sensitive type="Boolean" value="true"/>`, `{"tag":"Sensitive","type":"Boolean","value":true}`},
		"bytes": {Node{Tag: TagData, Type: TypeByteString, Value: []byte{0, 0xAB}},
			`<Data type="ByteString" value="00ab"/>`, `{"tag":"Data","type":"ByteString","value":"00ab"}`},
		"no bytes": {Node{Tag: TagData, Type: TypeByteString, Value: []byte{}},
			`<Data type="ByteString" value=""/>`, `{"tag":"Data","type":"ByteString","value":""}`},
		"date": {Node{Tag: TagTimeStamp, Type: TypeDateTime, Value: time.Unix(1205495800, 0).UTC()},
			`<TimeStamp type="DateTime" value="2008-03-14T11:56:40+00:00"/>`, `{"tag":"TimeStamp","type":"DateTime","value":"2008-03-14T11:56:40+00:00"}`},
		"date beyond years": {Node{Tag: TagTimeStamp, Type: TypeDateTime, Value: unixTime(-1 << 63)},
			`<TimeStamp type="DateTime" value="0x8000000000000000"/>`, `{"tag":"TimeStamp","type":"DateTime","value":"0x8000000000000000"}`},
		"extended date": {Node{Tag: TagTimeStamp, Type: TypeDateTimeExtended, Value: DateTimeExtended(1205495800000001)},
			`<TimeStamp type="DateTimeExtended" value="2008-03-14T11:56:40.000001+00:00"/>`,
			`{"tag":"TimeStamp","type":"DateTimeExtended","value":"2008-03-14T11:56:40.000001+00:00"}`},
		"interval": {Node{Tag: TagLeaseTime, Type: TypeInterval, Value: Interval(1<<32 - 1)},
			`<LeaseTime type="Interval" value="4294967295"/>`, `{"tag":"LeaseTime","type":"Interval","value":4294967295}`},
		"unnamed tag": {Node{Tag: 0x54ABCD, Type: TypeStructure, Children: []Node{{Tag: 0x54ABCE, Type: TypeInteger, Value: int32(1)}}},
			"<TTLV tag=\"0x54ABCD\">\n  <TTLV tag=\"0x54ABCE\" type=\"Integer\" value=\"1\"/>\n</TTLV>",
			`{"tag":"0x54ABCD","value":[{"tag":"0x54ABCE","type":"Integer","value":1}]}`},
		"empty structure": {Node{Tag: TagRequestPayload, Type: TypeStructure, Children: []Node{}},
			`<RequestPayload/>`, `{"tag":"RequestPayload","value":[]}`},
		"attribute": {attributeNode("Cryptographic Algorithm", TypeEnumeration, uint32(3)),
			"<Attribute>\n  <AttributeName type=\"TextString\" value=\"Cryptographic Algorithm\"/>\n  <AttributeValue type=\"Enumeration\" value=\"AES\"/>\n</Attribute>",
			`{"tag":"Attribute","value":[{"tag":"AttributeName","type":"TextString","value":"Cryptographic Algorithm"},{"tag":"AttributeValue","type":"Enumeration","value":"AES"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			asXML, err := c.node.XML()
			require.NoError(t, err)
			require.Equal(t, c.xml, string(asXML))
			asJSON, err := c.node.JSON()
			require.NoError(t, err)
			require.Equal(t, c.json, string(asJSON))
			requireSameTree(t, c.node)
		})
	}
	requireSameTree(t, attributeNode("Cryptographic Usage Mask", TypeInteger, int32(12)))
	requireSameTree(t, attributeNode("x-own", TypeEnumeration, uint32(12)))
	_, err := Node{Tag: TagComment, Type: TypeTextString, Value: "\x00"}.XML()
	require.ErrorContains(t, err, "characters that XML has not")
	_, err = Node{Tag: TagComment, Type: TypeTextString, Value: "\xff"}.JSON()
	require.ErrorContains(t, err, "not valid UTF-8")
}

func TestTextFormsAccept(t *testing.T) {
	for text, want := range map[string]any{
		`<?xml version="1.0"?><!-- c --><BatchCount xmlns="urn:oasis:tc:kmip:xmlns" type="Integer" value="0x00000100"/>`: int32(256),
		`<BatchCount value="-1" type="Integer"></BatchCount>`:                                                            int32(-1),
		`<BatchCount type="Integer" value="0xFFFFFFFF"/>`:                                                                int32(-1),
		`<TTLV tag="0x42000D" name="Batch Count" type="Integer" value="3"/>`:                                             int32(3),
		`<CryptographicUsageMask type="Integer" value="Decrypt   Encrypt"/>`:                                             int32(12),
		`<CryptographicUsageMask type="Integer" value="12"/>`:                                                            int32(12),
		`<CryptographicAlgorithm type="Enumeration" value="0x00000003"/>`:                                                uint32(3),
		`<CryptographicAlgorithm type="Enumeration" value="3"/>`:                                                         uint32(3),
		`<TimeStamp type="DateTime" value="2000-02-02T00:00:00+10:00"/>`:                                                 unixTime(949413600),
		`<TimeStamp type="DateTime" value="2000-02-01T14:00:00Z"/>`:                                                      unixTime(949413600),
		`<TimeStamp type="DateTime" value="2000-02-01T14:00:00"/>`:                                                       unixTime(949413600),
		`<Data type="ByteString"/>`:                                                                                      []byte{},
		`<NameValue type="TextString"/>`:                                                                                 "",
		`<Sensitive type="Boolean" value="1"/>`:                                                                          true,
		`<D type="BigInteger" value="0x80"/>`:                                                                            bigInt("-128"),
		`{"type":"Integer","value":"0x00000100","tag":"MaximumResponseSize"}`:                                            int32(256),
		`{"tag":"Sensitive","type":"Boolean","value":"0x0000000000000001"}`:                                              true,
		`{"tag":"0x420011","name":"x","type":"Enumeration","value":"CBC"}`:                                               uint32(1),
		`{"tag":"CryptographicUsageMask","type":"Integer","value":"Encrypt|Decrypt"}`:                                    int32(12),
		`{"tag":"TimeStamp","type":"DateTime","value":"0x000000003896e5e0"}`:                                             unixTime(949413344),
		`{"tag":"UsageLimitsTotal","type":"LongInteger","value":-9223372036854775808}`:                                   int64(-1 << 63),
		`{"tag":"OriginalCreationDate","type":"DateTimeExtended","value":"1970-01-01T00:00:00.5Z"}`:                      DateTimeExtended(500000),
	} {
		n, err := parseEither(text)
		require.NoError(t, err, text)
		require.Equal(t, want, n.Value, text)
	}
	n, err := ParseXML([]byte(`<Name type="Structure"></Name>`), nil)
	require.NoError(t, err)
	require.Equal(t, Node{Tag: TagName, Type: TypeStructure, Children: []Node{}}, n)
}

// parseEither reads text as JSON if it looks like it, else as XML.
func parseEither(text string) (Node, error) {
	if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		return ParseJSON([]byte(text), nil)
	}
	return ParseXML([]byte(text), nil)
}

func TestTextFormsRefuse(t *testing.T) {
	for text, want := range map[string]string{
		``:                  "EOF",
		`<!-- nothing -->`:  "EOF",
		`</Name>`:           "reading XML",
		`<Name>`:            "Name: reading XML: XML syntax error",
		`<Name/><Name/>`:    "more than one element",
		`<Name/>text`:       "more than one element",
		`<Name>text</Name>`: "Name: stray text",
		`<Name value="x"/>`: "Name: a Structure has no value",
		`<Nonsense/>`:       `no tag is called "Nonsense"`,
		`<TTLV/>`:           `no tag is called ""`,
		`<Name nmae="x"/>`:  `Name: no attribute is called "nmae"`,
		`<!DOCTYPE x [<!ENTITY e "eeee">]><NameValue type="TextString" value="&e;"/>`: "a document type is not allowed",
		`<NameValue type="TextString" value="&e;"/>`:                                  "invalid character entity &e;",
		`<NameValue type="TextString" value="x"><Name/></NameValue>`:                  "NameValue: only a Structure has elements in it",
		`<BatchCount type="Integer"/>`:                                                "BatchCount: no value",
		`<NameValue type="String" value="x"/>`:                                        `NameValue: "String" is not a type`,
		`<Name><NameType type="Enumeration" value="$X"/></Name>`:                      `Name: NameType: no value is called "$X"`,
		`<BatchCount type="Integer" value="2147483648"/>`:                             `BatchCount: "2147483648" is not a number of 32 bits`,
		`<BatchCount type="Integer" value="0x100000000"/>`:                            `is not a number of 32 bits`,
		`<Data type="ByteString" value="abc"/>`:                                       "Data: not hexadecimal",
		`<D type="BigInteger" value=""/>`:                                             "D: not hexadecimal",
		`<Sensitive type="Boolean" value="yes"/>`:                                     `Sensitive: "yes" is neither true nor false`,
		`<TimeStamp type="DateTime" value="$NOW"/>`:                                   `TimeStamp: "$NOW" is not a date`,
		`<TimeStamp type="DateTime" value="2000-01-01T00:00:00.5Z"/>`:                 `has a fraction of 1s`,
		`<TimeStamp type="DateTimeExtended" value="2000-01-01T00:00:00.0000001Z"/>`:   `has a fraction of 1µs`,
		`{`:                            "reading JSON",
		`{}`:                           `no tag is called ""`,
		`[]`:                           "an item must be an object",
		`{"tag":"Name","value":[]} {}`: "more than one object",
		`{"tag":"Name","tag":"Name"}`:  `Name: one member called "tag" too many`,
		`{"tag":"Name","x":"Name"}`:    `Name: one member called "x" too many`,
		`{"tag":"Name"}`:               "Name: the value of a Structure must be an array",
		`{"tag":"Name","value":"x"}`:   "Name: the value of a Structure must be an array",
		`{"tag":"Name","value":{}}`:    "Name: value: a { where a value must be",
		`{"tag":"Name","value":null}`:  "Name: value: a <nil> where a value must be",
		`{"tag":["Name"]}`:             "tag: an array where a text must be",
		`{"tag":7}`:                    `no tag is called ""`,
		`{"tag":"Name","type":"Text"}`: `Name: "Text" is not a type`,
		`{"tag":"Name","value":[{"tag":"NameValue","type":"TextString","value":7}]}`: "Name: NameValue: not the value of a TextString",
		`{"tag":"Name","value":[7]}`:                                "Name: an item must be an object",
		`{"tag":"NameValue","type":"TextString","value":[]}`:        "NameValue: not the value of a TextString",
		`{"tag":"Sensitive","type":"Integer","value":true}`:         "Sensitive: not the value of a Integer",
		`{"tag":"BatchCount","type":"Integer","value":1.5}`:         `BatchCount: "1.5" is not a number`,
		`{"tag":"NameValue","type":"TextString","value":"` + "\xff": "not valid UTF-8",
	} {
		_, err := parseEither(text)
		require.ErrorContains(t, err, want, text)
		require.NotErrorIs(t, err, ErrLimit)
	}
}

func TestTextFormsLimits(t *testing.T) {
	deep := func(n int) (string, string) {
		return strings.Repeat("<Name>", n) + strings.Repeat("</Name>", n),
			strings.Repeat(`{"tag":"Name","value":[`, n) + strings.Repeat("]}", n)
	}
	many := "<Name>" + strings.Repeat("<Name/>", 100) + "</Name>"
	manyJSON := `{"tag":"Name","value":[` + strings.Repeat(`{"tag":"Name","value":[]},`, 99) + `{"tag":"Name","value":[]}]}`
	for name, l := range map[string]*Limits{"items": {Items: 100}, "size": {Size: 700}} {
		_, err := ParseXML([]byte(many), l)
		require.ErrorIs(t, err, ErrLimit, name)
		_, err = ParseJSON([]byte(manyJSON), l)
		require.ErrorIs(t, err, ErrLimit, name)
	}
	for _, n := range []int{DefaultDepth + 1, 1_000_000} {
		x, j := deep(n)
		l := &Limits{Size: 1 << 30, Items: 1 << 30}
		_, err := ParseXML([]byte(x), l)
		require.ErrorIs(t, err, ErrLimit)
		_, err = ParseJSON([]byte(j), l)
		require.ErrorIs(t, err, ErrLimit)
	}
	x, j := deep(DefaultDepth)
	fromXML, err := ParseXML([]byte(x), nil)
	require.NoError(t, err)
	fromJSON, err := ParseJSON([]byte(j), nil)
	require.NoError(t, err)
	require.Equal(t, fromXML, fromJSON)
}

func TestParseIsStrict(t *testing.T) {
	for name, wire := range map[string]string{
		"padding":        "420020 07 00000001 61 00000000000001",
		"word padding":   "420020 02 00000004 00000001 00000001",
		"boolean":        "420020 06 00000008 0000000000000002",
		"long zero":      "420020 04 00000010 0000000000000000 0000000000000001",
		"long minus one": "420020 04 00000010 ffffffffffffffff ffffffffffffffff",
		"no big integer": "420020 04 00000000",
		"utf-8":          "420020 07 00000001 ff 00000000000000",
		"trailing":       "420020 01 00000000 00",
	} {
		_, err := Parse(unhex(t, wire), nil)
		require.Error(t, err, name)
	}
}

func TestNodeAppendPanicsOnAWrongValue(t *testing.T) {
	require.Panics(t, func() { Node{Tag: TagData, Type: TypeInteger, Value: 1}.Append(nil) })
	require.Panics(t, func() { Node{}.Append(nil) })
}

const sharedKMIP = "../../../shared/kmip"

// sharedFiles returns the files of the pattern, and skips the test if there are none.
func sharedFiles(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(sharedKMIP, pattern))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("no files " + pattern + " beside the repository")
	}
	return files
}

var (
	dateVariable = regexp.MustCompile(`(type="DateTime" value=")\$NOW([+-]\d+)?"`)
	hexVariable  = regexp.MustCompile(`(type="(?:ByteString|BigInteger)" value=")\$\w+"`)
)

// messagesOf returns the messages of a test case of the standard. The variables that
// stand for dates and bytes become some; those for texts stay as they are.
func messagesOf(t testing.TB, file string) (messages []string) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	data = dateVariable.ReplaceAll(data, []byte(`${1}2024-02-29T12:00:00+00:00"`))
	data = hexVariable.ReplaceAll(data, []byte(`${1}0123456789abcdef"`))
	d := xml.NewDecoder(bytes.NewReader(data))
	for {
		from := d.InputOffset()
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return messages
		}
		require.NoError(t, err)
		if start, ok := token.(xml.StartElement); ok && strings.HasSuffix(start.Name.Local, "Message") {
			require.NoError(t, d.Skip())
			messages = append(messages, string(data[from:d.InputOffset()]))
		}
	}
}

func TestStandardsTestCases(t *testing.T) {
	t.Parallel()
	var count int
	for _, file := range sharedFiles(t, "vectors/*/*/*.xml") {
		for i, message := range messagesOf(t, file) {
			n, err := ParseXML([]byte(message), nil)
			if !assertParsed(t, err, file, i) {
				continue
			}
			requireSameTree(t, n)
			count++
		}
	}
	t.Logf("%d messages", count)
	require.Greater(t, count, 1000)
}

// assertParsed reports err as message i of file's.
func assertParsed(t *testing.T, err error, file string, i int) bool {
	if err != nil {
		t.Errorf("%s, message %d: %v", filepath.Base(file), i, err)
	}
	return err == nil
}

func TestCaptures(t *testing.T) {
	for _, file := range sharedFiles(t, "captures/*.ttlv") {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		n, err := Length(data, nil)
		require.NoError(t, err, file)
		require.Len(t, data, n, file)
		tree, err := Parse(data, nil)
		require.NoError(t, err, file)
		require.Equal(t, data, tree.Append(nil), file)
		requireSameTree(t, tree)
	}
}
