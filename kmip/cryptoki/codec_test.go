package cryptoki

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// TestInfo writes the CK_INFO of test case PKCS11-M-1 of the profiles.
func TestInfo(t *testing.T) {
	want := unhex(t, "022854455354202020202020507479204c7464202020202020202020202020202020000000000000000054455354202020202020202020202020202020202020202020202020202020200100")
	var w Writer
	w.Version([2]byte{2, 40})
	w.Text("TEST      Pty Ltd", 32)
	w.ULong(0)
	w.Text("TEST", 32)
	w.Version([2]byte{1, 0})
	require.Equal(t, want[:10], w.Bytes()[:10])
	require.Len(t, w.Bytes(), len(want))
}

func TestReader(t *testing.T) {
	r := NewReader(unhex(t, "0102"+"0000000000000007"+"01"+"00000010"+"00000003616263"))
	require.Equal(t, byte(1), r.Byte())
	require.True(t, r.Bool())
	require.Equal(t, uint64(7), r.ULong())
	require.Equal(t, Buffer{true, 16}, r.Buffer())
	require.Equal(t, "abc", string(r.Array()))
	require.NoError(t, r.End())
	for _, short := range []string{"", "0102", "ffffffff00"} {
		r := NewReader(unhex(t, short))
		r.Array()
		require.Equal(t, kmip.ResultReasonPKCS11CodecError, kmip.ReasonOf(r.End()), short)
	}
	require.Error(t, NewReader([]byte{0}).End(), "more than there should be")
}

// TestTemplate reads the requests for attributes of C_GetAttributeValue: without value, with how much room there is for it.
func TestTemplate(t *testing.T) {
	r := NewReader(unhex(t, "00000005"+
		"0000000000000103"+"00"+"01"+ // CKA_SENSITIVE
		"0000000000000090"+"00"+"01"+"00000010"+ // CKA_CHECK_VALUE
		"0000000040000600"+"00"+"01"+"00000040"+ // CKA_ALLOWED_MECHANISMS
		"0000000000000003"+"00"+"00"+ // CKA_LABEL: how long?
		"0000000040000211"+"01"+"01"+"00000001"+"0000000000000000"+"01"+"01"+"0000000000000004")) // CKA_WRAP_TEMPLATE of a class
	list := r.Template()
	require.NoError(t, r.End())
	require.Equal(t, []Attribute{
		{Type: Sensitive, Length: true},
		{Type: 0x90, Length: true, Room: 16},
		{Type: AllowedMechanisms, Length: true, Room: 64},
		{Type: Label},
	}, list[:4])
	require.Equal(t, uint32(1), list[4].Room)
	require.Len(t, list[4].Value, 22)

	r = NewReader(unhex(t, "00000003"+
		"0000000000000000"+"01"+"01"+"0000000000000004"+ // CKA_CLASS
		"0000000000000001"+"01"+"01"+"01"+ // CKA_TOKEN
		"0000000000000003"+"01"+"01"+"00000001"+"6b")) // CKA_LABEL
	list = r.Template()
	require.NoError(t, r.End())
	require.Equal(t, []Attribute{
		{Type: Class, Value: ULongValue(ClassSecretKey), Valued: true, Length: true},
		{Type: Token, Value: BoolValue(true), Valued: true, Length: true},
		{Type: Label, Value: []byte("k"), Valued: true, Length: true, Room: 1},
	}, list)
}

func TestFill(t *testing.T) {
	for _, c := range []struct {
		buffer Buffer
		want   string
		fits   bool
	}{
		{Buffer{}, "00" + "00000002", true},
		{Buffer{true, 1}, "00" + "00000002", false},
		{Buffer{true, 2}, "01" + "00000002" + "0000000000000005" + "0000000000000006", true},
	} {
		var w Writer
		require.Equal(t, c.fits, w.Fill(c.buffer, []uint64{5, 6}))
		require.Equal(t, c.want, hex.EncodeToString(w.Bytes()))
	}
}

func TestAttribute(t *testing.T) {
	for _, c := range []struct {
		asked Attribute
		value []byte
		want  string
		fits  bool
	}{
		{Attribute{Type: Label}, []byte("key"), "0000000000000003" + "0001" + "00000003", true},
		{Attribute{Type: Label, Length: true, Room: 2}, []byte("key"), "0000000000000003" + "0001" + "00000003", false},
		{Attribute{Type: Label, Length: true, Room: 3}, []byte("key"), "0000000000000003" + "0101" + "00000003" + "6b6579", true},
		{Attribute{Type: Class, Length: true}, ULongValue(4), "0000000000000000" + "0101" + "0000000000000004", true},
		{Attribute{Type: StartDate, Length: true}, nil, "0000000000000110" + "0000", true},
	} {
		var w Writer
		require.Equal(t, c.fits, w.Attribute(c.asked, c.value))
		require.Equal(t, c.want, hex.EncodeToString(w.Bytes()))
	}
}

func TestText(t *testing.T) {
	var w Writer
	w.Text("grün", 3)
	require.Equal(t, "gr ", string(w.Bytes()), "no part of a character is left")
	w.Text("a", 3)
	require.Equal(t, "gr a  ", string(w.Bytes()))
}

// FuzzTemplate reads any bytes without reading past them, and reads again what it read.
func FuzzTemplate(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0})
	f.Add(unhex(f, "0000000100000000000000000101"+"0000000000000004"))
	f.Add(unhex(f, "000000010000000040000211"+"0101"+"00000001"+"00000000000000000101"+"0000000000000004"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		list := r.Template()
		if r.End() != nil {
			return
		}
		var w Writer
		w.Count(len(list))
		for _, a := range list {
			w.ULong(a.Type)
			w.Bool(a.Valued)
			w.Bool(a.Length)
			switch k := kinds[a.Type]; {
			case k == kindTemplates && a.Valued && a.Length:
				w.b = append(w.b, a.Value...)
				continue
			case a.Length && (k == kindBytes || k == kindULongs || k == kindTemplates):
				w.Count(int(a.Room))
			}
			w.b = append(w.b, a.Value...)
		}
		got := NewReader(w.Bytes())
		again := got.Template()
		require.NoError(t, got.End())
		require.Len(t, again, len(list))
		for i := range list {
			require.True(t, bytes.Equal(list[i].Value, again[i].Value))
		}
	})
}
