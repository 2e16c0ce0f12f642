package kmip

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// A specTable is one table of the standard's text, under the heading that stands before it.
type specTable struct {
	number, heading string
	rows            [][]string // the cells, their lines joined by a space
}

// texts are the versions of the standard whose text there may be.
var texts = []ttlv.Version{ttlv.V1_0, ttlv.V1_2, ttlv.V1_4, ttlv.V2_0, ttlv.V2_1}

// eachText runs a test with the tables of each version of the standard's text, which is not part of this project.
func eachText(t *testing.T, test func(t *testing.T, v ttlv.Version, tables []specTable)) {
	for _, v := range texts {
		t.Run(v.String(), func(t *testing.T) {
			path := filepath.Join("..", "..", "shared", "kmip", "spec", "kmip-spec-"+v.String()+".txt")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Skipf("without the standard's text: %v", err)
			}
			test(t, v, specTables(string(text)))
		})
	}
}

var headingLine = regexp.MustCompile(`^ {0,3}(\d+(?:\.\d+)+) +(.*\S) *$`)

// specTables reads the tables, which are drawn with lines.
func specTables(text string) (tables []specTable) {
	var t specTable
	var open bool // a row that the next line of cells continues
	for line := range strings.SplitSeq(text, "\n") {
		switch m := headingLine.FindStringSubmatch(line); {
		case strings.Contains(line, "┌"):
			t.rows, open = nil, false
		case strings.ContainsAny(line, "├└"):
			open = false
			if strings.Contains(line, "└") {
				tables = append(tables, t)
			}
		case strings.Contains(line, "│"):
			cells := strings.Split(line, "│")
			cells = cells[1 : len(cells)-1]
			if !open {
				t.rows = append(t.rows, make([]string, len(cells)))
			}
			open = true
			last := t.rows[len(t.rows)-1]
			for i := range min(len(cells), len(last)) {
				last[i] = strings.TrimSpace(last[i] + " " + strings.TrimSpace(cells[i]))
			}
		case m != nil:
			t.number, t.heading = m[1], m[2]
		}
	}
	return tables
}

var enumerationValue = regexp.MustCompile(`^(?:0x)?([0-9A-F]{8})(?: \(deprecated\))?$`)

// enumerationsIn lists the values of the enumerations and bit masks that a version's text defines, by their tag.
func enumerationsIn(tables []specTable) map[ttlv.Tag]map[uint32]bool {
	found := map[ttlv.Tag]map[uint32]bool{}
	for _, table := range tables {
		name := strings.TrimSuffix(strings.ReplaceAll(table.heading, " ", ""), "Enumeration")
		tag, ok := ttlv.TagByName(name)
		if !ok || !strings.HasPrefix(table.number, "9.1.3.") && !strings.HasPrefix(table.number, "11.") && !strings.HasPrefix(table.number, "12.") {
			continue
		}
		for _, row := range table.rows {
			if len(row) < 2 || strings.Contains(row[0], "Reserved") {
				continue
			}
			if m := enumerationValue.FindStringSubmatch(row[1]); m != nil {
				n, _ := strconv.ParseUint(m[1], 16, 32)
				if found[tag] == nil {
					found[tag] = map[uint32]bool{}
				}
				found[tag][uint32(n)] = true
			}
		}
	}
	return found
}

// otherwise are the values about which the text says something else than this project does, with the reason.
var otherwise = map[ttlv.Tag]string{
	ttlv.TagProfileName: "the values of 1.x and of 2.x are different ones; the names here are those of 2.1",
}

// TestEnumerationsAgreeWithStandard compares which values each version defines with the standard's text.
func TestEnumerationsAgreeWithStandard(t *testing.T) {
	eachText(t, func(t *testing.T, v ttlv.Version, tables []specTable) {
		found := enumerationsIn(tables)
		require.Greater(t, len(found), 25)
		for tag, values := range found {
			if otherwise[tag] != "" {
				continue
			}
			for n := range values {
				require.NotEmpty(t, ttlv.EnumName(tag, n), "%v 0x%X has no name", tag, n)
			}
			for n := range uint32(0x400) {
				if ttlv.EnumName(tag, n) != "" {
					require.Equal(t, values[n], ttlv.Defined(tag, n, v), "%v %s", tag, ttlv.EnumName(tag, n))
				}
			}
			for n := uint32(0x400); n != 0 && n < 1<<31; n <<= 1 {
				if ttlv.EnumName(tag, n) != "" {
					require.Equal(t, values[n], ttlv.Defined(tag, n, v), "%v %s", tag, ttlv.EnumName(tag, n))
				}
			}
		}
	})
}

