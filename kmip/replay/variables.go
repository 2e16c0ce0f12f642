package replay

import (
	"fmt"
	"strings"
	"time"

	"strongroom/kmip/ttlv"
)

// tolerance is how far a date relative to the run may be from what a server makes of it.
const tolerance = time.Minute

// A scope is what is known in the course of a run.
type scope struct {
	objects map[string]object // of the Player
	now     time.Time         // when the run began
	values  map[string]any    // of the variables that are bound
	last    map[ttlv.Tag]any  // the last value of each tag in the answers
	dates   map[int64]bool    // the literal dates of the requests, in seconds
}

// date is the date that a variable such as $NOW or $NOW-3600 stands for.
func (s *scope) date(variable string) (time.Time, bool) {
	offset, ok := strings.CutPrefix(variable, "$NOW")
	if !ok {
		return time.Time{}, false
	}
	if offset == "" {
		return s.now, true
	}
	seconds, err := time.ParseDuration(offset + "s")
	return s.now.Add(seconds), err == nil
}

// message fills the variables of a request in.
func (s *scope) message(it *item) (ttlv.Node, error) {
	n := it.Node
	if it.variable != "" {
		var err error
		if n.Value, err = s.value(it); err != nil {
			return n, err
		}
	}
	n.Children = make([]ttlv.Node, 0, len(it.children))
	for i := range it.children {
		c, err := s.message(&it.children[i])
		if err != nil {
			return n, err
		}
		n.Children = append(n.Children, c)
	}
	return n, nil
}

// value is the value of a variable, of the type of the item in whose place it stands.
func (s *scope) value(it *item) (any, error) {
	if date, ok := s.date(it.variable); ok && it.Type == ttlv.TypeDateTime {
		return date, nil
	}
	value, ok := s.values[it.variable]
	if !ok && namedAfter(it.variable, it.Tag) {
		value, ok = s.last[it.Tag]
	}
	if !ok {
		return nil, fmt.Errorf("a value of %s, which no answer has given", it.variable)
	}
	switch value.(type) {
	case string:
		ok = it.Type == ttlv.TypeTextString
	case []byte:
		ok = it.Type == ttlv.TypeByteString
	}
	if !ok {
		return nil, fmt.Errorf("%s is no %v", it.variable, it.Type)
	}
	return value, nil
}

// namedAfter says that a variable is called like a tag, with or without a number: $MAC_DATA and $DATA_0. A few cases ask for
// such a variable after an answer that shows the value that was recorded in its place.
func namedAfter(variable string, tag ttlv.Tag) bool {
	name := strings.TrimRight(strings.TrimPrefix(variable, "$"), "0123456789")
	return strings.EqualFold(strings.ReplaceAll(name, "_", ""), tag.String())
}
