package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// attributesCommand holds the commands about attributes.
func (p *program) attributesCommand() *cobra.Command {
	return group("attributes", "Attributes of an object", p.getAttributesCommand(), p.listAttributesCommand(),
		p.setAttributeCommand(), p.addAttributeCommand(), p.modifyAttributeCommand(), p.deleteAttributeCommand())
}

// attribute is one instance of an attribute in an answer.
type attribute struct {
	Vendor string `json:"vendor,omitempty"`
	Name   string `json:"name"`
	Value  any    `json:"value"`
}

// attributesOf is the answer of attributes get.
type attributesOf struct {
	UniqueIdentifier string      `json:"unique_identifier"`
	Attributes       []attribute `json:"attributes"`
}

func (p *program) getAttributesCommand() *cobra.Command {
	var uid string
	return needsKeyID(&cobra.Command{
		Use:   "get --key-id ID [NAME…]",
		Short: "Print the attributes of an object, all or those named",
		Example: `  strongroom attributes get --key-id my_sym_key
  strongroom attributes get --key-id my_sym_key state cryptographic-length --json`,
		Args: arguments(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := &kmip.GetAttributesRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)}
			for _, name := range args {
				a, err := attributeNamed(name)
				if err != nil {
					return err
				}
				q.AttributeReferences = append(q.AttributeReferences, a)
			}
			r, err := do[kmip.GetAttributesResponse](cmd.Context(), p, kmip.OperationGetAttributes, q)
			if err != nil {
				return err
			}
			answer := attributesOf{UniqueIdentifier: string(r.UniqueIdentifier), Attributes: []attribute{}}
			var lines []string
			for _, a := range r.Attributes {
				answer.Attributes = append(answer.Attributes, attribute{a.Vendor, nameOf(a), jsonOf(a.Value)})
				lines = append(lines, fmt.Sprintf("%s: %s", a, textOf(a.Value)))
			}
			if len(lines) == 0 && !p.json {
				return nil
			}
			return p.answer(answer, "%s", strings.Join(lines, "\n"))
		},
	}, &uid)
}

// attributeNames is the answer of attributes list.
type attributeNames struct {
	UniqueIdentifier string   `json:"unique_identifier"`
	Attributes       []string `json:"attributes"`
}

func (p *program) listAttributesCommand() *cobra.Command {
	var uid string
	return needsKeyID(&cobra.Command{
		Use:     "list --key-id ID",
		Short:   "List the names of the attributes that an object has",
		Example: "  strongroom attributes list --key-id my_sym_key",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := do[kmip.GetAttributeListResponse](cmd.Context(), p, kmip.OperationGetAttributeList, &kmip.GetAttributeListRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
			if err != nil {
				return err
			}
			answer := attributeNames{UniqueIdentifier: string(r.UniqueIdentifier), Attributes: []string{}}
			for _, a := range r.AttributeReferences {
				answer.Attributes = append(answer.Attributes, a.String())
			}
			return p.answer(answer, "%s", strings.Join(answer.Attributes, "\n"))
		},
	}, &uid)
}

// nameOf is the name of an attribute, without its vendor.
func nameOf(a kmip.Attribute) string {
	if a.Vendor != "" {
		return a.Name
	}
	return a.String()
}

// The examples of values that the commands take.
const valuesHelp = `NAME is that of an attribute as KMIP has it ("Contact Information", or contact-information), or tag, or VENDOR:NAME for a
vendor's attribute. VALUE is text, a number, true or false, a time (2026-01-31T12:00:00Z, or now), the names of an
enumeration or mask (encrypt,decrypt), or JSON as KMIP encodes it for a structure.`

func (p *program) setAttributeCommand() *cobra.Command {
	var uid string
	return needsKeyID(&cobra.Command{
		Use:   "set --key-id ID NAME VALUE",
		Short: "Give an attribute its one value, whether or not the object has it",
		Long: `Give an attribute its one value, whether or not the object has it. Of an attribute that has several values, attributes modify
replaces one. ` + valuesHelp,
		Example: `  strongroom attributes set --key-id my_sym_key contact-information ops@example.com
  strongroom attributes set --key-id my_sym_key deactivation-date 2027-01-01T00:00:00Z`,
		Args: arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := attributeOf(args[0], args[1])
			if err != nil {
				return err
			}
			c, err := p.connected(cmd.Context())
			if err != nil {
				return err
			}
			if c.Version() < ttlv.V2_0 { // has no operation for it
				return p.modifyOrAdd(cmd.Context(), uid, a)
			}
			r, err := do[kmip.SetAttributeResponse](cmd.Context(), p, kmip.OperationSetAttribute, &kmip.SetAttributeRequest{
				UniqueIdentifier: kmip.UniqueIdentifier(uid), NewAttribute: kmip.Attributes{a},
			})
			if err != nil {
				return err
			}
			return p.about("Successfully set the attribute.", r.UniqueIdentifier)
		},
	}, &uid)
}

// modifyOrAdd is what set does where KMIP has no operation for it.
func (p *program) modifyOrAdd(ctx context.Context, uid string, a kmip.Attribute) error {
	instances, err := p.instances(ctx, uid, a)
	switch {
	case err != nil:
		return err
	case len(instances) == 0:
		return p.addAttribute(ctx, "set", uid, a)
	case len(instances) > 1:
		return fmt.Errorf("%q has the attribute %v %d times: attributes modify replaces one", uid, a, len(instances))
	}
	return p.modifyAttribute(ctx, "set", &kmip.ModifyAttributeRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), NewAttribute: kmip.Attributes{a}})
}

