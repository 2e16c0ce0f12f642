package ttlv

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// unhex decodes hexadecimal in which spaces and bars are ignored.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "|", "", "\n", "", "\t", "").Replace(s))
	require.NoError(t, err)
	return b
}

// exampleTag is the tag of the specification's examples.
const exampleTag Tag = 0x420020

type exampleStructure struct {
	E uint32 `ttlv:"ApplicationSpecificInformation"` // 0x420004
	I int32  `ttlv:"ArchiveDate"`                    // 0x420005
}

// examples are those of KMIP 1.4 §9.1.2, and one of a Date-Time-Extended.
var examples = []struct {
	name  string
	value any
	wire  string
}{
	{"integer", new(int32(8)), "42 00 20 | 02 | 00 00 00 04 | 00 00 00 08 00 00 00 00"},
	{"long integer", new(int64(123456789000000000)), "42 00 20 | 03 | 00 00 00 08 | 01 B6 9B 4B A5 74 92 00"},
	{"big integer", bigInt("1234567890000000000000000000"), "42 00 20 | 04 | 00 00 00 10 | 00 00 00 00 03 FD 35 EB 6B C2 DF 46 18 08 00 00"},
	{"enumeration", new(uint32(255)), "42 00 20 | 05 | 00 00 00 04 | 00 00 00 FF 00 00 00 00"},
	{"boolean", new(true), "42 00 20 | 06 | 00 00 00 08 | 00 00 00 00 00 00 00 01"},
	{"text string", new("Hello World"), "42 00 20 | 07 | 00 00 00 0B | 48 65 6C 6C 6F 20 57 6F 72 6C 64 00 00 00 00 00"},
	{"byte string", &[]byte{1, 2, 3}, "42 00 20 | 08 | 00 00 00 03 | 01 02 03 00 00 00 00 00"},
	{"date-time", new(time.Date(2008, 3, 14, 11, 56, 40, 0, time.UTC)), "42 00 20 | 09 | 00 00 00 08 | 00 00 00 00 47 DA 67 F8"},
	{"interval", new(Interval(10 * 24 * 3600)), "42 00 20 | 0A | 00 00 00 04 | 00 0D 2F 00 00 00 00 00"},
	{"structure", &exampleStructure{254, 255}, "42 00 20 | 01 | 00 00 00 20 | 42 00 04 | 05 | 00 00 00 04 | 00 00 00 FE 00 00 00 00 | 42 00 05 | 02 | 00 00 00 04 | 00 00 00 FF 00 00 00 00"},
	{"date-time-extended", new(DateTimeExtended(1205495800000001)), "42 00 20 | 0B | 00 00 00 08 | 00 04 48 64 5C EF EE 01"},
}

func bigInt(s string) *big.Int {
	x, ok := new(big.Int).SetString(s, 0)
	if !ok {
		panic(s)
	}
	return x
}

func TestExamples(t *testing.T) {
	for _, c := range examples {
		t.Run(c.name, func(t *testing.T) {
			wire := unhex(t, c.wire)
			got, err := Append([]byte("before"), V1_4, exampleTag, c.value)
			require.NoError(t, err)
			require.Equal(t, "before"+string(wire), string(got))

			back := reflectNew(c.value)
			require.NoError(t, Unmarshal(wire, V1_4, exampleTag, back, nil))
			require.Equal(t, c.value, back)

			n, err := Parse(wire, nil)
			require.NoError(t, err)
			require.Equal(t, wire, n.Append(nil))
		})
	}
}

func TestBigIntegers(t *testing.T) {
	for s, wire := range map[string]string{
		"0":                    "0000000000000000",
		"1":                    "0000000000000001",
		"-1":                   "ffffffffffffffff",
		"0x7fffffffffffffff":   "7fffffffffffffff",
		"0x8000000000000000":   "00000000000000008000000000000000",
		"-0x8000000000000000":  "8000000000000000",
		"-0x8000000000000001":  "ffffffffffffffff7fffffffffffffff",
		"0xffffffffffffffff":   "0000000000000000ffffffffffffffff",
		"-0xffffffffffffffff":  "ffffffffffffffff0000000000000001",
		"0x10000000000000000":  "00000000000000010000000000000000",
		"-0x10000000000000000": "ffffffffffffffff0000000000000000",
	} {
		var e Encoder
		e.Reset(nil, V1_4)
		e.BigInt(exampleTag, bigInt(s))
		require.Equal(t, wire, hex.EncodeToString(e.Bytes()[8:]), s)
		var back big.Int
		require.NoError(t, Unmarshal(e.Bytes(), V1_4, exampleTag, &back, nil))
		require.Zero(t, back.Cmp(bigInt(s)), s)
	}
}

