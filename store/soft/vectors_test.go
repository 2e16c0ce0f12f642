package soft

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// element finds the objects in a test case.
var element = regexp.MustCompile(`(?s)<(SymmetricKey|PrivateKey|PublicKey|SecretData|Certificate|OpaqueObject|SplitKey)>.*?</(SymmetricKey|PrivateKey|PublicKey|SecretData|Certificate|OpaqueObject|SplitKey)>`)

// Every object of the standard's test cases is taken and opened, in every format that it can be had in.
func TestStandardObjects(t *testing.T) {
	files, err := filepath.Glob("../../../shared/kmip/vectors/*/*/*.xml")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("the standard's test cases are not here")
	}
	seen := map[kmip.ObjectType]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, found := range element.FindAll(text, -1) {
			if regexp.MustCompile(`value="\$`).Match(found) {
				continue // made by the server
			}
			node, err := ttlv.ParseXML(found, nil)
			require.NoError(t, err, "%s: %s", file, found)
			v := new(kmip.Value)
			require.NoError(t, ttlv.Unmarshal(inside(node), ttlv.V2_1, ttlv.TagRequestPayload, v, nil), file)
			object := v.ObjectType()
			seen[object]++
			require.NoError(t, Check(object, v), "%s: %s", file, found)
			_, err = Attributes(v)
			require.NoError(t, err, file)
			k, err := Open(v, nil, nil)
			require.NoError(t, err, file)
			k.Close()
			for want := kmip.KeyFormatTypeRaw; want <= kmip.KeyFormatTypePKCS10; want++ {
				if got, err := Convert(v, Form{Format: want}); err == nil {
					require.NoError(t, Check(object, got), file)
				}
			}
		}
	}
	t.Log(seen)
	require.Positive(t, seen[kmip.ObjectTypePrivateKey])
}

// What the standard's test cases register fits the attributes that come with it.
func TestStandardRegister(t *testing.T) {
	files, err := filepath.Glob("../../../shared/kmip/vectors/*/*/*.xml")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("the standard's test cases are not here")
	}
	registered := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range message.FindAll(text, -1) {
			if !bytes.Contains(m, []byte(`value="Register"`)) || !bytes.Contains(m, []byte("<RequestMessage>")) || regexp.MustCompile(`value="\$[KD]`).Match(m) {
				continue
			}
			version := ttlv.V2_1
			if bytes.Contains(m, []byte(`Major type="Integer" value="1"`)) {
				version = ttlv.V1_4
			}
			var in kmip.RequestMessage
			c := &replay{t: t}
			require.NoError(t, ttlv.Unmarshal(c.parse(string(m)).Append(nil), version, ttlv.TagRequestMessage, &in, nil), file)
			for _, item := range in.BatchItem {
				r := new(kmip.RegisterRequest)
				if item.Operation != kmip.OperationRegister || ttlv.Unmarshal(item.RequestPayload, version, ttlv.TagRequestPayload, r, nil) != nil {
					continue
				}
				if r.ObjectType == kmip.ObjectTypeTemplate {
					continue
				}
				a, err := Complete(r.ObjectType, &r.Value, r.Attributes)
				require.NoError(t, err, "%s: %s", file, m)
				require.GreaterOrEqual(t, len(a), len(r.Attributes))
				registered++
			}
		}
	}
	t.Log(registered, "objects")
	require.Positive(t, registered)
}

// inside puts an object into a structure.
func inside(object ttlv.Node) []byte {
	return ttlv.Node{Tag: ttlv.TagRequestPayload, Type: ttlv.TypeStructure, Children: []ttlv.Node{object}}.Append(nil)
}
