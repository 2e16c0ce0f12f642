package replay

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// A turn is a request, the answer that the case expects and the one that the server gives; payloads in XML.
type turn struct{ operation, asked, expected, given string }

func request(operation, payload string) string {
	return header("Request", "") + fmt.Sprintf(`<BatchItem><Operation type="Enumeration" value="%s"/><RequestPayload>%s</RequestPayload></BatchItem></RequestMessage>`, operation, payload)
}

func response(operation, payload, date string) string {
	return header("Response", fmt.Sprintf(`<TimeStamp type="DateTime" value="%s"/>`, date)) + fmt.Sprintf(
		`<BatchItem><Operation type="Enumeration" value="%s"/><ResultStatus type="Enumeration" value="Success"/><ResponsePayload>%s</ResponsePayload></BatchItem></ResponseMessage>`, operation, payload)
}

func header(kind, more string) string {
	return fmt.Sprintf(`<%sMessage><%[1]sHeader><ProtocolVersion><ProtocolVersionMajor type="Integer" value="2"/><ProtocolVersionMinor type="Integer" value="1"/></ProtocolVersion>%s<BatchCount type="Integer" value="1"/></%[1]sHeader>`, kind, more)
}

// play plays a case of turns against a server that gives the answers of the turns.
func play(t *testing.T, turns ...turn) []Difference {
	t.Helper()
	var text strings.Builder
	var answers []string
	for _, x := range turns {
		text.WriteString(request(x.operation, x.asked))
		text.WriteString(response(x.operation, x.expected, "$NOW"))
		answers = append(answers, response(x.operation, x.given, time.Now().Format(time.RFC3339)))
	}
	return against(t, text.String(), answers...)
}

// against plays a case against a server that gives these messages.
func against(t *testing.T, text string, answers ...string) []Difference {
	t.Helper()
	c, err := Parse("case", []byte("<KMIP>"+text+"</KMIP>"))
	require.NoError(t, err)
	differences, err := NewPlayer(func(_ context.Context, request []byte) ([]byte, error) {
		_, err := ttlv.Parse(request, nil)
		require.NoError(t, err)
		answer, err := ttlv.ParseXML([]byte(answers[0]), nil)
		require.NoError(t, err)
		answers = answers[1:]
		return answer.Append(nil), nil
	}).Play(t.Context(), c)
	require.NoError(t, err)
	return differences
}

func leaf(tag, typ, value string) string {
	return fmt.Sprintf(`<%s type="%s" value="%s"/>`, tag, typ, value)
}
func uid(value string) string { return leaf("UniqueIdentifier", "TextString", value) }

// symmetric is the answer to Get of a symmetric key.
func symmetric(id, material string) string {
	return leaf("ObjectType", "Enumeration", "SymmetricKey") + uid(id) +
		"<SymmetricKey><KeyBlock>" + leaf("KeyFormatType", "Enumeration", "Raw") + "<KeyValue>" + leaf("KeyMaterial", "ByteString", material) + "</KeyValue></KeyBlock></SymmetricKey>"
}

