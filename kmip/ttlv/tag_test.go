package ttlv

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// betweenDigits matches an underscore that a Go name keeps: PKCS_8 is PKCS8, but SHA_512_256 is SHA512_256.
var betweenDigits = regexp.MustCompile(`(\d)_(\d)`)

func goName(name string) string {
	name = betweenDigits.ReplaceAllString(name, "$1~$2")
	return strings.ReplaceAll(strings.ReplaceAll(name, "_", ""), "~", "_")
}

func TestTagConstantsAgreeWithNames(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "tags.go", nil, 0)
	require.NoError(t, err)
	named := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		number, err := strconv.ParseUint(spec.Values[0].(*ast.BasicLit).Value, 0, 24)
		require.NoError(t, err)
		tag := Tag(number)
		require.Equal(t, spec.Names[0].Name, "Tag"+goName(tag.String()))
		back, ok := TagByName(tag.String())
		require.True(t, ok)
		require.Equal(t, tag, back)
		named++
		return false
	})
	require.Equal(t, named, len(tagsByName()), "a name without a constant, or one name for two tags")
	require.Equal(t, 371+8, named)
}

func TestTagString(t *testing.T) {
	for tag, want := range map[Tag]string{
		TagUniqueIdentifier:        "UniqueIdentifier",
		TagX509CertificateSubject:  "X_509CertificateSubject",
		TagMACSignature:            "MACSignature",
		TagIVCounterNonce:          "IVCounterNonce",
		TagPKCS11Function:          "PKCS_11Function",
		TagTemplateAttribute:       "TemplateAttribute",
		TagHSMAdmin:                "HSMAdmin",
		0x420000:                   "0x420000",
		0x420137:                   "0x420137", // reserved in every version
		TagAsynchronousRequest + 9: "0x42017C",
		0x540000:                   "0x540000",
		0x54ABCD:                   "0x54ABCD",
		0:                          "0x000000",
		0xFFFFFFFF:                 "0xFFFFFFFF",
	} {
		require.Equal(t, want, tag.String())
	}
}

func TestTagByName(t *testing.T) {
	for name, want := range map[string]Tag{
		"UniqueIdentifier": TagUniqueIdentifier,
		"Grantee":          0x540001,
		"Obtained":         0x540008,
		"0x420094":         TagUniqueIdentifier,
		"0x54abcd":         0x54ABCD,
	} {
		tag, ok := TagByName(name)
		require.True(t, ok, name)
		require.Equal(t, want, tag, name)
	}
	for _, name := range []string{
		"", "Unique Identifier", "uniqueidentifier", "0x", "0x42009", "0x4200944", "0x430001", "0x+42009", "420094", "0X420094",
	} {
		_, ok := TagByName(name)
		require.False(t, ok, name)
	}
}
