package ttlv

import (
	"encoding/binary"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// reflectNew returns a pointer to a new value of what x points to.
func reflectNew(x any) any { return reflect.New(reflect.TypeOf(x).Elem()).Interface() }

// item encodes an item whose length is that of value.
func item(tag Tag, typ Type, value string) string {
	h := binary.BigEndian.AppendUint32(nil, uint32(tag)<<8|uint32(typ))
	h = binary.BigEndian.AppendUint32(h, uint32(len(value)))
	return string(h) + value + strings.Repeat("\x00", -len(value)&7)
}

type parameters struct {
	Mode     uint32 `ttlv:"BlockCipherMode,omitempty"`
	IVLength *int32 `ttlv:"IVLength,1.4+"`
}

type payload struct {
	ID         string      `ttlv:"UniqueIdentifier"`
	Parameters *parameters `ttlv:"CryptographicParameters"`
	Names      []inner     `ttlv:"Name"`
	Custom     several     `ttlv:"Link"`
	Flag       *bool       `ttlv:"Sensitive"`
	Node       Node        `ttlv:"MessageExtension,omitempty"`
}

func TestDecodeErrors(t *testing.T) {
	id := item(TagUniqueIdentifier, TypeTextString, "x")
	p := func(items ...string) string { return item(TagRequestPayload, TypeStructure, strings.Join(items, "")) }
	for name, c := range map[string]struct{ wire, want string }{
		"empty":         {"", "0 stray bytes"},
		"stray":         {"\x42\x00", "2 stray bytes"},
		"not a tag":     {item(0x430079, TypeStructure, ""), "0x430079 is not a tag"},
		"other tag":     {item(TagResponsePayload, TypeStructure, id), "the tag is ResponsePayload, must be RequestPayload"},
		"trailing":      {p(id) + "\x00", "1 bytes after the message"},
		"not structure": {item(TagRequestPayload, TypeTextString, "x"), "RequestPayload: type is TextString, must be Structure"},
		"missing":       {p(), "RequestPayload: UniqueIdentifier is missing"},
		"twice":         {p(id, id), "RequestPayload: UniqueIdentifier occurs twice"},
		"unexpected":    {p(id, item(TagDigest, TypeInteger, "1234")), "RequestPayload: unexpected Digest"},
		"type":          {p(item(TagUniqueIdentifier, TypeInteger, "1234")), "RequestPayload: UniqueIdentifier: type is Integer, must be TextString"},
		"utf-8":         {p(item(TagUniqueIdentifier, TypeTextString, "\xff")), "RequestPayload: UniqueIdentifier: not a valid TextString"},
		"integer of 8":  {p(id, item(TagUniqueIdentifier, TypeInteger, "12345678")), "RequestPayload: UniqueIdentifier: length 8 is wrong for Integer"},
		"unknown type":  {p(item(TagUniqueIdentifier, 12, "")), "RequestPayload: UniqueIdentifier: 0x0C is not a type"},
		"huge type":     {p(item(TagUniqueIdentifier, 0x17, "")), "RequestPayload: UniqueIdentifier: 0x17 is not a type"},
		"cut":           {p(id[:8]), "RequestPayload: UniqueIdentifier: length 1, but only 0 bytes are left"},
		"deep": {p(id, item(TagCryptographicParameters, TypeStructure, item(TagIVLength, TypeTextString, "x"))),
			"RequestPayload.CryptographicParameters: IVLength: type is TextString, must be Integer"},
		"in slice": {p(id, item(TagName, TypeStructure, item(TagNameValue, TypeTextString, "x")), item(TagName, TypeStructure, "")),
			"RequestPayload.Name: NameValue is missing"},
		"custom value":     {p(id, item(TagLink, TypeInteger, "1234")), "RequestPayload: Link: type is Integer, must be Structure"},
		"custom child":     {p(id, item(TagLink, TypeStructure, item(TagComment, TypeInteger, "1234"))), "RequestPayload.Link: Comment: type is Integer, must be TextString"},
		"custom cut":       {p(id, item(TagLink, TypeStructure, "1234567")), "RequestPayload: Link: length 7 is wrong for Structure"},
		"custom stray":     {p(id, item(TagLink, TypeStructure, "12345678")), "RequestPayload.Link: 0x313233 is not a tag"},
		"custom's own":     {p(id, item(TagLink, TypeStructure, item(TagVendorExtension, TypeInteger, "1234"))), "RequestPayload: Link: refused"},
		"custom's wrapped": {p(id, item(TagLink, TypeStructure, item(TagDigest, TypeInteger, "1234"))), "RequestPayload: Link: refused: Digest: type is Integer, must be TextString"},
		"boolean":          {p(id, item(TagSensitive, TypeInteger, "1234")), "RequestPayload: Sensitive: type is Integer, must be Boolean"},
		"node":             {p(id, item(TagMessageExtension, TypeStructure, item(TagComment, TypeTextString, "\xff"))), "RequestPayload.MessageExtension: Comment: not valid UTF-8"},
		"empty structure":  {item(TagRequestPayload, TypeStructure, "")[:7], "7 stray bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Unmarshal([]byte(c.wire), V1_4, TagRequestPayload, new(payload), nil)
			require.EqualError(t, err, c.want)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.NotErrorIs(t, err, ErrLimit)
			require.Equal(t, strings.HasPrefix(name, "custom's"), errors.Is(err, errRefused))
		})
	}
}

