package replay

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"strongroom/kmip/ttlv"
)

// A Case is one test case.
type Case struct {
	Name  string
	steps []step
}

// A step is a request, and the answer that is expected.
type step struct{ request, response item }

// An item is an item of a message of a case. In place of its value may stand a variable: "$" and a name, or a date relative
// to the time of the run.
type item struct {
	ttlv.Node
	variable string // with its $; "" where the value is literal
	children []item // of a structure, instead of the Node's
}

// Load reads the case of a file, which it is named after.
func Load(file string) (*Case, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c, err := Parse(strings.TrimSuffix(filepath.Base(file), ".xml"), data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// Parse reads a case: a Request Message and a Response Message in turns, within one element.
func Parse(name string, data []byte) (*Case, error) {
	var root element
	if err := xml.Unmarshal(data, &root); err != nil {
		return nil, err
	}
	if len(root.Children) == 0 || len(root.Children)%2 != 0 {
		return nil, fmt.Errorf("%d messages, must be requests and responses in turns", len(root.Children))
	}
	c := &Case{Name: name}
	for i := 0; i < len(root.Children); i += 2 {
		request, err := root.Children[i].message(ttlv.TagRequestMessage)
		if err != nil {
			return nil, fmt.Errorf("request %d: %w", i/2, err)
		}
		response, err := root.Children[i+1].message(ttlv.TagResponseMessage)
		if err != nil {
			return nil, fmt.Errorf("response %d: %w", i/2, err)
		}
		c.steps = append(c.steps, step{request, response})
	}
	return c, nil
}

// An element is an element of XML.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []element  `xml:",any"`
}

// message reads a message.
func (e *element) message(tag ttlv.Tag) (item, error) {
	var variables []string
	if err := e.neutralize(&variables); err != nil {
		return item{}, err
	}
	text, err := xml.Marshal(e)
	if err != nil {
		return item{}, err
	}
	n, err := ttlv.ParseXML(text, nil)
	if err != nil {
		return item{}, err
	}
	if n.Tag != tag {
		return item{}, fmt.Errorf("the message is a %v, must be a %v", n.Tag, tag)
	}
	return withVariables(n, &variables), nil
}

// neutral is what stands for a variable while its message is read, by the type of the item.
var neutral = map[string]string{
	"DateTime":   "1970-01-01T00:00:00Z",
	"TextString": "",
	"ByteString": "",
}

// neutralize collects the variable of each element, in the order of the document and "" for none, and puts a neutral value
// in its place. A run of white space in a value is one space: some cases come with the line breaks of the document that they
// were printed in.
func (e *element) neutralize(variables *[]string) error {
	variable, typ := "", ""
	for _, a := range e.Attrs {
		if a.Name.Local == "type" {
			typ = a.Value
		}
	}
	for i := range e.Attrs {
		a := &e.Attrs[i]
		if a.Name.Local != "value" {
			continue
		}
		a.Value = strings.Join(strings.Fields(a.Value), " ")
		if !strings.HasPrefix(a.Value, "$") {
			continue
		}
		value, ok := neutral[typ]
		if !ok {
			return fmt.Errorf("%s: a variable cannot be of type %q", e.XMLName.Local, typ)
		}
		variable, a.Value = a.Value, value
	}
	*variables = append(*variables, variable)
	for i := range e.Children {
		if err := e.Children[i].neutralize(variables); err != nil {
			return err
		}
	}
	return nil
}

// withVariables joins a tree with its variables, which it takes from the list.
func withVariables(n ttlv.Node, variables *[]string) item {
	it := item{Node: n, variable: (*variables)[0]}
	*variables = (*variables)[1:]
	for _, c := range n.Children {
		it.children = append(it.children, withVariables(c, variables))
	}
	it.Node.Children = nil
	return it
}

// child is the first child with a tag, nil without one.
func (it *item) child(tag ttlv.Tag) *item {
	for i := range it.children {
		if it.children[i].Tag == tag {
			return &it.children[i]
		}
	}
	return nil
}

// all are the children with a tag.
func (it *item) all(tag ttlv.Tag) (found []*item) {
	for i := range it.children {
		if it.children[i].Tag == tag {
			found = append(found, &it.children[i])
		}
	}
	return found
}

// find is the first item with a tag, at any depth; nil without one.
func (it *item) find(tag ttlv.Tag) (found *item) {
	it.each(func(x *item) bool {
		if x.Tag == tag {
			found = x
		}
		return found == nil
	})
	return found
}

// each calls f for an item and all that is in it, until f gives false.
func (it *item) each(f func(*item) bool) bool {
	if !f(it) {
		return false
	}
	for i := range it.children {
		if !it.children[i].each(f) {
			return false
		}
	}
	return true
}
