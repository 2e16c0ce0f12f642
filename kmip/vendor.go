package kmip

// The server's own vendor attributes. In KMIP 1.x they are custom attributes named "x-Strongroom-…" (set by the client)
// and "y-Strongroom-…" (set by the server); in 2.x their Vendor Identification is "x" or "y", as KMIP 2.1 §4.60 maps it.
const (
	VendorClient = "x"
	VendorServer = "y"

	// AttributeWrappingKeyID is client-set at creation: the identifier of the key that wraps this one at rest. Of a key of the class
	// hsm-wrapped the server sets one, too, which is always that of today.
	AttributeWrappingKeyID = "Strongroom-WrappingKeyID"
	// AttributeTag is client-set, with many instances: a word to find objects by.
	AttributeTag = "Strongroom-Tag"
	// AttributeEntropy asks, set by the client at creation, for random bytes of a token too where the server takes them for those
	// who ask; set by the server, it says that they went into the material. Its value is EntropyAugmentation.
	AttributeEntropy = "Strongroom-Entropy"
	// AttributeProtection is server-set: how the material is kept, one of the Protection values. Client-set at creation it asks for
	// the class hsm-wrapped, as the Protection Storage Mask Hardware does from KMIP 2.0 on.
	AttributeProtection = "Strongroom-Protection"
	// AttributeSplit is server-set: the same text for all parts of one split key.
	AttributeSplit = "Strongroom-Split"
)

// Values of the attribute Strongroom-Protection.
const (
	ProtectionSoftware     = "software"      // the row is under the root key
	ProtectionHSMProtected = "hsm-protected" // the row is under a wrapping key
	ProtectionHSMWrapped   = "hsm-wrapped"   // the row is what a token wrapped, and only it unwraps
	ProtectionHSM          = "hsm"           // the key is in a token and does not leave it
)

// AsksHSMWrapped says whether the client's attributes ask for a key of the class hsm-wrapped.
func (a Attributes) AsksHSMWrapped() bool {
	v, _ := a.Vendor(VendorClient, AttributeProtection)
	return v == any(ProtectionHSMWrapped)
}

// HSMWrapped says whether an object is of that class.
func (a Attributes) HSMWrapped() bool {
	v, _ := a.Vendor(VendorServer, AttributeProtection)
	return v == any(ProtectionHSMWrapped)
}