func TestDecodeAccepts(t *testing.T) {
	id := item(TagUniqueIdentifier, TypeTextString, "x")
	p := func(items ...string) []byte {
		return []byte(item(TagRequestPayload, TypeStructure, strings.Join(items, "")))
	}
	name := item(TagName, TypeStructure, item(TagNameValue, TypeTextString, "n"))
	var x payload
	t.Run("any order, slices apart", func(t *testing.T) {
		link := item(TagLink, TypeStructure, item(TagComment, TypeTextString, "c"))
		require.NoError(t, Unmarshal(p(name, link, id, name, link, name), V1_4, TagRequestPayload, &x, nil))
		require.Len(t, x.Names, 3)
		require.Equal(t, 2, x.Custom.calls)
		require.Equal(t, 3, cap(x.Names), "grown once")
	})
	t.Run("extensions", func(t *testing.T) {
		require.NoError(t, Unmarshal(p(item(0x54ABCD, TypeInteger, "1234"), id), V1_4, TagRequestPayload, &x, nil))
	})
	t.Run("booleans beyond 1", func(t *testing.T) {
		require.NoError(t, Unmarshal(p(id, item(TagSensitive, TypeBoolean, "\x01\x00\x00\x00\x00\x00\x00\x00")), V1_4, TagRequestPayload, &x, nil))
		require.True(t, *x.Flag)
	})
	t.Run("padding of other than zeros", func(t *testing.T) {
		require.NoError(t, Unmarshal(p(id[:15]+"!"), V1_4, TagRequestPayload, &x, nil))
	})
	t.Run("lenient: unknown items", func(t *testing.T) {
		var d Decoder
		d.Reset(V1_4, nil, true)
		require.NoError(t, d.Unmarshal(p(item(TagDigest, TypeInteger, "1234"), id), TagRequestPayload, &x))
		require.Equal(t, "x", x.ID)
		require.ErrorContains(t, d.Unmarshal(p(), TagRequestPayload, &x), "is missing")
	})
}

func TestValueAddsToASlice(t *testing.T) {
	old := []*inner{{Name: "old"}, {Name: "another's"}}
	x := old[:1]
	var d Decoder
	d.Reset(V1_4, nil, false)
	wire, err := Append(nil, V1_4, TagName, &inner{Name: "new"})
	require.NoError(t, err)
	another := old[1]
	it, err := d.only(wire)
	require.NoError(t, err)
	require.NoError(t, d.Value(it, &x))
	require.Equal(t, []*inner{{Name: "old"}, {Name: "new"}}, x)
	require.Equal(t, namedText("another's"), another.Name)
	require.Error(t, d.Value(it, x), "not a pointer")
}

func TestItemAccessors(t *testing.T) {
	for _, typ := range []Type{TypeStructure, TypeInteger, TypeTextString} {
		it := Item{Tag: TagData, Type: typ, Body: []byte("1234")}
		for want, f := range map[Type]func() error{
			TypeTextString:       func() error { _, err := it.Text(); return err },
			TypeByteString:       func() error { _, err := it.Bytes(); return err },
			TypeInteger:          func() error { _, err := it.Int(); return err },
			TypeLongInteger:      func() error { _, err := it.Long(); return err },
			TypeEnumeration:      func() error { _, err := it.Enum(); return err },
			TypeBoolean:          func() error { _, err := it.Bool(); return err },
			TypeDateTime:         func() error { _, err := it.Time(); return err },
			TypeDateTimeExtended: func() error { _, err := it.TimeExtended(); return err },
			TypeInterval:         func() error { _, err := it.Interval(); return err },
			TypeBigInteger:       func() error { _, err := it.BigInt(); return err },
		} {
			if want == typ {
				require.NoError(t, f())
			} else {
				require.EqualError(t, f(), "Data: type is "+typ.String()+", must be "+want.String())
			}
		}
	}
	_, err := Item{Tag: TagData, Type: TypeInteger}.Int()
	require.Error(t, err, "an item made by hand, without a value")
	_, err = Item{Tag: TagData, Type: TypeBigInteger}.BigInt()
	require.Error(t, err)
}

func TestRaw(t *testing.T) {
	var none Raw
	require.Zero(t, none.Tag())
	require.Zero(t, none.Type())
	require.Nil(t, none.Body())
	r := Raw(item(TagData, TypeByteString, "abc"))
	require.Equal(t, TagData, r.Tag())
	require.Equal(t, TypeByteString, r.Type())
	require.Equal(t, "abc", string(r.Body()))
	require.Nil(t, r[:12].Body())
}

