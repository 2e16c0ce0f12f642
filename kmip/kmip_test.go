package kmip

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// TestPayloadsCompile shows that every struct tag of every payload names a tag of the standard.
func TestPayloadsCompile(t *testing.T) {
	for _, p := range Payloads {
		require.NoError(t, ttlv.Compile(p.NewRequest()), p.Operation)
		require.NoError(t, ttlv.Compile(p.NewResponse()), p.Operation)
	}
	require.NoError(t, ttlv.Compile(new(RequestMessage)))
	require.NoError(t, ttlv.Compile(new(ResponseMessage)))
}

// TestAttributesBothShapes shows one list as 1.x and as 2.x write it, in each kind of container.
func TestAttributesBothShapes(t *testing.T) {
	activation := time.Unix(1_700_000_000, 0).UTC()
	want := CreateRequest{ObjectType: ObjectTypeSymmetricKey, Attributes: Attributes{
		{Tag: ttlv.TagCryptographicAlgorithm, Value: CryptographicAlgorithmAES},
		{Tag: ttlv.TagCryptographicLength, Value: int32(256)},
		{Tag: ttlv.TagCryptographicUsageMask, Value: CryptographicUsageMaskEncrypt | CryptographicUsageMaskDecrypt},
		{Tag: ttlv.TagName, Value: Name{"one", NameTypeUninterpretedTextString}},
		{Tag: ttlv.TagName, Value: Name{"two", NameTypeUninterpretedTextString}},
		{Tag: ttlv.TagActivationDate, Value: activation},
		{Tag: ttlv.TagAttribute, Vendor: "x", Name: "Product", Value: "vSphere"},
	}}
	for _, v := range Versions {
		data, err := ttlv.Append(nil, v, ttlv.TagRequestPayload, &want)
		require.NoError(t, err)
		var got CreateRequest
		require.NoError(t, ttlv.Unmarshal(data, v, ttlv.TagRequestPayload, &got, nil))
		require.Len(t, got.Attributes, len(want.Attributes), v)
		for i := range want.Attributes {
			require.True(t, want.Attributes[i].Equal(got.Attributes[i]), "%v %v", v, got.Attributes[i])
		}
	}
	data, err := want.Attributes.Encode()
	require.NoError(t, err)
	got, err := DecodeAttributes(data)
	require.NoError(t, err)
	require.Equal(t, want.Attributes, got)
}

// TestAttributesVersionGate shows that no attribute reaches a client of a version that does not define it.
func TestAttributesVersionGate(t *testing.T) {
	all := GetAttributesResponse{UniqueIdentifier: "k", Attributes: Attributes{
		{Tag: ttlv.TagState, Value: StateActive},
		{Tag: ttlv.TagFresh, Value: true},
		{Tag: ttlv.TagSensitive, Value: true},
		{Tag: ttlv.TagKeyFormatType, Value: KeyFormatTypeRaw},
		{Tag: ttlv.TagOperationPolicyName, Value: "default"},
	}}
	seen := map[ttlv.Version]int{ttlv.V1_0: 2, ttlv.V1_1: 3, ttlv.V1_4: 4, ttlv.V2_1: 4}
	for v, n := range seen {
		data, err := ttlv.Append(nil, v, ttlv.TagResponsePayload, &all)
		require.NoError(t, err)
		var got GetAttributesResponse
		require.NoError(t, ttlv.Unmarshal(data, v, ttlv.TagResponsePayload, &got, nil))
		require.Len(t, got.Attributes, n, v)
	}
}

func TestState(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	a := Attributes{
		{Tag: ttlv.TagState, Value: StatePreActive},
		{Tag: ttlv.TagActivationDate, Value: at(100)},
		{Tag: ttlv.TagDeactivationDate, Value: at(200)},
	}
	require.Equal(t, StatePreActive, a.State(at(99)))
	require.Equal(t, StateActive, a.State(at(100)))
	require.Equal(t, StateDeactivated, a.State(at(200)))
}

func TestHSMKey(t *testing.T) {
	slot, label, ok, err := HSMKey("hsm::4::a::b")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, uint32(4), slot)
	require.Equal(t, "a::b", label)

	_, _, ok, err = HSMKey("plain")
	require.NoError(t, err)
	require.False(t, ok)

	for _, bad := range []string{"hsm::", "hsm::4", "hsm::4::", "hsm::x::k", "hsm::04::k", "hsm::4294967296::k", "hsm::-1::k"} {
		_, _, ok, err = HSMKey(bad)
		require.True(t, ok, bad)
		require.Equal(t, ResultReasonInvalidField, ReasonOf(err), bad)
	}
}

func TestCheckIdentifier(t *testing.T) {
	require.NoError(t, CheckIdentifier("my_sym_key"))
	require.NoError(t, CheckIdentifier("hsm::4::my_key"))
	for _, bad := range []string{"", "*", "123", "a\nb", "\xff", string(make([]byte, 600)), "HSM::4::k", "Hsm::4::k", " hsm::4::k"} {
		require.Error(t, CheckIdentifier(bad), "%q", bad)
	}
}

// TestClear shows that a response which carries material can be cleared of it.
func TestClear(t *testing.T) {
	material := []byte{1, 2, 3}
	r := &GetResponse{Value: Value{SymmetricKey: &PlainKey{KeyBlock: KeyBlock{KeyValue: &KeyValue{Material: material}}}}}
	r.Clear()
	require.Equal(t, make([]byte, 3), material)
	(&GetResponse{}).Clear()
}
