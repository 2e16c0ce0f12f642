package ttlv

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// xmlUnnamed is the element of an item whose tag has no name.
const xmlUnnamed = "TTLV"

// XML returns n as an XML element (KMIP Additional Message Encodings 1.0, XML
// Encoding), with a line for each item:
//
//	<Name>
//	  <NameValue type="TextString" value="k"/>
//	  <NameType type="Enumeration" value="UninterpretedTextString"/>
//	</Name>
//
// It fails only if a text contains what XML cannot, such as NUL.
func (n Node) XML() ([]byte, error) {
	return n.appendXML(nil, 0, "\n")
}

// appendXML appends the element of n, which follows the name of attribute; newline
// is a line break with the indentation.
func (n *Node) appendXML(dst []byte, attribute Tag, newline string) (_ []byte, err error) {
	dst = append(dst, '<')
	name := n.Tag.name()
	if name == "" {
		name = xmlUnnamed
		dst = append(dst, xmlUnnamed+` tag="`+n.Tag.String()+`"`...)
	} else {
		dst = append(dst, name...)
	}
	if n.Type == TypeStructure {
		return n.appendXMLChildren(dst, name, newline)
	}
	dst = append(dst, ` type="`+n.Type.String()+`" value="`...)
	text := n.text(meaning(n.Tag, attribute), " ")
	if !isXML(text) {
		return nil, fmt.Errorf("%v: the text has characters that XML has not", n.Tag)
	}
	buf := bytes.NewBuffer(dst)
	if err := xml.EscapeText(buf, []byte(text)); err != nil {
		return nil, err
	}
	return append(buf.Bytes(), `"/>`...), nil
}

// appendXMLChildren appends the rest of the element called name.
func (n *Node) appendXMLChildren(dst []byte, name, newline string) (_ []byte, err error) {
	if len(n.Children) == 0 {
		return append(dst, "/>"...), nil
	}
	dst = append(dst, '>')
	var attribute Tag
	for i := range n.Children {
		c := &n.Children[i]
		dst = append(dst, newline+"  "...)
		if dst, err = c.appendXML(dst, attribute, newline+"  "); err != nil {
			return nil, err
		}
		attribute = c.attributeNamed(attribute)
	}
	return append(dst, newline+"</"+name+">"...), nil
}

// isXML tells whether s has only characters that XML 1.0 §2.2 allows.
func isXML(s string) bool {
	for _, r := range s {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return false
		}
	}
	return utf8.ValidString(s)
}

// ParseXML reads the one XML element in data, in the form that XML writes. The size
// limit is on data.
func ParseXML(data []byte, l *Limits) (Node, error) {
	p := xmlParser{xml: xml.NewDecoder(bytes.NewReader(data))}
	p.limits.Reset(V2_1, l, false)
	if most := p.limits.limits.Size; len(data) > most {
		return Node{}, exceeded("%d bytes, the limit is %d", len(data), most)
	}
	start, err := p.next()
	if err != nil {
		return Node{}, err
	}
	if start == nil {
		return Node{}, malformed("no element")
	}
	n, err := p.element(start, 0)
	if err != nil {
		return Node{}, err
	}
	if more, err := p.next(); err != io.EOF && (err != nil || more != nil) {
		return Node{}, malformed("more than one element")
	}
	return n, nil
}

// xmlParser reads elements and counts them against the limits.
type xmlParser struct {
	xml    *xml.Decoder
	limits Decoder
}

// next returns the next element's start, or nil at the end of the enclosing one.
func (p *xmlParser) next() (*xml.StartElement, error) {
	for {
		token, err := p.xml.Token()
		if err == io.EOF {
			return nil, io.EOF
		}
		if err != nil {
			return nil, &Error{Message: "reading XML: " + err.Error(), cause: err}
		}
		switch token := token.(type) {
		case xml.StartElement:
			return &token, nil
		case xml.EndElement:
			return nil, nil
		case xml.CharData:
			if len(bytes.TrimSpace(token)) > 0 {
				return nil, malformed("stray text")
			}
		case xml.Directive:
			return nil, malformed("a document type is not allowed")
		}
	}
}

// xmlAttributes are the attributes of an element.
type xmlAttributes struct {
	tag, typ, value string
	hasValue        bool
}

// element returns the item of the element that start began, which follows the name
// of attribute. Others leave the value out where it is empty.
func (p *xmlParser) element(start *xml.StartElement, attribute Tag) (n Node, err error) {
	if err := p.limits.count(); err != nil {
		return n, err
	}
	var a xmlAttributes
	if n.Tag, a, err = xmlHead(start); err != nil {
		return n, err
	}
	it := Item{Tag: n.Tag}
	n.Type = TypeStructure
	if a.typ != "" {
		var ok bool
		if n.Type, ok = typeByName(a.typ); !ok {
			return n, it.fault("%q is not a type", clip(a.typ))
		}
	}
	if n.Type == TypeStructure {
		if err := p.children(&n, &a); err != nil {
			return n, it.within(err)
		}
		return n, nil
	}
	if !a.hasValue && n.Type != TypeTextString && n.Type != TypeByteString {
		return n, it.fault("no value")
	}
	if n.Value, err = parseText(n.Type, meaning(n.Tag, attribute), a.value); err != nil {
		return n, it.within(err)
	}
	if more, err := p.next(); err != nil || more != nil {
		return n, it.fault("only a Structure has elements in it")
	}
	return n, nil
}

// children reads the items in the structure n, one level deeper.
func (p *xmlParser) children(n *Node, a *xmlAttributes) error {
	if a.hasValue {
		return malformed("a Structure has no value")
	}
	if p.limits.depth <= 0 {
		return exceeded("more than %d structures deep", p.limits.limits.Depth)
	}
	p.limits.depth--
	n.Children = []Node{}
	var attribute Tag
	for {
		start, err := p.next()
		if err == io.EOF {
			return malformed("not closed")
		}
		if err != nil {
			return err
		}
		if start == nil {
			p.limits.depth++
			return nil
		}
		c, err := p.element(start, attribute)
		if err != nil {
			return err
		}
		n.Children = append(n.Children, c)
		attribute = c.attributeNamed(attribute)
	}
}

// xmlHead returns the tag and the attributes of an element.
func xmlHead(start *xml.StartElement) (Tag, xmlAttributes, error) {
	var a xmlAttributes
	for _, attr := range start.Attr {
		switch {
		case attr.Name.Space != "" || attr.Name.Local == "xmlns" || attr.Name.Local == "name":
		case attr.Name.Local == "tag":
			a.tag = attr.Value
		case attr.Name.Local == "type":
			a.typ = attr.Value
		case attr.Name.Local == "value":
			a.value, a.hasValue = attr.Value, true
		default:
			return 0, a, malformed("%s: no attribute is called %q", clip(start.Name.Local), clip(attr.Name.Local))
		}
	}
	name := start.Name.Local
	if name == xmlUnnamed {
		name = a.tag
	}
	tag, ok := TagByName(name)
	if !ok || strings.HasPrefix(name, "0x") && start.Name.Local != xmlUnnamed {
		return 0, a, malformed("no tag is called %q", clip(name))
	}
	return tag, a, nil
}