// nested returns n structures, each in the one before.
func nested(n int) []byte {
	var e Encoder
	e.Reset(nil, V1_4)
	marks := make([]int, n)
	for i := range marks {
		marks[i] = e.Begin(TagName)
	}
	for i := n - 1; i >= 0; i-- {
		e.End(marks[i])
	}
	return e.Bytes()
}

func TestLimits(t *testing.T) {
	type list struct {
		Name  *list    `ttlv:"Name"`
		Items []string `ttlv:"UniqueIdentifier"`
		Nodes []Node   `ttlv:"Attribute"`
	}
	wide, err := Append(nil, V1_4, TagName, &list{Items: make([]string, 1000)})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		wire   []byte
		limits *Limits
		ok     bool
	}{
		"a million deep":    {nested(1_000_000), &Limits{Size: 1 << 30, Items: 1 << 30}, false},
		"deep by default":   {nested(DefaultDepth), nil, true},
		"one deeper":        {nested(DefaultDepth + 1), nil, false},
		"depth":             {nested(3), &Limits{Depth: 2}, false},
		"items":             {wide, &Limits{Items: 1000}, false},
		"just enough items": {wide, &Limits{Items: 1001}, true},
		"size":              {wide, &Limits{Size: len(wide) - 1}, false},
		"just enough size":  {wide, &Limits{Size: len(wide)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			err := Unmarshal(c.wire, V1_4, TagName, new(list), c.limits)
			_, err2 := Parse(c.wire, c.limits)
			if c.ok {
				require.NoError(t, err)
				require.NoError(t, err2)
				return
			}
			require.ErrorIs(t, err, ErrLimit)
			require.ErrorIs(t, err2, ErrLimit)
		})
	}
}

// allocatedBy returns how many bytes f allocates, other goroutines' included.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestLengthsCostNothing(t *testing.T) {
	wire := []byte(item(TagName, TypeStructure, item(TagData, TypeByteString, "12345678")))
	for _, at := range []int{4, 12} {
		for _, length := range []uint32{1<<32 - 1, 1<<32 - 8, 1 << 31, 17, 32} {
			var err error
			huge := append([]byte(nil), wire...)
			binary.BigEndian.PutUint32(huge[at:], length)
			var x struct{ Data []byte }
			allocated := allocatedBy(func() { err = Unmarshal(huge, V1_4, TagName, &x, nil) })
			require.Error(t, err)
			require.Less(t, allocated, uint64(1<<16))
		}
	}
}

func TestLength(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		limits *Limits
		want   int
		err    string
	}{
		"empty":     {"4200780100000000", nil, 8, ""},
		"some":      {"4200780100000100", nil, 264, ""},
		"limit":     {"42007801000FFFF8", nil, 1 << 20, ""},
		"over":      {"4200780100100000", nil, 0, "RequestMessage: 1048584 bytes, the limit is 1048576"},
		"4 GiB":     {"42007801FFFFFFF8", nil, 0, "RequestMessage: 4294967296 bytes, the limit is 1048576"},
		"own limit": {"4200780100000008", &Limits{Size: 15}, 0, "RequestMessage: 16 bytes, the limit is 15"},
		"odd":       {"4200780100000101", nil, 0, "RequestMessage: length 257 is not a multiple of 8"},
		"text":      {"4200780700000100", nil, 0, "RequestMessage: type is TextString, must be Structure"},
		"TLS hello": {"16030100A5010000", nil, 0, "not a TTLV message: the tag is 0x160301"},
		"extension": {"5400780100000000", nil, 0, "not a TTLV message: the tag is 0x540078"},
		"short":     {"42007801000001", nil, 0, "a header is 8 bytes, not 7"},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := Length(unhex(t, c.header), c.limits)
			require.Equal(t, c.want, n)
			if c.err != "" {
				require.EqualError(t, err, c.err)
				require.Equal(t, strings.Contains(c.err, "limit"), errors.Is(err, ErrLimit))
				return
			}
			require.NoError(t, err)
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	type fresh struct { // compiled by whoever comes first
		Payload payload `ttlv:"RequestPayload"`
	}
	wire, err := Append(nil, V1_4, TagBatchItem, &struct {
		Payload payload `ttlv:"RequestPayload"`
	}{payload{ID: "x"}})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				var x fresh
				if err := Unmarshal(wire, V1_4, TagBatchItem, &x, nil); err != nil || x.Payload.ID != "x" {
					t.Errorf("%v %q", err, x.Payload.ID)
				}
				if got, err := Append(nil, V1_4, TagBatchItem, &x); err != nil || string(got) != string(wire) {
					t.Errorf("%v %x", err, got)
				}
			}
		})
	}
	wg.Wait()
}