type (
	namedInt   int32
	namedEnum  uint32
	namedLong  int64
	namedBool  bool
	namedText  string
	namedBytes []byte
)

// inner is a structure that may contain itself.
type inner struct {
	Name namedText `ttlv:"NameValue"`
	Next *inner    `ttlv:"Name"`
}

// base is embedded in everything.
type base struct {
	ID string `ttlv:"UniqueIdentifier"`
}

// everything has a field of each kind.
type everything struct {
	base       `ttlv:",inline"`
	Int        namedInt          `ttlv:"BatchCount"`
	Enum       namedEnum         `ttlv:"Operation"`
	Long       namedLong         `ttlv:"UsageLimitsTotal"`
	Bool       namedBool         `ttlv:"BatchOrderOption"`
	Text       namedText         `ttlv:"ResultMessage"`
	Bytes      namedBytes        `ttlv:"Data"`
	Time       time.Time         `ttlv:"TimeStamp"`
	Extended   DateTimeExtended  `ttlv:"Digest"`
	Interval   Interval          `ttlv:"LeaseTime"`
	Struct     inner             `ttlv:"Name"`
	Big        *big.Int          `ttlv:"Modulus"`
	BigValue   big.Int           `ttlv:"P"`
	PInt       *int32            `ttlv:"CryptographicLength"`
	PEnum      *namedEnum        `ttlv:"State"`
	PLong      *int64            `ttlv:"UsageLimitsCount"`
	PBool      *bool             `ttlv:"Sensitive"`
	PText      *string           `ttlv:"Comment"`
	PBytes     *[]byte           `ttlv:"IVCounterNonce"`
	PTime      *time.Time        `ttlv:"ActivationDate"`
	PExtended  *DateTimeExtended `ttlv:"DestroyDate"`
	PInterval  *Interval         `ttlv:"Offset"`
	PStruct    *inner            `ttlv:"Link"`
	Ints       []int32           `ttlv:"TagLength"`
	Enums      []namedEnum       `ttlv:"ObjectType"`
	Texts      []string          `ttlv:"Description"`
	ByteSlices [][]byte          `ttlv:"MACData"`
	Structs    []inner           `ttlv:"Attribute"`
	PStructs   []*inner          `ttlv:"Attributes"`
	Bigs       []*big.Int        `ttlv:"Q"`
	Raw        Raw               `ttlv:"RequestPayload"`
	Raws       []Raw             `ttlv:"ResponsePayload"`
	Node       Node              `ttlv:"MessageExtension,omitempty"`
	Nodes      []Node            `ttlv:"VendorExtension"`
	Vendor     string            `ttlv:"0x54F001,omitempty"`
	Ignored    string            `ttlv:"-"`
	//lint:ignore U1000 the codec must pass over it
	unexported string
}

func filled() *everything {
	when := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	raw, _ := Append(nil, V1_4, TagRequestPayload, &base{"raw"})
	raw2, _ := Append(nil, V1_4, TagResponsePayload, new("raw"))
	return &everything{
		base: base{"id"}, Int: -1, Enum: 0x80000001, Long: math.MinInt64, Bool: true, Text: "grüß", Bytes: []byte{0, 1},
		Time: when, Extended: -1, Interval: math.MaxUint32, Struct: inner{"n", &inner{"m", nil}},
		Big: bigInt("-129"), BigValue: *bigInt("0x123456789abcdef0123456789"),
		PInt: new(int32(7)), PEnum: new(namedEnum(3)), PLong: new(int64(-5)), PBool: new(false), PText: new(""),
		PBytes: &[]byte{}, PTime: &when, PExtended: new(DateTimeExtended(1)), PInterval: new(Interval(0)),
		PStruct: &inner{"x", nil}, Ints: []int32{1, 2, 3}, Enums: []namedEnum{4}, Texts: []string{"", "a", "bcdefghi"},
		ByteSlices: [][]byte{{}, {1}}, Structs: []inner{{"a", nil}, {"b", &inner{"c", nil}}},
		PStructs: []*inner{{"d", nil}, {"e", nil}}, Bigs: []*big.Int{bigInt("0xffffffffffffffffff"), bigInt("1")},
		Raw: raw, Raws: []Raw{raw2, raw2},
		Node:   Node{Tag: TagMessageExtension, Type: TypeStructure, Children: []Node{{Tag: TagComment, Type: TypeTextString, Value: "hi"}}},
		Nodes:  []Node{{Tag: TagVendorExtension, Type: TypeInteger, Value: int32(1)}, {Tag: TagVendorExtension, Type: TypeBoolean, Value: true}},
		Vendor: "ours",
	}
}

