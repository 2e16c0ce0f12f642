package replay

import (
	"slices"
	"strings"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// optional are the items that an answer may have or lack, whatever the case shows, with any value.
var optional = map[ttlv.Tag]bool{
	ttlv.TagResultMessage:          true,
	ttlv.TagServerCorrelationValue: true,
	ttlv.TagClientCorrelationValue: true,
	ttlv.TagMessageExtension:       true,
	ttlv.TagTemplateAttribute:      true, // of the values that the server implied
	ttlv.TagObjectGroup:            true,
}

// own are the items whose value, and what is in it, is the server's own.
var own = map[ttlv.Tag]bool{
	ttlv.TagResultMessage:          true,
	ttlv.TagServerCorrelationValue: true,
	ttlv.TagClientCorrelationValue: true,
	ttlv.TagServerInformation:      true,
	ttlv.TagRandomNumberGenerator:  true,
	ttlv.TagLeaseTime:              true,
	ttlv.TagProtocolVersion:        true, // compared with the request's
	ttlv.TagPKCS11OutputParameters: true, // of C_GetInfo, which says who made the server
}

// identifies are the items whose value is an identifier that the server chose.
var identifies = map[ttlv.Tag]bool{
	ttlv.TagUniqueIdentifier:           true,
	ttlv.TagPrivateKeyUniqueIdentifier: true,
	ttlv.TagPublicKeyUniqueIdentifier:  true,
	ttlv.TagLinkedObjectIdentifier:     true,
}

// generates are the operations that answer with identifiers of objects whose material the server made.
var generates = map[kmip.Operation]bool{
	kmip.OperationCreate:        true,
	kmip.OperationCreateKeyPair: true,
	kmip.OperationReKey:         true,
	kmip.OperationReKeyKeyPair:  true,
}

// ofMaterial are the items that differ with the material of a key that the server made.
var ofMaterial = map[ttlv.Tag]bool{
	ttlv.TagKeyMaterial:                true,
	ttlv.TagKeyFormatType:              true, // the server's choice, too
	ttlv.TagDigestValue:                true,
	ttlv.TagSignatureData:              true,
	ttlv.TagMACData:                    true,
	ttlv.TagIVCounterNonce:             true,
	ttlv.TagAuthenticatedEncryptionTag: true,
}

// lists are the operations whose answer has a list in no order.
var lists = map[kmip.Operation]bool{
	kmip.OperationGetAttributes:    true,
	kmip.OperationGetAttributeList: true,
	kmip.OperationLocate:           true,
	kmip.OperationQuery:            true,
}

// queried are the operations and object types that a server must have, where a case shows them in Query's answer; whether
// it has others is its own matter. They are what a Baseline Server and a Symmetric Key Lifecycle Server need.
var queried = map[ttlv.Tag][]uint32{
	ttlv.TagOperation: {
		uint32(kmip.OperationCreate), uint32(kmip.OperationRegister), uint32(kmip.OperationLocate), uint32(kmip.OperationCheck),
		uint32(kmip.OperationGet), uint32(kmip.OperationGetAttributes), uint32(kmip.OperationGetAttributeList),
		uint32(kmip.OperationAddAttribute), uint32(kmip.OperationModifyAttribute), uint32(kmip.OperationDeleteAttribute),
		uint32(kmip.OperationActivate), uint32(kmip.OperationRevoke), uint32(kmip.OperationDestroy),
		uint32(kmip.OperationQuery), uint32(kmip.OperationDiscoverVersions),
	},
	ttlv.TagObjectType: {uint32(kmip.ObjectTypeSymmetricKey)},
}

// unordered says that the items in a structure may come in any order.
func (m *matcher) unordered(parent ttlv.Tag) bool {
	return parent == ttlv.TagAttributes || parent == ttlv.TagResponsePayload && lists[m.operation]
}

// mayLack says that an answer need not have an item.
func (m *matcher) mayLack(parent ttlv.Tag, want *item) bool {
	if optional[want.Tag] || firstIndex(want.Node) {
		return true
	}
	if m.operation == kmip.OperationQuery && parent == ttlv.TagResponsePayload {
		v, _ := want.Value.(uint32)
		return want.Type != ttlv.TypeEnumeration || !slices.Contains(queried[want.Tag], v)
	}
	return false
}

// mayHave says that an answer may have an item that the case does not show.
func (m *matcher) mayHave(parent ttlv.Tag, got ttlv.Node) bool {
	if optional[got.Tag] || firstIndex(got) || ofServer(got) {
		return true
	}
	asked := child(m.request, ttlv.TagRequestPayload).Children
	top := parent == ttlv.TagResponsePayload
	switch m.operation {
	case kmip.OperationLocate:
		return got.Tag == ttlv.TagLocatedItems
	case kmip.OperationQuery, kmip.OperationGetAttributeList:
		return top
	case kmip.OperationDiscoverVersions: // all, where the client named none
		return top && len(asked) == 0
	case kmip.OperationGetAttributes: // all, likewise; each server has some that others have not
		return (top || parent == ttlv.TagAttributes) && len(asked) <= 1
	}
	return false
}

// firstIndex says that an item is the Attribute Index 0, which may be left out.
func firstIndex(n ttlv.Node) bool { return n.Tag == ttlv.TagAttributeIndex && n.Value == int32(0) }

// ofServer says that an attribute of KMIP 1.x, or its name, is one of the server's vendor.
func ofServer(n ttlv.Node) bool {
	name := n
	if n.Tag == ttlv.TagAttribute {
		name = child(n, ttlv.TagAttributeName)
	}
	s, _ := name.Value.(string)
	return name.Tag == ttlv.TagAttributeName && strings.HasPrefix(s, "y-")
}

// any says that a value is not compared. Its tag is that of the attribute where it is an Attribute Value.
func (m *matcher) any(tag ttlv.Tag, want *item) bool {
	if own[tag] && !(tag == ttlv.TagProtocolVersion && m.operation != 0) || identifies[tag] || tag == ttlv.TagVendorIdentification && m.operation == kmip.OperationQuery {
		return true
	}
	if t, ok := want.Value.(time.Time); ok {
		return !m.dates[t.Unix()]
	}
	return m.object.generated && ofMaterial[tag] || m.random && (tag == ttlv.TagData || ofMaterial[tag])
}

// anySize says that a value that is not compared may be of any size.
func anySize(path string) bool {
	return strings.Contains(path, "PrivateKey") || strings.Contains(path, "PublicKey") || strings.HasSuffix(path, "SignatureData")
}

// randomizes says that what an operation answers differs each time, or with the material of a key that the server made.
func (m *matcher) randomizes(asked *item) bool {
	switch m.operation {
	case kmip.OperationRNGRetrieve:
		return true
	case kmip.OperationDecrypt: // what another key encrypted, when the case was recorded
		data := asked.find(ttlv.TagData)
		return m.object.generated && data != nil && data.variable == ""
	case kmip.OperationEncrypt, kmip.OperationSign:
	default:
		return false
	}
	padding := m.object.padding
	if p, ok := find(m.request, ttlv.TagPaddingMethod).(uint32); ok {
		padding = kmip.PaddingMethod(p)
	}
	randomIV := m.object.randomIV
	if r, ok := find(m.request, ttlv.TagRandomIV).(bool); ok {
		randomIV = r
	}
	switch padding {
	case kmip.PaddingMethodPSS, kmip.PaddingMethodOAEP:
		return true
	case kmip.PaddingMethodPKCS1v15:
		return m.operation == kmip.OperationEncrypt
	}
	return m.object.generated || randomIV
}
