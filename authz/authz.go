// Package authz says who may do what: pure functions over a table and the object itself.
//
//	                                       database key                      HSM key
//	create, register, import               everyone in Create                the slot's administrators only
//	every operation                        its owners                        every administrator of its slot
//	one operation                          who holds a grant of it, or "*"   the same
//	Locate                                 owners, and holders of any grant  the same
//
// Constraints and defaults of new objects are set by the identities in Govern. How the server is, those in Monitor may ask.
//
// Each grant names one operation and none implies another. Nothing else gives a right: not the group, not the link from
// a private key to its public half, not a right on another object.
package authz

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"strongroom/kmip"
)

// Everyone is the identity in lists, owners and grants that stands for every authenticated identity. Nobody has it.
const Everyone = "*"

// A Table has the rights that do not come from an object. It is not changed once it is in use: a new configuration is a
// new Table.
type Table struct {
	HSMAdmin []string // own every HSM key together, and alone make new ones: the administrators of a slot that has no others

	// SlotAdmin has the administrators of slots that have their own, in place of HSMAdmin.
	SlotAdmin map[uint32][]string

	Create []string // make database keys: Create, Create Key Pair, Register, Import
	Govern []string // set what holds for all objects: Set Constraints, Set Defaults

	Monitor []string // ask how the server is
}

// Allow says whether identity may perform op on an object that exists. Who may not, and does not see the object either
// (Visible), is a stranger to it: a stranger hears that it does not exist.
func (t *Table) Allow(identity string, op kmip.Operation, o *kmip.Object) bool {
	return t.owns(identity, o) || Grantable(op) && holds(identity, o, func(g kmip.Operation) bool { return g == op })
}

// MayCreate says whether identity may make a new object of that identifier: an HSM key, or a database key.
func (t *Table) MayCreate(identity, uid string) bool {
	slot, _, hsm, err := kmip.HSMKey(uid)
	switch {
	case err != nil:
		return false
	case hsm:
		return names(t.admins(slot), identity)
	}
	return names(t.Create, identity)
}

// admins are the administrators of a slot.
func (t *Table) admins(slot uint32) []string {
	if own, ok := t.SlotAdmin[slot]; ok {
		return own
	}
	return t.HSMAdmin
}

// Admin says whether identity administers HSM keys, of any slot.
func (t *Table) Admin(identity string) bool {
	if names(t.HSMAdmin, identity) {
		return true
	}
	for _, own := range t.SlotAdmin {
		if names(own, identity) {
			return true
		}
	}
	return false
}

// AdminOf says whether identity administers a slot.
func (t *Table) AdminOf(identity string, slot uint32) bool { return names(t.admins(slot), identity) }

// Slots says whether identity administers the slots that have no administrators of their own, and which of those that have.
func (t *Table) Slots(identity string) (others bool, own map[uint32]bool) {
	for slot, admins := range t.SlotAdmin {
		if own == nil {
			own = make(map[uint32]bool, len(t.SlotAdmin))
		}
		own[slot] = names(admins, identity)
	}
	return names(t.HSMAdmin, identity), own
}

// MayGovern says whether identity may set what holds for all objects.
func (t *Table) MayGovern(identity string) bool { return names(t.Govern, identity) }

// MayMonitor says whether identity may ask how the server is.
func (t *Table) MayMonitor(identity string) bool { return names(t.Monitor, identity) }

// Visible says whether Locate may show the object to identity: to its owners and to who may use it in some way.
func (t *Table) Visible(identity string, o *kmip.Object) bool {
	return t.owns(identity, o) || holds(identity, o, Grantable)
}

// owns says whether identity may do everything with the object. HSM keys have no owner but the table's: what a backend
// says of them may be older than the table.
func (t *Table) owns(identity string, o *kmip.Object) bool {
	slot, _, hsm, err := kmip.HSMKey(o.UniqueIdentifier)
	switch {
	case err != nil:
		return false
	case hsm:
		return t.AdminOf(identity, slot)
	}
	return names(o.Owners, identity)
}

