package server

import (
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/soft"
)

// arrival looks material over that comes from outside, and gives the attributes that come with it: those of the request, and
// those in the Key Value (KMIP 2.1 §3.2: they differ from the others only by where they are). The Key Value that is kept has none.
func (r *Request) arrival(given kmip.Attributes, v *kmip.Value) (kmip.Attributes, *kmip.Value, error) {
	block := v.KeyBlock()
	switch {
	case block == nil:
		return given, v, nil
	case block.KeyValue == nil && r.version < ttlv.V1_2:
		return nil, nil, kmip.Errorf(kmip.ResultReasonInvalidMessage, "the Key Block has no Key Value, which KMIP has from version 1.2 on")
	case block.KeyValue == nil && block.KeyWrappingData == nil:
		return given, v, nil
	case block.KeyValue == nil:
		return nil, nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the Key Block has Key Wrapping Data, and no Key Value")
	case block.KeyWrappingData != nil:
		return r.wrappedBy(given, block.KeyWrappingData), v, nil
	}
	inside := block.KeyValue.Attributes
	if len(inside) == 0 {
		return given, v, nil
	}
	for _, a := range importable(inside) {
		single := !kmip.RuleOf(a.Tag).Multiple
		if a.Tag != ttlv.TagUniqueIdentifier && !(single && given.Contains(a.Tag)) && !given.Has(a) {
			given = append(given[:len(given):len(given)], a)
		}
	}
	bare := *block.KeyValue
	bare.Attributes = nil
	return given, soft.WithKeyValue(v, &bare), nil
}

// wrappedBy adds the link to the key that an object is wrapped with, of those that are here and that the caller knows of. KMIP 2.1
// §6.1.43.
func (r *Request) wrappedBy(given kmip.Attributes, d *kmip.KeyWrappingData) kmip.Attributes {
	var uid kmip.UniqueIdentifier
	switch {
	case d.EncryptionKeyInformation != nil:
		uid = d.EncryptionKeyInformation.UniqueIdentifier
	case d.MACSignatureKeyInformation != nil:
		uid = d.MACSignatureKeyInformation.UniqueIdentifier
	}
	name, err := r.resolve(uid)
	if err != nil || uid == "" {
		return given
	}
	if _, err := r.permitted(name, kmip.OperationGetAttributes); err != nil {
		return given
	}
	return linkedOnce(given, kmip.LinkTypeWrappingKeyLink, name)
}

// forToken gives a key in a format that a token takes.
func forToken(v *kmip.Value) (*kmip.Value, error) {
	block := v.KeyBlock()
	if block == nil || block.KeyWrappingData != nil || block.KeyValue == nil || block.KeyValue.Components == nil && block.KeyCompressionType == 0 {
		return v, nil // the token takes it, or says why it does not
	}
	f := soft.Form{Compression: kmip.KeyCompressionTypeECPublicKeyTypeUncompressed}
	switch v.ObjectType() {
	case kmip.ObjectTypeSymmetricKey:
		f.Format = kmip.KeyFormatTypeRaw
	case kmip.ObjectTypePrivateKey:
		f.Format = kmip.KeyFormatTypePKCS8
	case kmip.ObjectTypePublicKey:
		f.Format = kmip.KeyFormatTypeX509
	}
	return soft.Convert(v, f)
}
