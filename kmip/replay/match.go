package replay

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A diff is a difference within one message.
type diff struct{ path, want, got string }

// compare compares the answer to a step's request with the one expected, and binds the variables of the latter.
func (s *scope) compare(step *step, request, got ttlv.Node) (diffs []diff) {
	header := child(got, ttlv.TagResponseHeader)
	if want := step.response.child(ttlv.TagResponseHeader); want != nil {
		m := matcher{scope: s}
		diffs = m.item("ResponseHeader", 0, want, header)
	}
	version := ttlv.TagProtocolVersion // that of the request, whatever the case shows
	if w, g := child(child(request, ttlv.TagRequestHeader), version), child(header, version); text(w, 0) != text(g, 0) {
		diffs = append(diffs, diff{"ResponseHeader/ProtocolVersion", text(w, 0), text(g, 0)})
	}
	asked, answered := batch(request), batch(got)
	questions, expected := step.request.all(ttlv.TagBatchItem), step.response.all(ttlv.TagBatchItem)
	if len(answered) != len(expected) {
		return append(diffs, diff{"BatchItem", fmt.Sprintf("%d of them", len(expected)), fmt.Sprint(len(answered))})
	}
	for i, w := range expected {
		m := matcher{scope: s}
		if i < len(asked) {
			m.about(questions[i], asked[i], answered[i])
		}
		path := "BatchItem"
		if len(expected) > 1 {
			path = fmt.Sprintf("BatchItem[%d]", i)
		}
		diffs = append(diffs, m.batchItem(path, w, answered[i])...)
	}
	return diffs
}

// A matcher compares one batch item, or the header.
type matcher struct {
	*scope
	operation kmip.Operation
	request   ttlv.Node // the batch item that is answered
	object    object    // that the answer is about
	random    bool      // the answer differs each time
}

// about learns what a batch item is about: from the case's request, from the same with its variables filled in, and from
// the identifier in the answer.
func (m *matcher) about(question *item, asked, answered ttlv.Node) {
	m.operation, m.request = kmip.Operation(enumOf(asked, ttlv.TagOperation)), asked
	uid, _ := child(child(answered, ttlv.TagResponsePayload), ttlv.TagUniqueIdentifier).Value.(string)
	m.object = m.objects[uid]
	m.random = m.randomizes(question)
}

// batchItem compares the answer to one operation. Of another outcome than the expected one, only that is said, with the
// server's words.
func (m *matcher) batchItem(path string, want *item, got ttlv.Node) []diff {
	w, g := outcome(want.child(ttlv.TagResultStatus), want.child(ttlv.TagResultReason)), ""
	if status := enumOf(got, ttlv.TagResultStatus); status != 0 || child(got, ttlv.TagResultStatus).Tag != 0 {
		g = ttlv.EnumName(ttlv.TagResultStatus, status)
	}
	if reason := enumOf(got, ttlv.TagResultReason); reason != 0 {
		g += " " + ttlv.EnumName(ttlv.TagResultReason, reason)
	}
	if w != g {
		message, _ := child(got, ttlv.TagResultMessage).Value.(string)
		return []diff{{path + "/ResultStatus", w, strings.TrimSuffix(g+": "+message, ": ")}}
	}
	if enumOf(got, ttlv.TagResultStatus) == uint32(kmip.ResultStatusOperationFailed) && want.child(ttlv.TagResponsePayload) == nil {
		got = without(got, ttlv.TagResponsePayload) // a refusal may tell what it is about in a payload, as that of Check
	}
	return m.item(path, 0, want, got)
}

// without is a structure without the items of one tag.
func without(n ttlv.Node, tag ttlv.Tag) ttlv.Node {
	n.Children = slices.DeleteFunc(slices.Clone(n.Children), func(c ttlv.Node) bool { return c.Tag == tag })
	return n
}

// outcome is a status and a reason in text.
func outcome(parts ...*item) string {
	var words []string
	for _, p := range parts {
		if p != nil {
			words = append(words, ttlv.EnumName(p.Tag, p.Value.(uint32)))
		}
	}
	return strings.Join(words, " ")
}

// item compares two items of one tag. named is the attribute whose value they are, if they are Attribute Values.
func (m *matcher) item(path string, named ttlv.Tag, want *item, got ttlv.Node) []diff {
	if got.Tag == 0 {
		return []diff{{path, want.text(named), ""}}
	}
	tag := want.Tag
	if tag == ttlv.TagAttributeValue && named != 0 {
		tag = named
	}
	if want.Type != got.Type {
		return []diff{{path, want.Type.String(), got.Type.String()}}
	}
	switch {
	case want.variable != "":
		return m.bind(path, want, got)
	case m.any(tag, want):
		return sized(path, want, got)
	case want.Type == ttlv.TypeStructure:
		return m.structure(path, want, got)
	case !bytes.Equal(want.Node.Append(nil), got.Append(nil)):
		return []diff{{path, want.text(named), text(got, named)}}
	}
	return nil
}

// sized compares the sizes of byte strings whose bytes are not compared.
func sized(path string, want *item, got ttlv.Node) []diff {
	w, ok := want.Value.([]byte)
	if !ok || anySize(path) {
		return nil
	}
	if g := got.Value.([]byte); len(g) != len(w) {
		return []diff{{path, fmt.Sprintf("%d bytes", len(w)), fmt.Sprintf("%d bytes", len(g))}}
	}
	return nil
}

