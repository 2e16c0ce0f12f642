package kmip

import (
	"slices"

	"strongroom/kmip/ttlv"
)

// LoginRequest asks for a ticket that stands for the caller in requests to come. KMIP 2.1 §6.1.30.
type LoginRequest struct {
	LeaseTime    ttlv.Raw     `ttlv:"LeaseTime"` // Interval, or DateTime
	RequestCount *int32       `ttlv:"RequestCount"`
	UsageLimits  *UsageLimits `ttlv:"UsageLimits"`
}

// LoginResponse has the ticket.
type LoginResponse struct {
	Ticket Ticket `ttlv:"Ticket"`
}

// LogoutRequest ends a ticket. KMIP 2.1 §6.1.31.
type LogoutRequest struct {
	Ticket Ticket `ttlv:"Ticket"`
}

// LogoutResponse says that it has ended.
type LogoutResponse struct{}

// DelegatedLoginRequest asks for a ticket with which its holder may do some of what the caller may. KMIP 2.1 §6.1.12.
type DelegatedLoginRequest struct {
	LeaseTime    ttlv.Raw     `ttlv:"LeaseTime"` // Interval, or DateTime
	RequestCount *int32       `ttlv:"RequestCount"`
	UsageLimits  *UsageLimits `ttlv:"UsageLimits"`
	Rights       Rights       `ttlv:"Rights"`
}

// DelegatedLoginResponse has the ticket.
type DelegatedLoginResponse struct {
	Ticket Ticket `ttlv:"Ticket"`
}

// Rights are what the holder of a ticket may do: what one of them allows. KMIP 2.1 §7.35.
type Rights struct {
	Right []Right `ttlv:"Right"`
}

// A Right is to perform some operations on some objects, so many times. What is absent is not restricted. KMIP 2.1 §7.34.
type Right struct {
	UsageLimits  *UsageLimits  `ttlv:"UsageLimits"`
	Operations   *Operations   `ttlv:"Operations"`
	Objects      *Objects      `ttlv:"Objects"`
	ObjectGroups *ObjectGroups `ttlv:"ObjectGroups"`
}

// Operations is a list of them. KMIP 2.1 §7.25.
type Operations struct {
	Operation []Operation `ttlv:"Operation"`
}

// Objects is a list of identifiers. KMIP 2.1 §7.21.
type Objects struct {
	UniqueIdentifier []UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// ObjectGroups is a list of values of the attribute Object Group. KMIP 2.1 §7.23.
type ObjectGroups struct {
	ObjectGroup []string `ttlv:"ObjectGroup"`
}

// Have says whether one of the groups is among the attributes of an object.
func (g *ObjectGroups) Have(a Attributes) bool {
	return slices.ContainsFunc(All[string](a, ttlv.TagObjectGroup), func(group string) bool { return slices.Contains(g.ObjectGroup, group) })
}

// Share says whether both lists have a group.
func (g *ObjectGroups) Share(other *ObjectGroups) bool {
	return slices.ContainsFunc(g.ObjectGroup, func(group string) bool { return slices.Contains(other.ObjectGroup, group) })
}

// ObjectTypes is a list of them. KMIP 2.1 §7.24.
type ObjectTypes struct {
	ObjectType []ObjectType `ttlv:"ObjectType"`
}