func TestEveryKindRoundTrips(t *testing.T) {
	in := filled()
	wire, err := Append(nil, V2_1, TagResponsePayload, in)
	require.NoError(t, err)
	out := everything{Ignored: "kept", PInt: new(int32(99)), Texts: []string{"gone"}}
	require.NoError(t, Unmarshal(wire, V2_1, TagResponsePayload, &out, nil))
	require.Equal(t, "kept", out.Ignored)
	out.Ignored = ""
	require.Equal(t, in, &out)

	again, err := Append(nil, V2_1, TagResponsePayload, &out)
	require.NoError(t, err)
	require.Equal(t, wire, again)
}

func TestUnmarshalForgetsWhatWasThere(t *testing.T) {
	type target struct {
		Name  string        `ttlv:"NameValue,omitempty"`
		Held  any           `ttlv:"Attributes"`
		Parts []*inner      `ttlv:"Attribute"`
		Count *int32        `ttlv:"BatchCount"`
		Bytes []byte        `ttlv:"Data,omitempty"`
		Long  int64         `ttlv:"UsageLimitsTotal,omitempty"`
		Wait  time.Duration `ttlv:"-"`
	}
	old := &inner{Name: "held by another"}
	held := &inner{Name: "old"}
	x := target{"old", held, []*inner{old, old}[:1], new(int32(1)), []byte("old"), 9, 5}
	x.Parts = x.Parts[:0]
	wire, err := Append(nil, V1_4, TagCredential, &target{Parts: []*inner{{Name: "new"}}})
	require.NoError(t, err)
	require.NoError(t, Unmarshal(wire, V1_4, TagCredential, &x, nil))
	require.Equal(t, target{Parts: []*inner{{Name: "new"}}, Held: held, Wait: 5}, x)
	require.Equal(t, namedText("held by another"), old.Name)
}

func TestBytesAreBorrowed(t *testing.T) {
	wire, err := Append(nil, V1_4, TagData, &[]byte{1, 2, 3})
	require.NoError(t, err)
	var b []byte
	require.NoError(t, Unmarshal(wire, V1_4, TagData, &b, nil))
	wire[8] = 9
	require.Equal(t, []byte{9, 2, 3}, b)
	_ = append(b, 7)
	require.Zero(t, wire[11], "an append must not reach the message")
}

// versioned has fields and alternatives of some versions.
type versioned struct {
	Attributes *inner  `ttlv:"TemplateAttribute,1.0-1.4|Attributes,2.0+"`
	Offset     int32   `ttlv:"OffsetItems,1.3+,omitempty"`
	Old        *string `ttlv:"OperationPolicyName,1.0-1.4"`
	Only       int32   `ttlv:"TagLength,1.2"`
	Was        bool    `ttlv:"AsynchronousIndicator,1.0-1.4,omitempty"`
	Is         uint32  `ttlv:"AsynchronousIndicator,2.0+,omitempty"`
}

