package soft

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

var (
	message  = regexp.MustCompile(`(?s)<(Request|Response)Message>.*?</(Request|Response)Message>`)
	now      = regexp.MustCompile(`\$NOW[-+0-9]*`)
	variable = regexp.MustCompile(`"\$[A-Z_0-9]+"`)
)

// inParts is what this package does not do yet, by the files of the standard's test cases.
var inParts = regexp.MustCompile(`CS-BC-M-GCM-3-`)

// The cryptography of the standard's test cases CS-*: objects are registered or created, and the operations on them answer
// what the standard says. The server's part (states, other operations) is not looked at here.
func TestStandardCryptography(t *testing.T) {
	files, err := filepath.Glob("../../../shared/kmip/vectors/*/mandatory/CS-*.xml")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("the standard's test cases are not here")
	}
	done := map[kmip.Operation]int{}
	for _, file := range files {
		if inParts.MatchString(file) {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			c := &replay{t: t, done: done, keys: map[string]kmip.Opened{}, variables: map[string]string{}}
			messages := message.FindAll(text, -1)
			for i := 0; i+1 < len(messages); i += 2 {
				c.exchange(string(messages[i]), string(messages[i+1]))
			}
		})
	}
	t.Log(done)
	for _, op := range []kmip.Operation{kmip.OperationEncrypt, kmip.OperationDecrypt, kmip.OperationSign, kmip.OperationSignatureVerify, kmip.OperationMAC} {
		require.Positive(t, done[op], op)
	}
}

// replay is one test case being run.
type replay struct {
	t         *testing.T
	done      map[kmip.Operation]int
	keys      map[string]kmip.Opened // by the variable that stands for the identifier
	variables map[string]string      // bytes in hexadecimal
	created   bool                   // the case has a key that is made here, so that only lengths are known
}

// parse reads a message; values that are not known yet become harmless ones.
func (c *replay) parse(text string) ttlv.Node {
	text = now.ReplaceAllString(text, "2020-01-01T00:00:00Z")
	for name, value := range c.variables {
		text = strings.ReplaceAll(text, `"`+name+`"`, `"`+value+`"`)
	}
	text = variable.ReplaceAllStringFunc(text, func(s string) string {
		if strings.Contains(s, "UNIQUE_IDENTIFIER") {
			return s
		}
		return `""`
	})
	n, err := ttlv.ParseXML([]byte(text), nil)
	require.NoError(c.t, err)
	return n
}

func (c *replay) exchange(request, response string) {
	var in kmip.RequestMessage
	var out kmip.ResponseMessage
	node := c.parse(request)
	version := ttlv.V2_1
	if strings.Contains(request, `ProtocolVersionMajor type="Integer" value="1"`) {
		version = ttlv.V1_4
	}
	require.NoError(c.t, ttlv.Unmarshal(node.Append(nil), version, ttlv.TagRequestMessage, &in, nil))
	require.NoError(c.t, ttlv.Unmarshal(c.parse(response).Append(nil), version, ttlv.TagResponseMessage, &out, nil))
	for i, item := range in.BatchItem {
		for _, p := range kmip.Payloads {
			if p.Operation == item.Operation {
				want := out.BatchItem[i]
				payload := p.NewRequest()
				require.NoError(c.t, ttlv.Unmarshal(item.RequestPayload, version, ttlv.TagRequestPayload, payload, nil))
				c.perform(payload, &want, version, response)
			}
		}
	}
}

// perform does one operation and compares the answer with the standard's.
func (c *replay) perform(payload any, want *kmip.ResponseBatchItem, version ttlv.Version, text string) {
	t, ctx := c.t, context.Background()
	var got any
	var err error
	switch r := payload.(type) {
	case *kmip.CreateRequest:
		v, err := Generate(r.Attributes, nil)
		require.NoError(t, err)
		c.created = true
		c.keep(v, r.Attributes, text)
		return
	case *kmip.RegisterRequest:
		a, err := Complete(r.ObjectType, &r.Value, r.Attributes)
		require.NoError(t, err)
		c.keep(&r.Value, a, text)
		return
	case *kmip.EncryptRequest:
		got, err = c.keys[string(r.UniqueIdentifier)].Encrypt(ctx, r)
	case *kmip.DecryptRequest:
		got, err = c.keys[string(r.UniqueIdentifier)].Decrypt(ctx, r)
	case *kmip.SignRequest:
		got, err = c.keys[string(r.UniqueIdentifier)].Sign(ctx, r)
	case *kmip.SignatureVerifyRequest:
		got, err = c.keys[string(r.UniqueIdentifier)].SignatureVerify(ctx, r)
	case *kmip.MACRequest:
		got, err = c.keys[string(r.UniqueIdentifier)].MAC(ctx, r)
	default:
		return
	}
	if want.ResultReason == kmip.ResultReasonWrongKeyLifecycleState || want.ResultReason == kmip.ResultReasonPermissionDenied {
		return // the state of an object is the server's
	}
	c.done[want.Operation]++
	if want.ResultStatus != kmip.ResultStatusSuccess {
		require.Equal(t, want.ResultReason, kmip.ReasonOf(err), "%v", err)
		return
	}
	require.NoError(t, err)
	c.learn(got, text)
	if randomized(got) {
		return // the answer differs each time
	}
	encoded, err := ttlv.Append(nil, version, ttlv.TagResponsePayload, got)
	require.NoError(t, err)
	if c.created {
		require.Len(t, encoded, len(want.ResponsePayload))
		return
	}
	require.True(t, bytes.Equal(want.ResponsePayload, encoded), "want %x\ngot  %x", []byte(want.ResponsePayload), encoded)
}

// randomized says whether the answer has randomness in it that the standard's cannot have: a new IV, OAEP, PSS.
func randomized(answer any) bool {
	switch r := answer.(type) {
	case *kmip.EncryptResponse:
		return len(r.Data) == 256 || len(r.IVCounterNonce) > 0
	case *kmip.SignResponse:
		return true
	}
	return false
}

// answered finds the variables that stand for bytes of an answer.
var answered = regexp.MustCompile(`<(\w+) type="ByteString" value="(\$[A-Z_0-9]+)"`)

// learn remembers what the next requests will send back. CS-BC-M-13-14 has bytes in its answer where the others have the
// variables.
func (c *replay) learn(answer any, text string) {
	made := map[string][]byte{}
	switch r := answer.(type) {
	case *kmip.EncryptResponse:
		made["Data"], made["IVCounterNonce"], made["AuthenticatedEncryptionTag"] = r.Data, r.IVCounterNonce, r.AuthenticatedEncryptionTag
		c.variables["$DATA_0"], c.variables["$IV_COUNTER_NONCE"] = hex.EncodeToString(r.Data), hex.EncodeToString(r.IVCounterNonce)
	case *kmip.SignResponse:
		made["SignatureData"] = r.SignatureData
	}
	for _, m := range answered.FindAllStringSubmatch(text, -1) {
		c.variables[m[2]] = hex.EncodeToString(made[m[1]])
	}
}

// keep opens an object under the name that the response gives it.
func (c *replay) keep(v *kmip.Value, a kmip.Attributes, text string) {
	k, err := Open(v, a, nil)
	require.NoError(c.t, err)
	c.t.Cleanup(k.Close)
	name := regexp.MustCompile(`UniqueIdentifier type="TextString" value="([^"]+)"`).FindStringSubmatch(text)
	c.keys[name[1]] = k
}
