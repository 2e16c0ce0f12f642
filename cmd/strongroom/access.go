package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"strongroom/kmip"
)

// accessCommand holds the commands about who may do what.
func (p *program) accessCommand() *cobra.Command {
	return group("access", "Who may do what with your keys, and what you may do",
		p.grantCommand(), p.withdrawCommand(), p.accessListCommand(),
		p.heldCommand("owned", "List what you own", kmip.ListAccessRequest{Owned: true}),
		p.heldCommand("obtained", "List what others let you use, and for what", kmip.ListAccessRequest{Obtained: true}),
		p.whoAmICommand(), p.canICommand())
}

// granted is the answer of access grant and revoke.
type granted struct {
	UniqueIdentifier string   `json:"unique_identifier"`
	User             string   `json:"user"`
	Operations       []string `json:"operations"`
}

func (p *program) grantCommand() *cobra.Command {
	var uid string
	return needsKeyID(&cobra.Command{
		Use:   "grant USER OPERATION… --key-id ID",
		Short: "Let somebody perform operations on a key",
		Long: `Let USER (an identity, or '*' for everyone) perform operations on a key that you own. An operation is named as KMIP
names it: encrypt, decrypt, sign, signature-verify, mac, get, export, get-attributes, locate, activate, revoke, destroy, … Each
is granted by itself, and none implies another.`,
		Example: `  strongroom access grant bob encrypt decrypt --key-id my_sym_key
  strongroom access grant '*' get --key-id hsm::4::my_rsa_key_pk`,
		Args: arguments(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ops, err := operations(args[1:])
			if err != nil {
				return err
			}
			r, err := do[kmip.GrantAccessResponse](cmd.Context(), p, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{
				UniqueIdentifier: kmip.UniqueIdentifier(uid), Grantee: args[0], Operations: ops,
			})
			if err != nil {
				return err
			}
			list := spelledAll(ops)
			return p.answer(granted{string(r.UniqueIdentifier), args[0], list}, "%s may now %s with %s.", args[0], strings.Join(list, ", "), r.UniqueIdentifier)
		},
	}, &uid)
}

func (p *program) withdrawCommand() *cobra.Command {
	var uid string
	return needsKeyID(&cobra.Command{
		Use:   "revoke USER [OPERATION…] --key-id ID",
		Short: "Take back what was granted",
		Long:  "Take back from USER the operations named, or all when none is.",
		Example: `  strongroom access revoke bob decrypt --key-id my_sym_key
  strongroom access revoke bob --key-id my_sym_key`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ops, err := operations(args[1:])
			if err != nil {
				return err
			}
			r, err := do[kmip.WithdrawAccessResponse](cmd.Context(), p, kmip.OperationWithdrawAccess, &kmip.WithdrawAccessRequest{
				UniqueIdentifier: kmip.UniqueIdentifier(uid), Grantee: args[0], Operations: ops,
			})
			if err != nil {
				return err
			}
			list := spelledAll(ops)
			what := strings.Join(list, ", ")
			if len(list) == 0 {
				what = "do anything by a grant"
			}
			return p.answer(granted{string(r.UniqueIdentifier), args[0], list}, "%s may no longer %s with %s.", args[0], what, r.UniqueIdentifier)
		},
	}, &uid)
}

// accessEntry is one line of the lists of access.
type accessEntry struct {
	UniqueIdentifier string   `json:"unique_identifier"`
	User             string   `json:"user,omitempty"`
	Operations       []string `json:"operations,omitempty"`
}

// accessList is the answer of access list, owned and obtained.
type accessList struct {
	Access []accessEntry `json:"access"`
}

// listAccess asks for one of the lists.
func (p *program) listAccess(ctx context.Context, q *kmip.ListAccessRequest) (*accessList, error) {
	r, err := do[kmip.ListAccessResponse](ctx, p, kmip.OperationListAccess, q)
	if err != nil {
		return nil, err
	}
	list := &accessList{Access: []accessEntry{}}
	for _, e := range r.AccessEntry {
		list.Access = append(list.Access, accessEntry{string(e.UniqueIdentifier), e.Grantee, spelledAll(e.Operations)})
	}
	return list, nil
}

// print answers a list, each entry under a subject.
func (p *program) print(l *accessList, subject func(*accessEntry) string) error {
	var lines []string
	for i := range l.Access {
		line := subject(&l.Access[i])
		if ops := l.Access[i].Operations; len(ops) > 0 {
			line += ": " + strings.Join(ops, ", ")
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 && !p.json {
		return nil
	}
	return p.answer(l, "%s", strings.Join(lines, "\n"))
}

func (p *program) accessListCommand() *cobra.Command {
	var uid string
	return needsKeyID(&cobra.Command{
		Use:     "list --key-id ID",
		Short:   "List to whom a key of yours is granted, and for what",
		Example: "  strongroom access list --key-id my_sym_key",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := p.listAccess(cmd.Context(), &kmip.ListAccessRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
			if err != nil {
				return err
			}
			return p.print(l, func(e *accessEntry) string { return e.User })
		},
	}, &uid)
}

// heldCommand lists what the user holds in one way.
func (p *program) heldCommand(use, short string, q kmip.ListAccessRequest) *cobra.Command {
	return &cobra.Command{
		Use:     use,
		Short:   short,
		Example: "  strongroom access " + use,
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := p.listAccess(cmd.Context(), &q)
			if err != nil {
				return err
			}
			return p.print(l, func(e *accessEntry) string { return e.UniqueIdentifier })
		},
	}
}

// identity is the answer of access whoami.
type identity struct {
	Identity string `json:"identity"`
	HSMAdmin bool   `json:"hsm_admin"`
}

func (p *program) whoAmICommand() *cobra.Command {
	return &cobra.Command{
		Use:     "whoami",
		Short:   "Say who the server takes you for",
		Example: "  strongroom access whoami",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := do[kmip.WhoAmIResponse](cmd.Context(), p, kmip.OperationWhoAmI, &kmip.WhoAmIRequest{})
			if err != nil {
				return err
			}
			admin := ""
			if r.HSMAdmin {
				admin = " (administrator of HSM keys)"
			}
			return p.answer(identity{r.Identity, r.HSMAdmin}, "%s%s", r.Identity, admin)
		},
	}
}

// allowed is the answer of access can-i.
type allowed struct {
	UniqueIdentifier string `json:"unique_identifier"`
	Operation        string `json:"operation"`
	Allowed          bool   `json:"allowed"`
}

// errForbidden ends can-i after its answer.
var errForbidden = errors.New("no")

func (p *program) canICommand() *cobra.Command {
	var uid string
	return needsKeyID(&cobra.Command{
		Use:     "can-i OPERATION --key-id ID",
		Short:   "Say whether you may perform an operation on a key",
		Long:    "Say whether you may perform an operation on a key, or create one of that identifier. Ends with 0 for yes and 1 for no.",
		Example: "  strongroom access can-i encrypt --key-id my_sym_key",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ops, err := operations(args)
			if err != nil {
				return err
			}
			r, err := do[kmip.CanIResponse](cmd.Context(), p, kmip.OperationCanI, &kmip.CanIRequest{
				UniqueIdentifier: kmip.UniqueIdentifier(uid), Operation: ops[0],
			})
			if err != nil {
				return err
			}
			answer := allowed{uid, spelled(ops[0].String()), r.Allowed}
			if !r.Allowed {
				if p.json {
					return errors.Join(p.answer(answer, ""), errForbidden)
				}
				return fmt.Errorf("%w: you may not %s with %s", errForbidden, answer.Operation, uid)
			}
			return p.answer(answer, "yes")
		},
	}, &uid)
}
