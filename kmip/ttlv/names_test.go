package ttlv_test

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/gemalto/kmip-go/kmip20" // registers the names of KMIP 1.4 and 2.0
	other "github.com/gemalto/kmip-go/ttlv"
	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// TestNumbersAgreeWithAnotherImplementation compares with the tables of github.com/gemalto/kmip-go, typed in by other
// people from KMIP 1.4 and 2.0.
func TestNumbersAgreeWithAnotherImplementation(t *testing.T) {
	tags := other.DefaultRegistry.Tags()
	compared := 0
	for _, number := range tags.Values() {
		tag := ttlv.Tag(number)
		name, _ := tags.Name(number)
		if name == "Reserved" {
			continue
		}
		require.Equal(t, name, tag.String())

		enum := other.DefaultRegistry.EnumForTag(other.Tag(number))
		if enum == nil || tag == ttlv.TagLink { // Link is a Structure: theirs is a slip for Linked Object Identifier
			continue
		}
		for _, value := range enum.Values() {
			name, _ := enum.Name(value)
			if notTheirs(tag, value) || name == "Reserved" {
				continue
			}
			got, ok := ttlv.EnumValue(tag, name)
			require.True(t, ok, "%v %s", tag, name)
			require.Equal(t, value, got, "%v %s", tag, name)
			require.NotEmpty(t, ttlv.EnumName(tag, value))
			compared++
		}
	}
	require.Greater(t, compared, 900)
}

// notTheirs says whether the other table names a value otherwise than KMIP 2.0 and 2.1 do.
func notTheirs(tag ttlv.Tag, value uint32) bool {
	switch tag {
	case ttlv.TagProfileName: // the Suite B profiles of 1.x, reserved in 2.x
		return value >= 0x118 && value <= 0x11B
	case ttlv.TagResultReason: // Not Authorised
		return value == 0x39
	}
	return false
}

// TestNamesInTestCases resolves every name in the standard's published test cases (KMIP Profiles 1.0 to 2.1, XML).
func TestNamesInTestCases(t *testing.T) {
	files, err := filepath.Glob("../../../shared/kmip/vectors/*/*/*.xml")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("the test cases of KMIP Profiles are not in ../shared/kmip/vectors")
	}
	for _, file := range files {
		f, err := os.Open(file)
		require.NoError(t, err)
		checkNames(t, f)
		require.NoError(t, f.Close())
	}
}

// checkNames resolves the names of one test case.
func checkNames(t *testing.T, r io.Reader) {
	attribute := ""
	for d := xml.NewDecoder(r); ; {
		token, err := d.Token()
		if err == io.EOF {
			return
		}
		require.NoError(t, err)
		e, ok := token.(xml.StartElement)
		if !ok || e.Name.Local == "KMIP" || e.Name.Local == "KmipTestCase" {
			continue
		}
		tag, ok := ttlv.TagByName(e.Name.Local)
		require.True(t, ok, e.Name.Local)
		attr := map[string]string{}
		for _, a := range e.Attr {
			attr[a.Name.Local] = a.Value
		}
		switch tag {
		case ttlv.TagAttributeName:
			attribute = strings.Join(strings.Fields(attr["value"]), "")
		case ttlv.TagAttributeValue: // has the type of the attribute that was named before
			if tag, ok = ttlv.TagByName(attribute); !ok {
				continue
			}
		}
		checkValue(t, tag, attr["type"], attr["value"])
	}
}

// checkValue resolves the names in one value: of an Enumeration, or of the bits of a mask.
func checkValue(t *testing.T, tag ttlv.Tag, typ, value string) {
	switch {
	case typ == "Enumeration":
		number, ok := ttlv.EnumValue(tag, value)
		require.True(t, ok, "%v %q", tag, value)
		if !strings.HasPrefix(value, "0x") {
			require.Equal(t, value, ttlv.EnumName(tag, number))
		}
	case typ == "Integer" && ttlv.IsMask(tag):
		_, ok := ttlv.ParseMask(tag, value)
		require.True(t, ok, "%v %q", tag, value)
	}
}
