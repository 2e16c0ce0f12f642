package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"strongroom/kmip"
)

// A kind is a kind of objects that has a group of commands.
type kind struct {
	group   string // as it is typed
	noun    string // in flags and answers
	what    string // in errors, with its article
	example string // an identifier
	is      func(*kmip.Value) bool
}

var symmetricKind = kind{"sym keys", "key", "a symmetric key", "my_sym_key", func(v *kmip.Value) bool { return v.SymmetricKey != nil }}

// command is how a command of the group is typed.
func (k *kind) command(name string) string { return "strongroom " + k.group + " " + name }

// check refuses an object of another kind.
func (k *kind) check(v *kmip.Value) error {
	if !k.is(v) {
		return fmt.Errorf("it is a %v, not %s", v.ObjectType(), k.what)
	}
	return nil
}

// flag is the flag that names an object of the kind.
func (k *kind) flag() string { return k.noun + "-id" }

// identifies adds the flag that names the object a command is about. Of whatever kind, it may be called --key-id too.
func (k *kind) identifies(cmd *cobra.Command, uid *string) {
	f := cmd.Flags()
	f.StringVarP(uid, k.flag(), k.noun[:1], "", "unique identifier `ID` of the "+k.noun)
	if k.flag() != keyIDFlag {
		f.StringVar(uid, keyIDFlag, "", "the same")
		f.Lookup(keyIDFlag).Hidden = true
	}
}

// needsID adds that flag and makes it obligatory.
func (k *kind) needsID(cmd *cobra.Command, uid *string) *cobra.Command {
	k.identifies(cmd, uid)
	return needs(cmd, uid, k.flag())
}

// keyIDFlag names the object in commands that are not about one kind.
const keyIDFlag = "key-id"

// identified is the answer of a command about one object.
type identified struct {
	UniqueIdentifier string `json:"unique_identifier"`
}

// keyID adds the flag that names the key a command is about.
func keyID(cmd *cobra.Command, uid *string) {
	cmd.Flags().StringVarP(uid, keyIDFlag, "k", "", "unique identifier `ID` of the key")
}

// needsKeyID adds that flag and makes it obligatory.
func needsKeyID(cmd *cobra.Command, uid *string) *cobra.Command {
	keyID(cmd, uid)
	return needsKey(cmd, uid)
}

// needsKey makes the flag, which is there already, obligatory.
func needsKey(cmd *cobra.Command, uid *string) *cobra.Command { return needs(cmd, uid, keyIDFlag) }

// needs makes a flag that names an object obligatory.
func needs(cmd *cobra.Command, uid *string, flag string) *cobra.Command {
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *uid == "" {
			return misused("no %s is named: give --%s ID", strings.TrimSuffix(flag, "-id"), flag)
		}
		return run(cmd, args)
	}
	return cmd
}