func TestVersions(t *testing.T) {
	x := versioned{Attributes: &inner{Name: "a"}, Offset: 3, Old: new("p"), Only: 5, Was: true, Is: 2}
	tags := func(v Version) (tags []Tag) {
		wire, err := Append(nil, v, TagRequestPayload, &x)
		require.NoError(t, err)
		n, err := Parse(wire, nil)
		require.NoError(t, err)
		for _, c := range n.Children {
			tags = append(tags, c.Tag)
		}
		return tags
	}
	require.Equal(t, []Tag{TagTemplateAttribute, TagOperationPolicyName, TagAsynchronousIndicator}, tags(V1_0))
	require.Equal(t, []Tag{TagTemplateAttribute, TagOperationPolicyName, TagTagLength, TagAsynchronousIndicator}, tags(V1_2))
	require.Equal(t, []Tag{TagTemplateAttribute, TagOffsetItems, TagOperationPolicyName, TagAsynchronousIndicator}, tags(V1_4))
	require.Equal(t, []Tag{TagAttributes, TagOffsetItems, TagAsynchronousIndicator}, tags(V2_0))
	require.Equal(t, tags(V2_1), tags(Version(0x0300)), "an unknown version is read as the known one before it")

	var out versioned
	newer, err := Append(nil, V2_1, TagRequestPayload, &versioned{Attributes: &inner{Name: "a"}, Offset: 3})
	require.NoError(t, err)
	require.NoError(t, Unmarshal(newer, V1_0, TagRequestPayload, &out, nil), "fields newer than the version are accepted")
	require.Equal(t, int32(3), out.Offset)
	require.Equal(t, namedText("a"), out.Attributes.Name)
	require.ErrorContains(t, Unmarshal(newer, V1_2, TagRequestPayload, &out, nil), "RequestPayload: TagLength is missing")

	wire, err := Append(nil, V2_0, TagRequestPayload, &versioned{Is: 2})
	require.NoError(t, err)
	require.NoError(t, Unmarshal(wire, V2_0, TagRequestPayload, &out, nil))
	require.Equal(t, versioned{Is: 2}, out)
	require.ErrorContains(t, Unmarshal(wire, V1_0, TagRequestPayload, &out, nil), "must be Boolean")
}

func TestOmitEmpty(t *testing.T) {
	type optional struct {
		A int32            `ttlv:"BatchCount,omitempty"`
		B bool             `ttlv:"BatchOrderOption,omitempty"`
		C string           `ttlv:"Comment,omitempty"`
		D []byte           `ttlv:"Data,omitempty"`
		E time.Time        `ttlv:"TimeStamp,omitempty"`
		F inner            `ttlv:"Name,omitempty"`
		G Raw              `ttlv:"RequestPayload"`
		H Node             `ttlv:"MessageExtension,omitempty"`
		I int64            `ttlv:"UsageLimitsTotal,omitempty"`
		J DateTimeExtended `ttlv:"Digest,omitempty"`
		K several          `ttlv:"Link,omitempty"`
	}
	wire, err := Append(nil, V1_4, TagCredential, &optional{})
	require.NoError(t, err)
	require.Equal(t, unhex(t, "42002301 00000000"), wire)
	wire, err = Append(nil, V1_4, TagCredential, &optional{D: []byte{}})
	require.NoError(t, err)
	var back optional
	require.NoError(t, Unmarshal(wire, V1_4, TagCredential, &back, nil))
	require.NotNil(t, back.D, "bytes that are empty but there")
}

// several writes its texts under one tag and counts the items it reads.
type several struct {
	texts []string
	calls int
}

var errRefused = errors.New("refused")

func (s *several) MarshalTTLV(e *Encoder, tag Tag) error {
	for _, text := range s.texts {
		mark := e.Begin(tag)
		e.Text(TagNameValue, text)
		e.End(mark)
	}
	return nil
}

func (s *several) UnmarshalTTLV(d *Decoder, it Item) error {
	s.calls++
	c, err := d.Children(it)
	if err != nil {
		return err
	}
	for child, ok := c.Next(); ok; child, ok = c.Next() {
		if child.Tag == TagVendorExtension {
			return errRefused
		}
		if child.Tag == TagDigest {
			_, err := child.Text()
			return fmt.Errorf("%w: %w", errRefused, err)
		}
		var text string
		if err := d.Value(child, &text); err != nil {
			return err
		}
		s.texts = append(s.texts, text)
	}
	return c.Err()
}

func TestMarshalerAndUnmarshaler(t *testing.T) {
	type holder struct {
		Value   several    `ttlv:"Name"`
		Pointer *several   `ttlv:"Attribute"`
		Slice   []several  `ttlv:"Attributes"`
		Ps      []*several `ttlv:"Link"`
	}
	in := holder{several{texts: []string{"a", "b"}}, &several{texts: []string{"c"}},
		[]several{{texts: []string{"d"}}, {texts: []string{"e"}}}, []*several{{texts: []string{"f"}}}}
	wire, err := Append(nil, V1_4, TagCredential, &in)
	require.NoError(t, err)
	var out holder
	require.NoError(t, Unmarshal(wire, V1_4, TagCredential, &out, nil))
	require.Equal(t, 2, out.Value.calls)
	require.Equal(t, in.Value.texts, out.Value.texts)
	require.Equal(t, in.Pointer.texts, out.Pointer.texts)
	require.Len(t, out.Slice, 2)
	require.Equal(t, in.Slice[1].texts, out.Slice[1].texts)
	require.Equal(t, in.Ps[0].texts, out.Ps[0].texts)

	var none holder
	require.NoError(t, Unmarshal(unhex(t, "42002301 00000000"), V1_4, TagCredential, &none, nil))
	require.Nil(t, none.Pointer)
}

