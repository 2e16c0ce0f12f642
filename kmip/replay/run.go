package replay

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Send sends one encoded message to the server and returns its answer, as client.Client.RoundTripRaw does.
type Send func(ctx context.Context, request []byte) ([]byte, error)

// A Difference is one place in which an answer is not what is expected.
type Difference struct {
	Step      int    // number of the request in its case, from 0
	Operation string // of the request; the first of a batch
	Path      string // of the item in the response message
	Want, Got string // "" for no item
}

// String is the difference in one line.
func (d Difference) String() string {
	shown := func(s string) string {
		if s == "" {
			return "nothing"
		}
		return s
	}
	return fmt.Sprintf("step %d, %s: %s: want %s, got %s", d.Step, d.Operation, d.Path, shown(d.Want), shown(d.Got))
}

// A Player plays cases against one server. It remembers from one case to the next what the rules need to know of the objects
// that were made.
type Player struct {
	send    Send
	objects map[string]object // by identifier
}

// An object is what is known of one that a case made.
type object struct {
	generated bool               // its material is the server's
	padding   kmip.PaddingMethod // of its Cryptographic Parameters
	randomIV  bool               // likewise
}

// NewPlayer returns a Player that knows of no objects yet.
func NewPlayer(send Send) *Player { return &Player{send: send, objects: map[string]object{}} }

// Play plays a case and returns where the server's answers differ from those expected. It goes on after a difference, so
// that what a case cleans up at its end is cleaned up, unless a later request needs what a missing answer should have told.
// An error is one of the connection, or an answer that is not TTLV.
func (p *Player) Play(ctx context.Context, c *Case) ([]Difference, error) {
	s := &scope{
		objects: p.objects, now: time.Now().Truncate(time.Second),
		values: map[string]any{}, last: map[ttlv.Tag]any{}, dates: map[int64]bool{},
	}
	var all []Difference
	for i := range c.steps {
		step := &c.steps[i]
		note := func(path, want, got string) {
			all = append(all, Difference{i, step.operation(), path, want, got})
		}
		request, err := s.message(&step.request)
		if err != nil {
			note("the request", err.Error(), "")
			return all, nil
		}
		s.noteDates(&step.request)
		answer, err := p.send(ctx, request.Append(nil))
		if err != nil {
			return all, fmt.Errorf("%s, step %d: %w", c.Name, i, err)
		}
		response, err := ttlv.Parse(answer, nil)
		if err != nil {
			return all, fmt.Errorf("%s, step %d: reading the answer: %w", c.Name, i, err)
		}
		s.noteObjects(request, response)
		s.noteValues(response)
		for _, d := range s.compare(step, request, response) {
			note(d.path, d.want, d.got)
		}
	}
	return all, nil
}

// operation names the operation of a step.
func (s *step) operation() string {
	item := s.request.child(ttlv.TagBatchItem)
	if item == nil {
		return "no operation"
	}
	op := item.child(ttlv.TagOperation)
	if op == nil {
		return "no operation"
	}
	return ttlv.EnumName(ttlv.TagOperation, op.Value.(uint32))
}

// noteDates remembers the literal dates of a request: they must come back as they were given.
func (s *scope) noteDates(request *item) {
	request.each(func(it *item) bool {
		if t, ok := it.Value.(time.Time); ok && it.variable == "" {
			s.dates[t.Unix()] = true
		}
		return true
	})
}

// noteObjects remembers of the objects that a batch made what the rules about their material need.
func (s *scope) noteObjects(request, response ttlv.Node) {
	asked, answered := batch(request), batch(response)
	for i := range min(len(asked), len(answered)) {
		op := kmip.Operation(enumOf(asked[i], ttlv.TagOperation))
		if !generates[op] && op != kmip.OperationRegister && op != kmip.OperationImport {
			continue
		}
		padding, _ := find(asked[i], ttlv.TagPaddingMethod).(uint32)
		randomIV, _ := find(asked[i], ttlv.TagRandomIV).(bool)
		for _, c := range child(answered[i], ttlv.TagResponsePayload).Children {
			if uid, ok := c.Value.(string); ok && identifies[c.Tag] {
				s.objects[uid] = object{generates[op], kmip.PaddingMethod(padding), randomIV}
			}
		}
	}
}

// noteValues remembers the last value of each tag, for variables that no answer binds.
func (s *scope) noteValues(n ttlv.Node) {
	if n.Type != ttlv.TypeStructure {
		s.last[n.Tag] = n.Value
	}
	for _, c := range n.Children {
		s.noteValues(c)
	}
}

// batch are the batch items of a message.
func batch(message ttlv.Node) (items []ttlv.Node) {
	for _, c := range message.Children {
		if c.Tag == ttlv.TagBatchItem {
			items = append(items, c)
		}
	}
	return items
}

// child is the first child of n with a tag, the zero Node without one.
func child(n ttlv.Node, tag ttlv.Tag) ttlv.Node {
	for _, c := range n.Children {
		if c.Tag == tag {
			return c
		}
	}
	return ttlv.Node{}
}

// enumOf is the value of a child that is an Enumeration, 0 without one.
func enumOf(n ttlv.Node, tag ttlv.Tag) uint32 {
	v, _ := child(n, tag).Value.(uint32)
	return v
}

// find is the value of the first item with a tag in n, at any depth; nil without one.
func find(n ttlv.Node, tag ttlv.Tag) any {
	if n.Tag == tag {
		return n.Value
	}
	for _, c := range n.Children {
		if v := find(c, tag); v != nil {
			return v
		}
	}
	return nil
}

// fork is a scope in which variables may be bound without effect on s.
func (s *scope) fork() *scope {
	f := *s
	f.values = maps.Clone(s.values)
	return &f
}

// Summary is differences in text, a line each.
func Summary(differences []Difference) string {
	lines := make([]string, len(differences))
	for i, d := range differences {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}
