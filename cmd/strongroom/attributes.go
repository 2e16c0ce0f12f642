package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/client"
)

// attributesCommand holds the commands about attributes.
func (p *program) attributesCommand() *cobra.Command {
	return group("attributes", "Attributes of an object", p.getAttributesCommand(), p.setAttributeCommand(), p.addAttributeCommand(), p.deleteAttributeCommand())
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
	var uid, current string
	cmd := needsKeyID(&cobra.Command{
		Use:   "set --key-id ID NAME VALUE",
		Short: "Give an attribute a value, in place of the one it has",
		Long:  "Give an attribute a value, in place of the one it has. " + valuesHelp,
		Example: `  strongroom attributes set --key-id my_sym_key contact-information ops@example.com
  strongroom attributes set --key-id my_sym_key deactivation-date 2027-01-01T00:00:00Z`,
		Args: arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := attributeOf(args[0], args[1])
			if err != nil {
				return err
			}
			q := &kmip.ModifyAttributeRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), NewAttribute: kmip.Attributes{a}}
			if current != "" {
				old, err := attributeOf(args[0], current)
				if err != nil {
					return err
				}
				q.CurrentAttribute = kmip.Attributes{old}
			}
			r, err := do[kmip.ModifyAttributeResponse](cmd.Context(), p, kmip.OperationModifyAttribute, q)
			if absent(err) && current == "" {
				return p.addAttribute(cmd, uid, a)
			}
			if err != nil {
				return err
			}
			return p.about("Successfully set the attribute.", r.UniqueIdentifier)
		},
	}, &uid)
	cmd.Flags().StringVar(&current, "current", "", "the `VALUE` to replace, of an attribute with several")
	return cmd
}

// absent says whether the server refused because the object has no such attribute yet.
func absent(err error) bool {
	var refusal *client.Error
	return errors.As(err, &refusal) && refusal.Reason == kmip.ResultReasonAttributeNotFound
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
			return p.addAttribute(cmd, uid, a)
		},
	}, &uid)
}

func (p *program) addAttribute(cmd *cobra.Command, uid string, a kmip.Attribute) error {
	r, err := do[kmip.AddAttributeResponse](cmd.Context(), p, kmip.OperationAddAttribute, &kmip.AddAttributeRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid), NewAttribute: kmip.Attributes{a},
	})
	if err != nil {
		return err
	}
	return p.about("Successfully added the attribute.", r.UniqueIdentifier)
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
			q := &kmip.DeleteAttributeRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)}
			if len(args) == 1 {
				a, err := attributeNamed(args[0])
				if err != nil {
					return err
				}
				q.AttributeReferences = kmip.AttributeReferences{a}
			} else {
				a, err := attributeOf(args[0], args[1])
				if err != nil {
					return err
				}
				q.CurrentAttribute = kmip.Attributes{a}
			}
			r, err := do[kmip.DeleteAttributeResponse](cmd.Context(), p, kmip.OperationDeleteAttribute, q)
			if err != nil {
				return err
			}
			return p.about("Successfully deleted the attribute.", r.UniqueIdentifier)
		},
	}, &uid)
}
