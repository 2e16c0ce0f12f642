package ttlv

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"math/big"
	"strings"
	"testing"
	"time"

	_ "github.com/gemalto/kmip-go/kmip20" // registers the names of KMIP 1.4 and 2.0
	other "github.com/gemalto/kmip-go/ttlv"
	"github.com/stretchr/testify/require"
)

// fuzzLimits keep the cost of one input low.
var fuzzLimits = &Limits{Size: 1 << 14, Depth: 8, Items: 1 << 8}

// addWire adds messages to the corpus of f.
func addWire(f *testing.F) {
	for _, c := range examples {
		f.Add(unhex(f, c.wire))
	}
	wire, err := Append(nil, V2_1, TagResponsePayload, filled())
	require.NoError(f, err)
	f.Add(wire)
	f.Add(encryptRequest(f))
	f.Add(nested(4))
}

// FuzzParse checks that what Parse accepts is encoded in the same bytes.
func FuzzParse(f *testing.F) {
	addWire(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := Parse(data, fuzzLimits)
		if err != nil {
			return
		}
		if got := n.Append(nil); !bytes.Equal(got, data) {
			t.Fatalf("%x became %x", data, got)
		}
	})
}

// FuzzUnmarshal checks that any bytes are decoded or refused, at every version, and
// that what was decoded stays the same when encoded and decoded again.
func FuzzUnmarshal(f *testing.F) {
	addWire(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range versions {
			fuzzUnmarshal(t, data, v, new(everything))
			fuzzUnmarshal(t, data, v, new(requestMessage))
			fuzzUnmarshal(t, data, v, new(versioned))
			fuzzUnmarshal(t, data, v, new(payload))
		}
	})
}

func fuzzUnmarshal(t *testing.T, data []byte, v Version, x any) {
	var d Decoder
	d.Reset(v, fuzzLimits, true)
	tag := Raw(data).Tag()
	if d.Unmarshal(data, tag, x) != nil {
		return
	}
	wire, err := Append(nil, v, tag, x)
	require.NoError(t, err)
	again := reflectNew(x)
	d.Reset(v, nil, false)
	require.NoError(t, d.Unmarshal(wire, tag, again), "%x", wire)
	wire2, err := Append(nil, v, tag, again)
	require.NoError(t, err)
	require.Equal(t, wire, wire2)
}

