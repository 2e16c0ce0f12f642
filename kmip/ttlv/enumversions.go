package ttlv

import "fmt"

// A span is the values first to last of an enumeration, which the versions from to until define, and no others.
type span struct {
	first, last uint32
	from, until Version
}

// since is the values first to last, which came with a version and stayed.
func since(from Version, first, last uint32) span { return span{first, last, from, V2_1} }

// until14 is the values first to last, which KMIP 2.0 reserves.
func until14(first, last uint32) span { return span{first, last, V1_0, V1_4} }

// spans holds at index tag - firstTag the values that not every version defines: KMIP 1.0, 1.2 and 1.4 §9.1.3.2, KMIP 2.0 and 2.1 §11.
// What came between two of these texts is taken to be of the later one where it is not known to be older.
var spans = [...][]span{
	TagBlockCipherMode - firstTag:        {since(V1_4, 18, 18)},
	TagCertificateRequestType - firstTag: {until14(4, 4)},
	TagCredentialType - firstTag:         {since(V1_1, 2, 2), since(V1_2, 3, 3), since(V2_0, 4, 6)},
	TagCryptographicAlgorithm - firstTag: {since(V1_2, 26, 26), since(V1_3, 27, 30), since(V1_4, 31, 40), since(V2_0, 41, 56)},
	TagCryptographicUsageMask - firstTag: {
		until14(0x40, 0x40), until14(0x400, 0x400), until14(0x4000, 0x80000), since(V2_0, 0x100000, 0x800000),
	},
	TagDerivationMethod - firstTag: {since(V1_4, 8, 8), since(V2_0, 9, 10)},
	TagDigitalSignatureAlgorithm - firstTag: {
		since(V1_4, 17, 19),
	},
	TagHashingAlgorithm - firstTag: {since(V1_2, 12, 13), since(V1_4, 14, 17)},
	TagKeyFormatType - firstTag:    {until14(14, 19), since(V1_3, 20, 21), since(V1_4, 22, 22), since(V2_0, 23, 23)},
	TagKeyRoleType - firstTag:      {since(V1_4, 22, 24)},
	TagLinkType - firstTag:         {since(V1_2, 0x108, 0x10B), since(V1_4, 0x10C, 0x10D), since(V2_0, 0x10E, 0x10E)},
	TagObjectType - firstTag:       {until14(6, 6), since(V1_2, 9, 9), since(V2_0, 10, 10)},
	TagOperation - firstTag: {
		since(V1_1, 29, 30), since(V1_2, 31, 41), since(V1_4, 42, 43), since(V2_0, 44, 53), since(V2_1, 54, 59),
	},
	TagQueryFunction - firstTag:    {since(V1_1, 5, 6), since(V1_2, 7, 7), since(V1_3, 8, 12), since(V2_0, 13, 14)},
	TagRecommendedCurve - firstTag: {since(V1_2, 16, 68), since(V2_0, 69, 70)},
	TagResultReason - firstTag: {
		until14(0x0B, 0x0B), until14(0x0E, 0x0E), since(V1_1, 0x12, 0x12), since(V1_2, 0x13, 0x15), since(V1_4, 0x16, 0x18),
		since(V2_0, 0x19, 0x49), since(V2_1, 0x4A, 0x4C),
	},
	TagSplitKeyMethod - firstTag:    {since(V1_2, 4, 4)},
	TagStorageStatusMask - firstTag: {since(V2_0, 4, 4)},
}

// Defined says whether version v defines value n of the enumeration under t, or bit n of the mask. Values of vendors are defined by
// every version.
func Defined(t Tag, n uint32, v Version) bool {
	t = enumTag(t)
	if t < firstTag || t >= firstTag+Tag(len(spans)) {
		return true
	}
	for _, s := range spans[t-firstTag] {
		if s.first <= n && n <= s.last {
			return s.from <= v && v <= s.until
		}
	}
	return true
}

// DefinedMask is n without the bits that version v does not define.
func DefinedMask(t Tag, n int32, v Version) int32 {
	for _, bit := range enumeration(t) {
		if !Defined(t, bit.value, v) {
			n &^= int32(bit.value)
		}
	}
	return n
}

// An UndefinedError is the error of a strict Encoder that was given a value of an enumeration that its version does not define.
type UndefinedError struct {
	Tag     Tag
	Value   uint32
	Version Version
}

// Error names the value.
func (e *UndefinedError) Error() string {
	return fmt.Sprintf("KMIP %v has no %v %s", e.Version, e.Tag, EnumName(e.Tag, e.Value))
}