// instances are the values that an object has of an attribute, in the order of their index.
func (p *program) instances(ctx context.Context, uid string, a kmip.Attribute) (kmip.Attributes, error) {
	r, err := do[kmip.GetAttributesResponse](ctx, p, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid), AttributeReferences: kmip.AttributeReferences{a},
	})
	if err != nil {
		return nil, err
	}
	return r.Attributes, nil
}

// byValue refuses to mean one value of several in a version that knows them by their index alone.
func (p *program) byValue(ctx context.Context) error {
	c, err := p.connected(ctx)
	if err == nil && c.Version() < ttlv.V2_0 {
		err = fmt.Errorf("KMIP %v does not say by its value which instance of an attribute is meant: 2.0 does", c.Version())
	}
	return err
}

func (p *program) modifyAttributeCommand() *cobra.Command {
	var uid, current string
	cmd := needsKeyID(&cobra.Command{
		Use:   "modify --key-id ID NAME VALUE",
		Short: "Replace a value that an attribute has",
		Long: `Replace a value that an attribute has: the one that --current says, else the first. An attribute that the object does not have is added
by attributes add. ` + valuesHelp,
		Example: "  strongroom attributes modify --key-id my_sym_key --current backups tag archives",
		Args:    arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := attributeOf(args[0], args[1])
			if err != nil {
				return err
			}
			q := &kmip.ModifyAttributeRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), NewAttribute: kmip.Attributes{a}}
			if cmd.Flags().Changed(currentFlag) {
				old, err := attributeOf(args[0], current)
				if err != nil {
					return err
				}
				if err := p.byValue(cmd.Context()); err != nil {
					return err
				}
				q.CurrentAttribute = kmip.Attributes{old}
			}
			return p.modifyAttribute(cmd.Context(), "modified", q)
		},
	}, &uid)
	cmd.Flags().StringVar(&current, currentFlag, "", "the `VALUE` to replace, of an attribute with several")
	return cmd
}

const currentFlag = "current"

func (p *program) modifyAttribute(ctx context.Context, done string, q *kmip.ModifyAttributeRequest) error {
	r, err := do[kmip.ModifyAttributeResponse](ctx, p, kmip.OperationModifyAttribute, q)
	if err != nil {
		return err
	}
	return p.about("Successfully "+done+" the attribute.", r.UniqueIdentifier)
}

func (p *program) addAttributeCommand() *cobra.Command {
	var uid string
	return needsKeyID(&cobra.Command{
		Use:     "add --key-id ID NAME VALUE",
		Short:   "Add an attribute, or one more value of it",
		Long:    "Add an attribute, or one more value of it. " + valuesHelp,
		Example: "  strongroom attributes add --key-id my_sym_key tag backups",
		Args:    arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := attributeOf(args[0], args[1])
			if err != nil {
				return err
			}
			return p.addAttribute(cmd.Context(), "added", uid, a)
		},
	}, &uid)
}

func (p *program) addAttribute(ctx context.Context, done, uid string, a kmip.Attribute) error {
	r, err := do[kmip.AddAttributeResponse](ctx, p, kmip.OperationAddAttribute, &kmip.AddAttributeRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid), NewAttribute: kmip.Attributes{a},
	})
	if err != nil {
		return err
	}
	return p.about("Successfully "+done+" the attribute.", r.UniqueIdentifier)
}

func (p *program) deleteAttributeCommand() *cobra.Command {
	var uid string
	return needsKeyID(&cobra.Command{
		Use:   "delete --key-id ID NAME [VALUE]",
		Short: "Delete an attribute, or one value of it",
		Example: `  strongroom attributes delete --key-id my_sym_key tag backups
  strongroom attributes delete --key-id my_sym_key contact-information`,
		Args: arguments(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := p.deletion(cmd.Context(), uid, args)
			if err != nil {
				return err
			}
			r, err := do[kmip.DeleteAttributeResponse](cmd.Context(), p, kmip.OperationDeleteAttribute, q)
			if err != nil {
				return err
			}
			return p.about("Successfully deleted the attribute.", r.UniqueIdentifier)
		},
	}, &uid)
}

// deletion is the request that deletes an attribute with all its values, or the one value that args say.
func (p *program) deletion(ctx context.Context, uid string, args []string) (*kmip.DeleteAttributeRequest, error) {
	q := &kmip.DeleteAttributeRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)}
	if len(args) == 2 {
		a, err := attributeOf(args[0], args[1])
		if err != nil {
			return nil, err
		}
		q.CurrentAttribute = kmip.Attributes{a}
		return q, p.byValue(ctx)
	}
	a, err := attributeNamed(args[0])
	if err != nil {
		return nil, err
	}
	q.AttributeReferences = kmip.AttributeReferences{a}
	if p.byValue(ctx) == nil {
		return q, nil
	}
	instances, err := p.instances(ctx, uid, a)
	if err == nil && len(instances) > 1 { // without an index, the first alone would go
		err = p.byValue(ctx)
	}
	return q, err
}
