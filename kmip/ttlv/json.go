package ttlv

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"unicode/utf8"
)

// maxExact is the greatest number of which a JSON number has all those below it.
const maxExact = 1 << 53

// JSON returns n as a JSON object (KMIP Additional Message Encodings 1.0, JSON
// Encoding):
//
//	{"tag":"Name","value":[{"tag":"NameValue","type":"TextString","value":"k"},…]}
//
// It fails only if a text is not valid UTF-8.
func (n Node) JSON() ([]byte, error) {
	return n.appendJSON(nil, 0)
}

// appendJSON appends the object of n, which follows the name of attribute.
func (n *Node) appendJSON(dst []byte, attribute Tag) (_ []byte, err error) {
	dst = append(dst, `{"tag":"`+n.Tag.String()+`"`...)
	if n.Type != TypeStructure {
		dst = append(dst, `,"type":"`+n.Type.String()+`","value":`...)
		if dst, err = n.appendJSONValue(dst, meaning(n.Tag, attribute)); err != nil {
			return nil, err
		}
		return append(dst, '}'), nil
	}
	dst = append(dst, `,"value":[`...)
	attribute = 0
	for i := range n.Children {
		if i > 0 {
			dst = append(dst, ',')
		}
		c := &n.Children[i]
		if dst, err = c.appendJSON(dst, attribute); err != nil {
			return nil, err
		}
		attribute = c.attributeNamed(attribute)
	}
	return append(dst, `]}`...), nil
}

// appendJSONValue appends the value of n, whose names are those of the tag named.
func (n *Node) appendJSONValue(dst []byte, named Tag) ([]byte, error) {
	switch v := n.Value.(type) {
	case int32:
		if !IsMask(named) || v == 0 {
			return strconv.AppendInt(dst, int64(v), 10), nil
		}
	case int64:
		if v > maxExact || v < -maxExact {
			return fmt.Appendf(dst, `"0x%016X"`, uint64(v)), nil
		}
		return strconv.AppendInt(dst, v, 10), nil
	case Interval:
		return strconv.AppendUint(dst, uint64(v), 10), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case string:
		if !utf8.ValidString(v) {
			return nil, fmt.Errorf("%v: not valid UTF-8", n.Tag)
		}
	}
	prefix := ""
	if n.Type == TypeBigInteger {
		prefix = "0x"
	}
	quoted, err := json.Marshal(prefix + n.text(named, "|"))
	return append(dst, quoted...), err
}

// ParseJSON reads the one JSON object in data, in the form that JSON writes. The size
// limit is on data.
func ParseJSON(data []byte, l *Limits) (Node, error) {
	p := jsonParser{json: json.NewDecoder(bytes.NewReader(data))}
	p.json.UseNumber()
	p.limits.Reset(V2_1, l, false)
	if most := p.limits.limits.Size; len(data) > most {
		return Node{}, exceeded("%d bytes, the limit is %d", len(data), most)
	}
	if !utf8.Valid(data) {
		return Node{}, malformed("not valid UTF-8")
	}
	start, err := p.next()
	if err != nil {
		return Node{}, err
	}
	n, err := p.object(start, 0)
	if err != nil {
		return Node{}, err
	}
	if _, err := p.json.Token(); err != io.EOF {
		return Node{}, malformed("more than one object")
	}
	return n, nil
}

// jsonParser reads objects and counts them against the limits.
type jsonParser struct {
	json   *json.Decoder
	limits Decoder
}

// jsonObject is an object as read: its members in text, and what is in its array.
type jsonObject struct {
	tag, typ json.Token
	value    json.Token // nil if it is an array
	children []Node
}

// next returns the next token.
func (p *jsonParser) next() (json.Token, error) {
	token, err := p.json.Token()
	if err != nil {
		return nil, &Error{Message: "reading JSON: " + err.Error(), cause: err}
	}
	return token, nil
}

