package soft

import (
	"math/big"

	"strongroom/kmip"
)

// Split makes the parts of a symmetric key, a private key or Secret Data, in the order of their numbers: Split Keys in the
// key's format. A prime field that the sharing leaves out is that of the smallest prime that will do.
func Split(v *kmip.Value, s Sharing) ([]*kmip.Value, error) {
	b, err := splittable(v)
	if err != nil {
		return nil, err
	}
	secret := b.KeyValue.Material
	length := b.CryptographicLength
	if v.SecretData != nil {
		length = int32(8 * len(secret))
	}
	if s.Method == kmip.SplitKeyMethodPolynomialSharingPrimeField {
		if v.PrivateKey != nil {
			return nil, badParameters("a private key is not shared in a prime field: its Cryptographic Length is not that of its encoding")
		}
		if s.Prime == nil {
			if s.Prime, err = primeAbove(8 * len(secret)); err != nil {
				return nil, err
			}
		}
	}
	shares, err := s.split(secret)
	if err != nil {
		return nil, err
	}
	parts := make([]*kmip.Value, len(shares))
	for i, data := range shares {
		parts[i] = &kmip.Value{SplitKey: &kmip.SplitKey{
			SplitKeyParts: int32(s.Parts), KeyPartIdentifier: int32(i + 1), SplitKeyThreshold: int32(s.Threshold), SplitKeyMethod: s.Method,
			PrimeFieldSize: s.Prime,
			KeyBlock: kmip.KeyBlock{
				KeyFormatType: b.KeyFormatType, KeyValue: &kmip.KeyValue{Material: data},
				CryptographicAlgorithm: b.CryptographicAlgorithm, CryptographicLength: length,
			},
		}}
	}
	return parts, nil
}

// splittable is the key block of what can be split, with its material in bytes.
func splittable(v *kmip.Value) (*kmip.KeyBlock, error) {
	want := kmip.KeyFormatType(0)
	switch {
	case v.SymmetricKey != nil:
		want = kmip.KeyFormatTypeRaw
	case v.PrivateKey != nil:
		want = kmip.KeyFormatTypePKCS8
	case v.SecretData == nil:
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "a %v is not split", v.ObjectType())
	}
	b := v.KeyBlock()
	if b.KeyWrappingData != nil || b.KeyValue == nil {
		return nil, kmip.Errorf(kmip.ResultReasonKeyValueNotPresent, "the object is kept wrapped: it cannot be split")
	}
	if b.KeyValue.Components != nil {
		converted, err := Convert(v, Form{Format: want})
		if err != nil {
			return nil, err
		}
		b = converted.KeyBlock()
	}
	return b, some("Key Material", b.KeyValue.Material)
}

// primeAbove is the smallest prime above 2 to the power of bits.
func primeAbove(bits int) (*big.Int, error) {
	if bits > 512 {
		return nil, invalid("a Prime Field Size for %d bits must be given", bits)
	}
	p := new(big.Int).Lsh(big.NewInt(1), uint(bits))
	for p.SetBit(p, 0, 1); !p.ProbablyPrime(20); {
		p.Add(p, big.NewInt(2))
	}
	return p, nil
}

// Join makes of its parts an object of the type t again, with Secret Data of the type of. Parts beyond the threshold are checked
// against the others.
func Join(parts []*kmip.Value, t kmip.ObjectType, of kmip.SecretDataType) (*kmip.Value, error) {
	var first *kmip.SplitKey
	shares := make([]share, 0, len(parts))
	for _, v := range parts {
		k := v.SplitKey
		if k == nil {
			return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "Join Split Key joins SplitKeys, not a %v", v.ObjectType())
		}
		if k.KeyBlock.KeyWrappingData != nil || k.KeyBlock.KeyValue == nil || k.KeyBlock.KeyValue.Components != nil {
			return nil, kmip.Errorf(kmip.ResultReasonKeyValueNotPresent, "a part is kept wrapped or transparent: it cannot be joined")
		}
		if first == nil {
			first = k
		} else if !alike(first, k) {
			return nil, invalid("the parts are of two keys: their method, number, threshold, field, format, algorithm or length differ")
		}
		shares = append(shares, share{int(k.KeyPartIdentifier), k.KeyBlock.KeyValue.Material})
	}
	if first == nil {
		return nil, invalid("there are no parts")
	}
	s := Sharing{Method: first.SplitKeyMethod, Parts: int(first.SplitKeyParts), Threshold: int(first.SplitKeyThreshold), Prime: first.PrimeFieldSize}
	b := first.KeyBlock
	size := (int(b.CryptographicLength) + 7) / 8
	if n := symmetric[b.CryptographicAlgorithm].size(b.CryptographicLength); n != 0 {
		size = n
	}
	secret, err := s.join(shares, size)
	if err != nil {
		return nil, err
	}
	b.KeyValue = &kmip.KeyValue{Material: secret}
	switch t {
	case kmip.ObjectTypeSymmetricKey:
		return &kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: b}}, nil
	case kmip.ObjectTypePrivateKey:
		return &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: b}}, nil
	case kmip.ObjectTypeSecretData:
		return &kmip.Value{SecretData: &kmip.SecretData{SecretDataType: either(of, kmip.SecretDataTypeSeed), KeyBlock: b}}, nil
	}
	clear(secret)
	return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "parts are joined to a SymmetricKey, a PrivateKey or SecretData, not to a %v", t)
}

// alike says whether two parts can be of one key.
func alike(a, b *kmip.SplitKey) bool {
	samePrime := a.PrimeFieldSize == nil && b.PrimeFieldSize == nil ||
		a.PrimeFieldSize != nil && b.PrimeFieldSize != nil && a.PrimeFieldSize.Cmp(b.PrimeFieldSize) == 0
	return samePrime && a.SplitKeyMethod == b.SplitKeyMethod && a.SplitKeyParts == b.SplitKeyParts && a.SplitKeyThreshold == b.SplitKeyThreshold &&
		a.KeyBlock.KeyFormatType == b.KeyBlock.KeyFormatType && a.KeyBlock.CryptographicAlgorithm == b.KeyBlock.CryptographicAlgorithm &&
		a.KeyBlock.CryptographicLength == b.KeyBlock.CryptographicLength
}