// rulesIn lists the tables of attribute rules in a version's text: by the attribute's name, what each row says.
func rulesIn(tables []specTable) map[string]map[string]string {
	found := map[string]map[string]string{}
	for _, table := range tables {
		rules := map[string]string{}
		for _, row := range table.rows {
			rules[strings.ToLower(row[0])] = strings.Join(row[1:], " ")
		}
		if rules["shall always have a value"] != "" && !strings.HasPrefix(rules["initially set by"], "Who") {
			found[table.heading] = rules
		}
	}
	return found
}

// names of operations and objects as the tables write them.
var (
	operationNames = regexp.MustCompile(`Create Key Pair|Create|Register|Derive Key|Re-certify|Certify|Re-key Key Pair|Re-key|Activate|Revoke|Destroy|Archive|Recover|Add Attribute|Modify Attribute|Delete Attribute|Get Usage Allocation`)
	implicitTexts  = map[string]OperationSet{ // what is not said by naming operations
		"when object is created or registered":               made,
		"when created or registered":                         made,
		"when object is stored":                              made,
		"when sensitive attribute is set or changed":         made | altered,
		"when never extractable attribute is set or changed": made | altered,
		"when object is rotated":                             replaced,
		"when object is rotated by the server":               replaced,
		"never":                                              none, "n/a": none, "": none,
	}
	appliesTexts = map[string]ObjectTypeSet{
		"All Objects":                                             allOfNew | onlyTemplates,
		"All Cryptographic Objects":                               allCryptographic,
		"All Cryptographic Objects, Templates":                    allCryptographic | onlyTemplates,
		"All Cryptographic Objects, Opaque Object":                allCryptographic | onlyOpaque,
		"All Cryptographic Objects, Opaque Objects":               allCryptographic | onlyOpaque,
		"Managed Cryptographic Objects":                           allCryptographic,
		"Keys, Certificates, Templates":                           allKeys | onlyCertificates | onlyTemplates,
		"Keys ,Certificates, Templates":                           allKeys | onlyCertificates | onlyTemplates,
		"Keys, Templates":                                         allKeys | onlyTemplates,
		"Asymmetric Keys, Templates":                              allPairs | onlyTemplates,
		"Public Keys, Private Keys":                               allPairs,
		"Symmetric Keys, Split Keys of symmetric keys, Templates": allSymmetric | onlyTemplates,
		"Symmetric Key, Private Key, Split Key, Secret Data":      typesOf(ObjectTypeSymmetricKey, ObjectTypePrivateKey, ObjectTypeSplitKey, ObjectTypeSecretData),
		"Certificates":                                            onlyCertificates,
		"X.509 Certificates":                                      onlyCertificates,
		"Certificates, PGP keys":                                  onlyCertificates | onlyPGP,
		"Opaque Objects":                                          onlyOpaque,
	}
)

// A difference is where the table of attributes differs from a text on purpose, and why.
type difference struct {
	attribute, row string
	from, until    ttlv.Version
	reason         string
}

func (m difference) covers(d string, v ttlv.Version) bool {
	return strings.HasPrefix(d, m.attribute+" | "+m.row+":") && m.from <= v && v <= m.until
}

var meant = []difference{
	{"Cryptographic Algorithm", "When implicitly set", ttlv.V1_0, ttlv.V1_0, "1.0 leaves out Certify, whose certificates have it by the row above, and by later texts"},
	{"Cryptographic Length", "When implicitly set", ttlv.V1_0, ttlv.V1_0, "likewise"},
	{"Fresh", "SHALL always have a value", ttlv.V1_1, ttlv.V1_4, "by 2.x it always has; 1.x permits that"},
	{"Link", "When implicitly set", ttlv.V1_0, ttlv.V1_4, "Register came with 2.0; the server links what it registers as the request says"},
}