// bind compares a value with that of a variable, or makes it that.
func (m *matcher) bind(path string, want *item, got ttlv.Node) []diff {
	if date, ok := m.date(want.variable); ok {
		if t := got.Value.(time.Time); t.Sub(date).Abs() > tolerance {
			return []diff{{path, want.variable, t.UTC().Format(time.RFC3339)}}
		}
		return nil
	}
	bound, ok := m.values[want.variable]
	if !ok {
		m.values[want.variable] = got.Value
		return nil
	}
	known := got
	known.Value = bound
	if fmt.Sprintf("%T", bound) != fmt.Sprintf("%T", got.Value) || !bytes.Equal(known.Append(nil), got.Append(nil)) {
		return []diff{{path, fmt.Sprintf("%v, which is %v", want.variable, bound), text(got, 0)}}
	}
	return nil
}

// structure compares what is in two structures.
func (m *matcher) structure(path string, want *item, got ttlv.Node) (diffs []diff) {
	var named ttlv.Tag
	if want.Tag == ttlv.TagAttribute {
		named = attributeNamed(got)
	}
	used := make([]bool, len(got.Children))
	last := -1
	for i := range want.children {
		w := &want.children[i]
		at := path + "/" + label(w.whole())
		j, found := m.pair(at, named, w, want.Tag, got, used)
		switch {
		case j < 0 && !m.mayLack(want.Tag, w):
			diffs = append(diffs, diff{at, w.text(named), ""})
		case j >= 0:
			used[j] = true
			diffs = append(diffs, found...)
			if j < last && !m.unordered(want.Tag) {
				diffs = append(diffs, diff{at, "the order of the case", "another"})
			}
			last = j
		}
	}
	for j, g := range got.Children {
		if !used[j] && !m.mayHave(want.Tag, g) {
			diffs = append(diffs, diff{path + "/" + label(g), "", text(g, named)})
		}
	}
	return diffs
}

// pair finds the item that answers to want: the one that equals it, else the first of its label. It returns its index, -1
// for none, and how it differs.
func (m *matcher) pair(path string, named ttlv.Tag, want *item, parent ttlv.Tag, got ttlv.Node, used []bool) (int, []diff) {
	first := -1
	for j, g := range got.Children {
		if used[j] || label(g) != label(want.whole()) {
			continue
		}
		trial := *m
		trial.scope = m.fork()
		if len(trial.item(path, named, want, g)) == 0 {
			return j, m.item(path, named, want, g)
		}
		if first < 0 {
			first = j
		}
		if !m.unordered(parent) {
			break
		}
	}
	if first < 0 || queriedAlone(m.operation, parent, want) {
		return -1, nil
	}
	return first, m.item(path, named, want, got.Children[first])
}

// queriedAlone says that an item is a value of a list of Query's answer, in place of which no other stands.
func queriedAlone(op kmip.Operation, parent ttlv.Tag, want *item) bool {
	return op == kmip.OperationQuery && parent == ttlv.TagResponsePayload && want.Type == ttlv.TypeEnumeration
}

// label names an item in a path: its tag, and the name of the attribute that it is or names.
func label(n ttlv.Node) string {
	name := n
	if n.Tag == ttlv.TagAttribute {
		name = child(n, ttlv.TagAttributeName)
	}
	switch v := name.Value.(type) {
	case string:
		if name.Tag == ttlv.TagAttributeName {
			return fmt.Sprintf("%v(%s)", n.Tag, v)
		}
	case uint32:
		if name.Tag == ttlv.TagAttributeReference {
			return fmt.Sprintf("%v(%v)", n.Tag, ttlv.Tag(v))
		}
	}
	return n.Tag.String()
}

// attributeNamed is the tag of an Attribute of KMIP 1.x, 0 for one of a vendor.
func attributeNamed(n ttlv.Node) ttlv.Tag {
	name, _ := child(n, ttlv.TagAttributeName).Value.(string)
	tag, _ := ttlv.TagByName(strings.NewReplacer(" ", "", "-", "", ".", "_", "#", "_").Replace(name))
	return tag
}

// whole is the item as a Node with its children.
func (it *item) whole() ttlv.Node {
	n := it.Node
	for i := range it.children {
		n.Children = append(n.Children, it.children[i].whole())
	}
	return n
}

// text shows an item: the value of one that has a value, what is in a structure.
func (it *item) text(named ttlv.Tag) string {
	if it.variable != "" {
		return it.variable
	}
	return text(it.whole(), named)
}

// text shows a Node in one line of bounded length.
func text(n ttlv.Node, named ttlv.Tag) string {
	if n.Tag == ttlv.TagAttributeValue && named != 0 {
		n.Tag = named
	}
	x, err := n.XML()
	if err != nil {
		return fmt.Sprintf("%q", n.Value)
	}
	line := strings.Join(strings.Fields(string(x)), " ")
	if n.Type != ttlv.TypeStructure {
		_, line, _ = strings.Cut(line, ` value="`)
		line = strings.TrimSuffix(line, `"/>`)
	}
	const most = 300
	if len(line) > most {
		line = line[:most] + "…"
	}
	return line
}