// object returns the item of the object that start begins, which follows the name of
// attribute.
func (p *jsonParser) object(start json.Token, attribute Tag) (Node, error) {
	if start != json.Delim('{') {
		return Node{}, malformed("an item must be an object")
	}
	if err := p.limits.count(); err != nil {
		return Node{}, err
	}
	var o jsonObject
	for {
		key, err := p.next()
		if err != nil {
			return Node{}, err
		}
		if key == json.Delim('}') {
			return o.node(attribute)
		}
		if err := p.member(&o, key.(string)); err != nil {
			return Node{}, o.within(err)
		}
	}
}

// member reads the member of o called name.
func (p *jsonParser) member(o *jsonObject, name string) error {
	value, err := p.next()
	if err != nil {
		return err
	}
	switch value {
	case nil, json.Delim('{'):
		return malformed("%s: a %v where a value must be", clip(name), value)
	case json.Delim('['):
		if name != "value" {
			return malformed("%s: an array where a text must be", clip(name))
		}
	}
	switch {
	case name == "tag" && o.tag == nil:
		o.tag = value
	case name == "type" && o.typ == nil:
		o.typ = value
	case name == "value" && o.value == nil && o.children == nil:
		if value == json.Delim('[') {
			o.children, err = p.array()
		} else {
			o.value = value
		}
	case name != "name":
		return malformed("one member called %q too many", clip(name))
	}
	return err
}

// array returns the items in an array, one level deeper.
func (p *jsonParser) array() ([]Node, error) {
	if p.limits.depth <= 0 {
		return nil, exceeded("more than %d structures deep", p.limits.limits.Depth)
	}
	p.limits.depth--
	nodes := []Node{}
	var attribute Tag
	for {
		start, err := p.next()
		if err != nil {
			return nil, err
		}
		if start == json.Delim(']') {
			p.limits.depth++
			return nodes, nil
		}
		n, err := p.object(start, attribute)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
		attribute = n.attributeNamed(attribute)
	}
}

// within returns err with the object's tag, if that is known yet, in its path.
func (o *jsonObject) within(err error) error {
	name, _ := o.tag.(string)
	if tag, ok := TagByName(name); ok {
		it := Item{Tag: tag}
		return it.within(err)
	}
	return err
}

// node returns the item that the object, which follows the name of attribute, is.
func (o *jsonObject) node(attribute Tag) (n Node, err error) {
	name, _ := o.tag.(string)
	var ok bool
	if n.Tag, ok = TagByName(name); !ok {
		return n, malformed("no tag is called %q", clip(name))
	}
	it := Item{Tag: n.Tag}
	n.Type = TypeStructure
	if o.typ != nil {
		name, _ := o.typ.(string)
		if n.Type, ok = typeByName(name); !ok {
			return n, it.fault("%q is not a type", clip(name))
		}
	}
	if n.Type == TypeStructure {
		if n.Children = o.children; n.Children == nil || o.value != nil {
			return n, it.fault("the value of a Structure must be an array")
		}
		return n, nil
	}
	text, ok := jsonText(n.Type, o.value)
	if !ok || o.children != nil {
		return n, it.fault("not the value of a %v", n.Type)
	}
	if n.Value, err = parseText(n.Type, meaning(n.Tag, attribute), text); err != nil {
		return n, it.within(err)
	}
	return n, nil
}

// jsonText returns the text of a value, and false if a value of type t is not
// written so: a number where a string must be, for instance.
func jsonText(t Type, value json.Token) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		switch t {
		case TypeInteger, TypeLongInteger, TypeEnumeration, TypeInterval:
			return v.String(), true
		case TypeBigInteger: // others write small ones so
			n, err := v.Int64()
			return hex.EncodeToString(twosComplement(big.NewInt(n))), err == nil
		}
	case bool:
		return strconv.FormatBool(v), t == TypeBoolean
	}
	return "", false
}