// holds says whether identity, or everyone, was granted an operation that is wanted.
func holds(identity string, o *kmip.Object, wanted func(kmip.Operation) bool) bool {
	if !somebody(identity) {
		return false
	}
	for _, g := range o.Grants {
		if (g.Grantee == identity || g.Grantee == Everyone) && wanted(g.Operation) {
			return true
		}
	}
	return false
}

// names says whether a list has identity, or everyone.
func names(list []string, identity string) bool {
	return somebody(identity) && (slices.Contains(list, identity) || slices.Contains(list, Everyone))
}

// somebody is false of what CheckIdentity never lets in and no caller may pass either.
func somebody(identity string) bool { return identity != "" && identity != Everyone }

// grantable has the operations on one existing object that a grant may name. Those that make an object without looking at
// another, and those that change who may do what, are not among them.
var grantable = map[kmip.Operation]bool{
	kmip.OperationActivate:           true,
	kmip.OperationAddAttribute:       true,
	kmip.OperationAdjustAttribute:    true,
	kmip.OperationArchive:            true,
	kmip.OperationCertify:            true,
	kmip.OperationCheck:              true,
	kmip.OperationCreateSplitKey:     true,
	kmip.OperationDecrypt:            true,
	kmip.OperationDeleteAttribute:    true,
	kmip.OperationDeriveKey:          true,
	kmip.OperationDestroy:            true,
	kmip.OperationEncrypt:            true,
	kmip.OperationExport:             true,
	kmip.OperationGet:                true,
	kmip.OperationGetAttributeList:   true,
	kmip.OperationGetAttributes:      true,
	kmip.OperationGetUsageAllocation: true,
	kmip.OperationJoinSplitKey:       true,
	kmip.OperationMAC:                true,
	kmip.OperationMACVerify:          true,
	kmip.OperationModifyAttribute:    true,
	kmip.OperationObtainLease:        true,
	kmip.OperationReCertify:          true,
	kmip.OperationReKey:              true,
	kmip.OperationReKeyKeyPair:       true,
	kmip.OperationRecover:            true,
	kmip.OperationRevoke:             true,
	kmip.OperationSetAttribute:       true,
	kmip.OperationSign:               true,
	kmip.OperationSignatureVerify:    true,
	kmip.OperationValidate:           true,
}

// Grantable says whether a grant may name op: an operation on an object that exists, and not Create, Create Key Pair,
// Register, Import, Grant Access or Withdraw Access.
func Grantable(op kmip.Operation) bool { return grantable[op] }

// CheckIdentity refuses what may not be an identity, whatever certificate says it: an empty one, "*", more than 256
// bytes, invalid UTF-8, and characters that do not show, that look like a space, or that only change how others show, for two
// identities must not look the same in a list or an audit line. (That of two alphabets no letters look alike is for whoever signs
// certificates to see to.)
func CheckIdentity(identity string) error {
	switch {
	case identity == "":
		return refuse("it is empty")
	case identity == Everyone:
		return refuse("%q stands for everyone", Everyone)
	case len(identity) > 256:
		return refuse("it is longer than 256 bytes")
	case !utf8.ValidString(identity):
		return refuse("it is not UTF-8")
	}
	for _, c := range identity {
		if unicode.IsControl(c) {
			return refuse("it contains the control character %U", c)
		}
		if !unicode.IsPrint(c) || unicode.In(c, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return refuse("it contains %U, which does not show or looks like a space", c)
		}
	}
	if strings.TrimSpace(identity) != identity {
		return refuse("it begins or ends with a space")
	}
	return nil
}

func refuse(format string, args ...any) error {
	return kmip.Errorf(kmip.ResultReasonAuthenticationNotSuccessful, "this identity is refused: "+format, args...)
}