// FuzzXML checks that what ParseXML accepts survives XML and bytes.
func FuzzXML(f *testing.F) {
	f.Add([]byte(`<Attribute><AttributeName type="TextString" value="State"/><AttributeValue type="Enumeration" value="Active"/></Attribute>`))
	f.Add([]byte(`<TTLV tag="0x54ABCD" type="DateTime" value="2000-02-01T14:00:00Z"/>`))
	f.Add([]byte(`<CryptographicUsageMask type="Integer" value="Encrypt 0x40000000"/>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := ParseXML(data, fuzzLimits); err == nil {
			requireSameTree(t, n)
		}
	})
}

// FuzzJSON checks that what ParseJSON accepts survives JSON and bytes.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"tag":"Attribute","value":[{"tag":"AttributeName","type":"TextString","value":"State"},{"tag":"AttributeValue","type":"Enumeration","value":"Active"}]}`))
	f.Add([]byte(`{"tag":"0x54ABCD","type":"LongInteger","value":"0xFFFFFFFFFFFFFFFF"}`))
	f.Add([]byte(`{"tag":"CryptographicUsageMask","type":"Integer","value":"Encrypt|0x40000000"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := ParseJSON(data, fuzzLimits)
		if err != nil {
			return
		}
		text, err := n.JSON()
		require.NoError(t, err)
		back, err := ParseJSON(text, nil)
		require.NoError(t, err)
		wire := n.Append(nil)
		require.Equal(t, wire, back.Append(nil))
		_, err = Parse(wire, nil)
		require.NoError(t, err)
	})
}

// FuzzDifferential checks that another implementation reads the same tree from the
// same bytes and writes the same bytes of it. It is only given what Parse accepts,
// since it trusts the lengths it reads.
func FuzzDifferential(f *testing.F) {
	addWire(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := Parse(data, fuzzLimits)
		if err != nil {
			return
		}
		wire := n.Append(nil)
		require.NoError(t, other.TTLV(wire).Valid())
		requireAgreement(t, n, other.TTLV(wire))

		var buf bytes.Buffer
		e := other.NewEncoder(&buf)
		require.NoError(t, encodeOther(e, n))
		require.NoError(t, e.Flush())
		require.Equal(t, wire, buf.Bytes())
	})
}

// requireAgreement checks that the other implementation reads n from theirs.
func requireAgreement(t testing.TB, n Node, theirs other.TTLV) {
	require.Equal(t, uint32(n.Tag), uint32(theirs.Tag()))
	require.Equal(t, byte(n.Type), byte(theirs.Type()))
	if n.Type == TypeStructure {
		inner := theirs.ValueStructure()
		for _, c := range n.Children {
			requireAgreement(t, c, inner)
			inner = inner[inner.FullLen():]
		}
		require.Empty(t, inner)
		return
	}
	want := n.Value
	switch v := want.(type) {
	case uint32:
		want = other.EnumValue(v)
	case Interval:
		want = time.Duration(v) * time.Second
	case DateTimeExtended:
		if v != v*1000/1000 {
			return // theirs counts in nanoseconds, and overflows
		}
		want = other.DateTimeExtended{Time: v.Time()}
	case *big.Int:
		require.Zero(t, v.Cmp(theirs.ValueBigInteger()))
		return
	case []byte:
		require.Equal(t, string(v), string(theirs.ValueByteString()))
		return
	}
	require.Equal(t, want, theirs.Value())
}

// encodeOther encodes n with the other implementation.
func encodeOther(e *other.Encoder, n Node) error {
	tag := other.Tag(n.Tag)
	switch v := n.Value.(type) {
	case int32:
		e.EncodeInteger(tag, v)
	case int64:
		e.EncodeLongInteger(tag, v)
	case *big.Int:
		e.EncodeBigInteger(tag, v)
	case uint32:
		e.EncodeEnumeration(tag, v)
	case bool:
		e.EncodeBoolean(tag, v)
	case string:
		e.EncodeTextString(tag, v)
	case []byte:
		e.EncodeByteString(tag, v)
	case time.Time:
		e.EncodeDateTime(tag, v)
	case Interval:
		e.EncodeInterval(tag, time.Duration(v)*time.Second)
	case DateTimeExtended:
		e.EncodeDateTimeExtended(tag, v.Time())
	default:
		return e.EncodeStructure(tag, func(e *other.Encoder) error {
			for _, c := range n.Children {
				if err := encodeOther(e, c); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return nil
}

// TestTextFormsAgree checks that the other implementation and this one read each
// other's XML and JSON of the standard's test cases, the first of each profile.
func TestTextFormsAgree(t *testing.T) {
	t.Parallel()
	for _, file := range sharedFiles(t, "vectors/*/mandatory/*-M-1-*.xml") {
		for _, message := range messagesOf(t, file) {
			n, err := ParseXML([]byte(message), nil)
			require.NoError(t, err)
			ours := n.Append(nil)

			text, err := xml.Marshal(other.TTLV(ours))
			require.NoError(t, err)
			n, err = ParseXML(text, nil)
			require.NoError(t, err, "%s", text)
			require.Equal(t, ours, n.Append(nil))
			text, err = json.Marshal(other.TTLV(ours))
			require.NoError(t, err)
			n, err = ParseJSON(text, nil)
			require.NoError(t, err, "%s", text)
			require.Equal(t, ours, n.Append(nil))

			if strings.Contains(message, "PKCS_11") {
				continue // theirs has no names of PKCS#11's functions
			}
			var theirs other.TTLV
			text, err = n.XML()
			require.NoError(t, err)
			require.NoError(t, xml.Unmarshal(text, &theirs), "%s", text)
			require.Equal(t, ours, []byte(theirs), "%s", text)
			text, err = n.JSON()
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(text, &theirs), "%s", text)
			require.Equal(t, ours, []byte(theirs), "%s", text)
		}
	}
}
