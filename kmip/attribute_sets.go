package kmip

// An OperationSet is a set of the operations that the standard defines.
type OperationSet uint64

// SetOf makes a set.
func SetOf(list ...Operation) (s OperationSet) {
	for _, op := range list {
		s |= 1 << op
	}
	return s
}

// Has says whether an operation is in the set.
func (s OperationSet) Has(op Operation) bool { return op < 64 && s>>op&1 == 1 }

// ObjectTypeSet is a set of object types.
type ObjectTypeSet uint16

func typesOf(list ...ObjectType) (s ObjectTypeSet) {
	for _, t := range list {
		s |= 1 << t
	}
	return s
}

// Has says whether a type is in the set.
func (s ObjectTypeSet) Has(t ObjectType) bool { return t < 16 && s>>t&1 == 1 }

// applies says which objects may have an attribute: the row *Applies to Object Types* of its tables in 1.x, and in 2.x. Of those,
// except need not have one that the others always have.
type applies struct{ old, new, except ObjectTypeSet }

func (a applies) but(list ...ObjectType) applies {
	a.except = typesOf(list...)
	return a
}

// Objects by what they are. All but templates and opaque objects are Cryptographic Objects (KMIP 1.4 §2.2); certificate requests
// came with 2.0.
const (
	onlyCertificates = ObjectTypeSet(1 << ObjectTypeCertificate)
	onlyTemplates    = ObjectTypeSet(1 << ObjectTypeTemplate)
	onlyOpaque       = ObjectTypeSet(1 << ObjectTypeOpaqueObject)
	onlyPGP          = ObjectTypeSet(1 << ObjectTypePGPKey)
	allPairs         = ObjectTypeSet(1<<ObjectTypePublicKey | 1<<ObjectTypePrivateKey)
	allSymmetric     = ObjectTypeSet(1<<ObjectTypeSymmetricKey | 1<<ObjectTypeSplitKey)
	allKeys          = allSymmetric | allPairs | onlyPGP
	allCryptographic = allKeys | onlyCertificates | ObjectTypeSet(1<<ObjectTypeSecretData)
	allOfOld         = allCryptographic | onlyOpaque | onlyTemplates
	allOfNew         = allCryptographic | onlyOpaque | ObjectTypeSet(1<<ObjectTypeCertificateRequest)
)

// What attributes apply to.
var (
	everything            = applies{old: allOfOld, new: allOfNew}
	cryptographic         = applies{old: allCryptographic, new: allOfNew}
	cryptographicToBe     = applies{old: allCryptographic | onlyTemplates, new: allOfNew}
	cryptographicOrOpaque = applies{old: allCryptographic | onlyOpaque, new: allOfNew}
	keys                  = applies{old: allKeys | onlyTemplates, new: allOfNew}
	keysAndCertificates   = applies{old: allKeys | onlyCertificates | onlyTemplates, new: allOfNew}
	symmetric             = applies{old: allSymmetric | onlyTemplates, new: allOfNew}
	pairs                 = applies{old: allPairs | onlyTemplates, new: allPairs}
	located               = applies{old: allSymmetric | typesOf(ObjectTypePrivateKey, ObjectTypeSecretData), new: allOfNew}
	certificates          = applies{old: onlyCertificates, new: onlyCertificates}
	signed                = applies{old: onlyCertificates | onlyPGP, new: onlyCertificates | onlyPGP}
	opaque                = applies{new: onlyOpaque}
)