func TestInterfaceHoldsAStructure(t *testing.T) {
	type batchItem struct {
		Operation uint32 `ttlv:"Operation"`
		Payload   any    `ttlv:"RequestPayload|ResponsePayload"`
	}
	wire, err := Append(nil, V1_4, TagBatchItem, &batchItem{1, &base{"x"}})
	require.NoError(t, err)
	var b base
	require.NoError(t, Unmarshal(wire, V1_4, TagBatchItem, &batchItem{Payload: &b}, nil))
	require.Equal(t, "x", b.ID)
	for _, bad := range []any{nil, base{}, new(int32(1)), (*base)(nil)} {
		err := Unmarshal(wire, V1_4, TagBatchItem, &batchItem{Payload: bad}, nil)
		require.EqualError(t, err, "BatchItem: RequestPayload: nothing to decode it into")
	}
	_, err = Append(nil, V1_4, TagBatchItem, &batchItem{1, base{"x"}})
	require.ErrorContains(t, err, "not a pointer to a structure")
	wire, err = Append(nil, V1_4, TagBatchItem, &batchItem{1, nil})
	require.NoError(t, err)
	require.Len(t, wire, 8+16)
}

func TestAppendRefuses(t *testing.T) {
	for name, x := range map[string]any{
		"no pointer":  base{},
		"nil":         nil,
		"nil pointer": (*base)(nil),
		"raw":         &struct{ RequestPayload Raw }{Raw{1, 2, 3}},
		"cut raw":     &struct{ RequestPayload Raw }{Raw(unhex(t, "42007901 00000010"))},
		"node":        &struct{ MessageExtension Node }{},
	} {
		got, err := Append([]byte("kept"), V1_4, TagCredential, x)
		require.Error(t, err, name)
		require.Equal(t, "kept", string(got), name)
	}
}

func TestCompile(t *testing.T) {
	require.NoError(t, Compile(&everything{}))
	require.NoError(t, Compile(versioned{}))
	for name, c := range map[string]struct {
		x    any
		want string
	}{
		"unknown tag": {&struct {
			F int32 `ttlv:"Nonsense"`
		}{}, `F: no tag is called "Nonsense"`},
		"unknown name": {&struct{ Nonsense int32 }{}, `no tag is called "Nonsense"`},
		"unknown option": {&struct {
			F int32 `ttlv:"BatchCount,omitemtpy"`
		}{}, `"omitemtpy" is neither`},
		"unknown version": {&struct {
			F int32 `ttlv:"BatchCount,1.7+"`
		}{}, `"1.7" is neither`},
		"backwards": {&struct {
			F int32 `ttlv:"BatchCount,1.4-1.2"`
		}{}, "run backwards"},
		"int": {&struct {
			F int `ttlv:"BatchCount"`
		}{}, "int cannot stand in a message"},
		"map": {&struct {
			F map[string]string `ttlv:"BatchCount"`
		}{}, "cannot stand in a message"},
		"pointer pointer": {&struct {
			F **int32 `ttlv:"BatchCount"`
		}{}, "cannot stand in a message"},
		"slices": {&struct {
			F [][]int32 `ttlv:"BatchCount"`
		}{}, "cannot stand in a message"},
		"same tag": {&struct {
			A int32 `ttlv:"BatchCount,1.0-1.4"`
			B int32 `ttlv:"BatchCount,1.4+"`
		}{}, "A and B are both BatchCount at version 1.4"},
		"inline": {&struct {
			F *base `ttlv:",inline"`
		}{}, "cannot be inline"},
		"nested": {&struct {
			F []struct {
				G uint8 `ttlv:"BatchCount"`
			} `ttlv:"Name"`
		}{}, "uint8 cannot stand"},
		"nil": {nil, "not a structure"},
	} {
		require.ErrorContains(t, Compile(c.x), c.want, name)
	}
	require.PanicsWithValue(t, "ttlv: int cannot stand in a message", func() { _, _ = Append(nil, V1_4, TagData, new(int)) })
}