// compareRule lists the differences between a row of the table of attributes and the text.
func compareRule(r *AttributeRule, rules map[string]string, v ttlv.Version) (differ []string) {
	say := func(row string, have any) {
		differ = append(differ, fmt.Sprintf("%s | %s: the text says %q, the table %v", r.Name, row, rules[strings.ToLower(row)], have))
	}
	yes := func(row string) bool { return strings.HasPrefix(rules[strings.ToLower(row)], "Yes") }
	for row, have := range map[string]bool{
		"Modifiable by server":         r.ServerModifies,
		"Modifiable by client":         r.Modify,
		"Deletable by client":          r.Delete,
		"Multiple instances permitted": r.Multiple,
		"SHALL always have a value":    r.Always != 0,
	} {
		if yes(row) != have {
			say(row, have)
		}
	}
	if set := rules["initially set by"]; strings.Contains(set, "Server") != r.ServerSets || strings.Contains(strings.Split(set, "client request")[0], "Client") != r.ClientSets {
		say("Initially set by", fmt.Sprintf("server %v, client %v", r.ServerSets, r.ClientSets))
	}
	implicit, ok := implicitTexts[strings.ToLower(rules["when implicitly set"])]
	if !ok {
		implicit = operationsIn(rules["when implicitly set"])
	}
	if defined := definedOperations(r.Implicit, v); definedOperations(implicit, v) != defined {
		say("When implicitly set", defined)
	}
	to, ok := appliesTexts[rules["applies to object types"]]
	if !ok {
		say("Applies to Object Types", "nothing that reads so")
	}
	for t := ObjectTypeCertificate; t <= ObjectTypeCertificateRequest; t++ {
		if ttlv.Defined(ttlv.TagObjectType, uint32(t), v) && to.Has(t) != r.AppliesTo(t, v) {
			say("Applies to Object Types", t)
		}
	}
	return differ
}

// operationsIn reads a list of operations, whose commas are not everywhere.
func operationsIn(text string) (s OperationSet) {
	for _, name := range operationNames.FindAllString(text, -1) {
		name = strings.ReplaceAll(strings.ReplaceAll(name, "Re-", "Re"), " ", "")
		for op := OperationCreate; op <= OperationPing; op++ {
			if strings.EqualFold(op.String(), name) {
				s |= SetOf(op)
			}
		}
	}
	return s
}

// definedOperations are those that a version defines; what is set by operations that came later cannot be in its tables.
func definedOperations(s OperationSet, v ttlv.Version) (defined OperationSet) {
	for op := OperationCreate; op <= OperationPing; op++ {
		if s.Has(op) && ttlv.Defined(ttlv.TagOperation, uint32(op), v) {
			defined |= SetOf(op)
		}
	}
	return defined
}

// String lists the operations.
func (s OperationSet) String() string {
	var names []string
	for op := OperationCreate; op <= OperationPing; op++ {
		if s.Has(op) {
			names = append(names, op.String())
		}
	}
	return strings.Join(names, ", ")
}

// TestAttributeRulesAgreeWithStandard compares the table of attributes with those of the standard's text, and lists what differs
// and is not meant to.
func TestAttributeRulesAgreeWithStandard(t *testing.T) {
	eachText(t, func(t *testing.T, v ttlv.Version, tables []specTable) {
		found := rulesIn(tables)
		require.Greater(t, len(found), 30)
		for i := range AttributeRules {
			r := &AttributeRules[i]
			rules := found[r.Name]
			if strings.HasPrefix(r.Name, "Certificate Subject ") || strings.HasPrefix(r.Name, "Certificate Issuer ") {
				rules = found["Certificate Attributes"]
			}
			defined := r.Since <= v && v <= r.Until
			assert.Equal(t, defined, rules != nil, "%s is in the text", r.Name)
			if rules == nil || !defined {
				continue
			}
			for _, d := range compareRule(r, rules, v) {
				if !slices.ContainsFunc(meant, func(m difference) bool { return m.covers(d, v) }) {
					t.Error(d)
				}
			}
			delete(found, r.Name)
		}
		delete(found, "Certificate Attributes")
		for name, rules := range found {
			if name == "Custom Attribute" {
				for _, d := range compareRule(&vendorRule, rules, v) {
					t.Error(d)
				}
				continue
			}
			t.Errorf("the table has no attribute %q", name)
		}
	})
}