func TestPlay(t *testing.T) {
	create := turn{"Create", "", leaf("ObjectType", "Enumeration", "SymmetricKey") + uid("$UNIQUE_IDENTIFIER_0"), leaf("ObjectType", "Enumeration", "SymmetricKey") + uid("a")}
	register := turn{"Register", "", uid("$UNIQUE_IDENTIFIER_0"), uid("a")}
	date := func(offset time.Duration) string {
		return leaf("ActivationDate", "DateTime", time.Now().Add(offset).Format(time.RFC3339))
	}
	attributes := func(list string) string { return uid("a") + "<Attributes>" + list + "</Attributes>" }
	reference := leaf("AttributeReference", "Enumeration", "State")
	state, usage := leaf("State", "Enumeration", "Active"), leaf("CryptographicUsageMask", "Integer", "Encrypt Decrypt")
	for name, test := range map[string]struct {
		turns []turn
		want  string // in one difference; "" for none
	}{
		"same":              {[]turn{create}, ""},
		"bound":             {[]turn{create, {"Activate", uid("$UNIQUE_IDENTIFIER_0"), uid("$UNIQUE_IDENTIFIER_0"), uid("a")}}, ""},
		"bound otherwise":   {[]turn{create, {"Activate", uid("$UNIQUE_IDENTIFIER_0"), uid("$UNIQUE_IDENTIFIER_0"), uid("b")}}, "UniqueIdentifier: want $UNIQUE_IDENTIFIER_0, which is a, got b"},
		"never bound":       {[]turn{{"Activate", uid("$UNIQUE_IDENTIFIER_7"), "", ""}}, "want a value of $UNIQUE_IDENTIFIER_7"},
		"missing":           {[]turn{{"Activate", "", uid("$UNIQUE_IDENTIFIER_0"), ""}}, "UniqueIdentifier: want $UNIQUE_IDENTIFIER_0, got nothing"},
		"superfluous":       {[]turn{{"Activate", "", "", uid("a")}}, "UniqueIdentifier: want nothing, got a"},
		"another order":     {[]turn{{"Create", "", create.expected, uid("a") + leaf("ObjectType", "Enumeration", "SymmetricKey")}}, "want the order of the case, got another"},
		"another value":     {[]turn{{"GetAttributes", reference, attributes(state), attributes(leaf("State", "Enumeration", "PreActive"))}}, "Attributes/State: want Active, got PreActive"},
		"attributes' order": {[]turn{{"GetAttributes", reference, attributes(state + usage), attributes(usage + state)}}, ""},
		"more attributes":   {[]turn{{"GetAttributes", uid("a") + reference, attributes(state), attributes(state + usage)}}, "CryptographicUsageMask: want nothing, got Encrypt Decrypt"},
		"all attributes":    {[]turn{{"GetAttributes", uid("a"), attributes(state), attributes(state + usage)}}, ""},
		"fewer attributes":  {[]turn{{"GetAttributes", uid("a"), attributes(state + usage), attributes(state)}}, "CryptographicUsageMask: want Encrypt Decrypt, got nothing"},
		"now":               {[]turn{{"GetAttributes", "", attributes(leaf("ActivationDate", "DateTime", "$NOW-3600")), attributes(date(-time.Hour))}}, ""},
		"not now":           {[]turn{{"GetAttributes", "", attributes(leaf("ActivationDate", "DateTime", "$NOW-3600")), attributes(date(0))}}, "ActivationDate: want $NOW-3600"},
		"recorded date":     {[]turn{{"GetAttributes", "", attributes(leaf("InitialDate", "DateTime", "2012-04-27T08:12:24+00:00")), attributes(leaf("InitialDate", "DateTime", "2026-04-27T08:12:24+00:00"))}}, ""},
		"given date": {[]turn{{
			"AddAttribute", leaf("ActivationDate", "DateTime", "1970-01-01T00:00:06+00:00"),
			leaf("ActivationDate", "DateTime", "1970-01-01T00:00:06+00:00"), leaf("ActivationDate", "DateTime", "1970-01-01T00:00:07+00:00"),
		}}, "want 1970-01-01T00:00:06+00:00, got 1970-01-01T00:00:07+00:00"},
		"material given":     {[]turn{register, {"Get", "", symmetric("$UNIQUE_IDENTIFIER_0", "0102"), symmetric("a", "0103")}}, "KeyMaterial: want 0102, got 0103"},
		"material made":      {[]turn{create, {"Get", "", symmetric("$UNIQUE_IDENTIFIER_0", "0102"), symmetric("a", "0103")}}, ""},
		"size of it":         {[]turn{create, {"Get", "", symmetric("$UNIQUE_IDENTIFIER_0", "0102"), symmetric("a", "010304")}}, "KeyMaterial: want 2 bytes, got 3 bytes"},
		"operations":         {[]turn{{"Query", "", leaf("Operation", "Enumeration", "Get"), leaf("Operation", "Enumeration", "Locate") + leaf("Operation", "Enumeration", "Get")}}, ""},
		"lacking Get":        {[]turn{{"Query", "", leaf("Operation", "Enumeration", "Get"), leaf("Operation", "Enumeration", "Locate")}}, "Operation: want Get, got nothing"},
		"lacking Certify":    {[]turn{{"Query", "", leaf("Operation", "Enumeration", "Certify"), leaf("Operation", "Enumeration", "Locate")}}, ""},
		"located items":      {[]turn{{"Locate", "", uid("$A") + uid("$B"), leaf("LocatedItems", "Integer", "2") + uid("b") + uid("a")}}, ""},
		"one too many":       {[]turn{{"Locate", "", uid("$A"), uid("b") + uid("a")}}, "UniqueIdentifier: want nothing, got a"},
		"ciphertext":         {[]turn{register, {"Encrypt", "", uid("$UNIQUE_IDENTIFIER_0") + leaf("Data", "ByteString", "01"), uid("a") + leaf("Data", "ByteString", "02")}}, "Data: want 01, got 02"},
		"recorded and asked": {[]turn{{"Encrypt", "", uid("$A") + leaf("Data", "ByteString", "01"), uid("a") + leaf("Data", "ByteString", "01")}, {"Decrypt", leaf("Data", "ByteString", "$DATA_0"), "", ""}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			differences := play(t, test.turns...)
			if test.want == "" {
				require.Empty(t, differences)
				return
			}
			require.Len(t, differences, 1)
			require.Contains(t, differences[0].String(), test.want)
		})
	}
}

// TestPlayRandom shows that what OAEP gives is not compared, by the parameters that were registered with the key.
func TestPlayRandom(t *testing.T) {
	for padding, differs := range map[string]bool{"OAEP": false, "None": true} {
		parameters := "<Attributes><CryptographicParameters>" + leaf("PaddingMethod", "Enumeration", padding) + "</CryptographicParameters></Attributes>"
		differences := play(t,
			turn{"Register", parameters, uid("$A"), uid("a")},
			turn{"Encrypt", "", uid("$A") + leaf("Data", "ByteString", "01"), uid("a") + leaf("Data", "ByteString", "02")})
		require.Equal(t, differs, len(differences) > 0, "%v", differences)
	}
}

// TestPlayFailure shows that another outcome than the expected one is told with the server's words.
func TestPlayFailure(t *testing.T) {
	failed := header("Response", leaf("TimeStamp", "DateTime", time.Now().Format(time.RFC3339))) + "<BatchItem>" +
		leaf("Operation", "Enumeration", "Activate") + leaf("ResultStatus", "Enumeration", "OperationFailed") +
		leaf("ResultReason", "Enumeration", "ItemNotFound") + leaf("ResultMessage", "TextString", "no such key") + "</BatchItem></ResponseMessage>"
	differences := against(t, request("Activate", "")+response("Activate", "", "$NOW"), failed)
	require.Equal(t, "step 0, Activate: BatchItem/ResultStatus: want Success, got OperationFailed ItemNotFound: no such key", Summary(differences))
	expected := request("Activate", "") + strings.ReplaceAll(failed, "no such key", "DENIED")
	require.Empty(t, against(t, expected, failed))
	require.Empty(t, against(t, expected, strings.Replace(failed, "</BatchItem>", "<ResponsePayload/></BatchItem>", 1)))
}

// TestPlayVersion shows that an answer has the version of its request, whatever the case shows.
func TestPlayVersion(t *testing.T) {
	answer := response("Activate", "", time.Now().Format(time.RFC3339))
	older := strings.Replace(answer, `Minor type="Integer" value="1"`, `Minor type="Integer" value="0"`, 1)
	require.Empty(t, against(t, request("Activate", "")+older, answer))
	require.Len(t, against(t, request("Activate", "")+answer, older), 1)
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no XML":             "<KMIP>",
		"no answer":          "<KMIP>" + request("Activate", "") + "</KMIP>",
		"answer first":       "<KMIP>" + response("Activate", "", "$NOW") + request("Activate", "") + "</KMIP>",
		"a variable integer": "<KMIP>" + request("Activate", leaf("BatchCount", "Integer", "$N")) + response("Activate", "", "$NOW") + "</KMIP>",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("case", []byte(text))
			require.Error(t, err)
		})
	}
}
