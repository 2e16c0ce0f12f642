package server

import (
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/soft"
)

// A wrapper has the keys that wrap what leaves, or unwrap what comes in, opened.
type wrapper struct {
	soft.Wrapping
	encryption, authentication *kmip.Object // nil where the method has none
	authenticates              need         // that authentication was opened with
}

// The needs of the keys that a Key Wrapping Specification names, and Key Wrapping Data. KMIP 2.1 §12.1: wrapping is a use of its
// own, whatever the mechanism.
var (
	wrapsKeys = need{
		states: in(kmip.StateActive), right: kmip.OperationEncrypt, window: untilProtectStop, usage: kmip.CryptographicUsageMaskWrapKey,
	}
	unwrapsKeys = need{
		states: in(kmip.StateActive, kmip.StateDeactivated), right: kmip.OperationDecrypt, window: fromProcessStart,
		usage: kmip.CryptographicUsageMaskUnwrapKey,
	}
	authenticatesKeys = need{
		states: in(kmip.StateActive), right: kmip.OperationMAC, window: untilProtectStop, usage: kmip.CryptographicUsageMaskMACGenerate,
		ofType: map[kmip.ObjectType]need{
			kmip.ObjectTypePrivateKey: {
				states: in(kmip.StateActive), right: kmip.OperationSign, window: untilProtectStop, usage: kmip.CryptographicUsageMaskSign,
			},
			kmip.ObjectTypePublicKey: {states: in(kmip.StateActive), right: kmip.OperationSign},
		},
	}
	verifiesKeys = need{
		states: in(kmip.StateActive, kmip.StateDeactivated), right: kmip.OperationMACVerify, window: fromProcessStart,
		usage: kmip.CryptographicUsageMaskMACVerify,
		ofType: map[kmip.ObjectType]need{
			kmip.ObjectTypePublicKey: {
				states: in(kmip.StateActive, kmip.StateDeactivated), right: kmip.OperationSignatureVerify, window: fromProcessStart,
				usage: kmip.CryptographicUsageMaskVerify,
			},
			kmip.ObjectTypePrivateKey: {states: in(kmip.StateActive, kmip.StateDeactivated), right: kmip.OperationSignatureVerify},
		},
	}
)

// wrapsWith opens the keys of a Key Wrapping Specification, and gives the specification with the keys' own names and with the
// parameters that they are used with where nobody says which.
func (r *Request) wrapsWith(s *kmip.KeyWrappingSpecification) (*wrapper, *kmip.KeyWrappingSpecification, error) {
	if _, err := soft.CheckMethod(s.WrappingMethod, s.EncryptionKeyInformation, s.MACSignatureKeyInformation); err != nil {
		return nil, nil, err
	}
	w, stated := &wrapper{Wrapping: soft.Wrapping{Version: r.version}}, *s
	if e := s.EncryptionKeyInformation; e != nil {
		p, err := r.encryptsWith(w, e, wrapsKeys, true)
		if err != nil {
			return nil, nil, err
		}
		if e.CryptographicParameters == nil && len(kmip.All[kmip.CryptographicParameters](w.encryption.Attributes, ttlv.TagCryptographicParameters)) > 0 {
			p = nil // the key says them
		}
		stated.EncryptionKeyInformation = &kmip.EncryptionKeyInformation{
			UniqueIdentifier: kmip.UniqueIdentifier(w.encryption.UniqueIdentifier), CryptographicParameters: p,
		}
	}
	if m := s.MACSignatureKeyInformation; m != nil {
		if err := r.authenticatesWith(w, m, authenticatesKeys, kmip.ObjectTypePrivateKey); err != nil {
			return nil, nil, err
		}
		if err := matches(w.authentication, m.CryptographicParameters); err != nil {
			return nil, nil, err
		}
		stated.MACSignatureKeyInformation = &kmip.MACSignatureKeyInformation{
			UniqueIdentifier: kmip.UniqueIdentifier(w.authentication.UniqueIdentifier), CryptographicParameters: m.CryptographicParameters,
		}
	}
	return w, &stated, nil
}

// unwrapsWith opens the keys of Key Wrapping Data.
func (r *Request) unwrapsWith(d *kmip.KeyWrappingData) (*wrapper, error) {
	if _, err := soft.CheckMethod(d.WrappingMethod, d.EncryptionKeyInformation, d.MACSignatureKeyInformation); err != nil {
		return nil, err
	}
	w := &wrapper{Wrapping: soft.Wrapping{Version: r.version}}
	if e := d.EncryptionKeyInformation; e != nil {
		if _, err := r.encryptsWith(w, e, unwrapsKeys, false); err != nil {
			return nil, err
		}
	}
	if m := d.MACSignatureKeyInformation; m != nil {
		if err := r.authenticatesWith(w, m, verifiesKeys, kmip.ObjectTypePublicKey); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// encryptsWith opens the key that encrypts, and gives its parameters. Of a specification they have to be the key's own.
func (r *Request) encryptsWith(w *wrapper, e *kmip.EncryptionKeyInformation, n need, checked bool) (*kmip.CryptographicParameters, error) {
	o, err := r.openWrapping(e.UniqueIdentifier, n)
	if err != nil {
		return nil, err
	}
	if checked {
		if err := matches(o, e.CryptographicParameters); err != nil {
			return nil, err
		}
	}
	w.encryption, w.Encryption, w.Parameters = o, o.Key, parametersOf(o, e.CryptographicParameters)
	return w.Parameters, nil
}

// authenticatesWith opens the key that authenticates. A pair may be named by either half: the one that is meant is found by its
// link, if there is one.
func (r *Request) authenticatesWith(w *wrapper, m *kmip.MACSignatureKeyInformation, n need, half kmip.ObjectType) error {
	o, err := r.openWrapping(m.UniqueIdentifier, n)
	if err != nil {
		return err
	}
	t := o.ObjectType()
	w.Signs = t == kmip.ObjectTypePrivateKey || t == kmip.ObjectTypePublicKey
	if w.Signs && t != half {
		link := kmip.LinkTypePublicKeyLink
		if half == kmip.ObjectTypePrivateKey {
			link = kmip.LinkTypePrivateKeyLink
		}
		if uid, ok := linkOf(o, link); ok {
			if o, err = r.openWrapping(uid, n); err != nil {
				return err
			}
		} else if half == kmip.ObjectTypePrivateKey {
			return kmip.Errorf(kmip.ResultReasonInvalidField, "the public key %q has no Private Key Link: nothing is signed with it", o.UniqueIdentifier)
		}
	}
	if special, ok := n.ofType[o.ObjectType()]; ok {
		n = special
	}
	w.authentication, w.Authentication, w.authenticates = o, o.Key, n
	return nil
}

// linkOf is the identifier of an object's first link of a type.
func linkOf(o *kmip.Object, t kmip.LinkType) (kmip.UniqueIdentifier, bool) {
	for _, l := range kmip.All[kmip.Link](o.Attributes, ttlv.TagLink) {
		if l.LinkType == t {
			return l.LinkedObjectIdentifier, true
		}
	}
	return "", false
}

// openWrapping opens a key that wraps another: what keeps it from that has reasons of its own (KMIP 2.1 table 222).
func (r *Request) openWrapping(uid kmip.UniqueIdentifier, n need) (*kmip.Object, error) {
	o, err := r.openSecond(uid, n)
	if reason, ok := wrappingReasons[kmip.ReasonOf(err)]; err != nil && ok {
		return nil, kmip.Errorf(reason, "the wrapping key: %w", err)
	}
	if err == nil && o.Key == nil {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "object %q is no key", o.UniqueIdentifier)
	}
	return o, err
}

var wrappingReasons = map[kmip.ResultReason]kmip.ResultReason{
	kmip.ResultReasonObjectNotFound:  kmip.ResultReasonWrappingObjectNotFound,
	kmip.ResultReasonObjectArchived:  kmip.ResultReasonWrappingObjectArchived,
	kmip.ResultReasonObjectDestroyed: kmip.ResultReasonWrappingObjectDestroyed,
}

// matches refuses parameters that are none of the key's own (KMIP 2.1 §7.18). A key that has none is used with any: the standard
// would have it refused, and most keys would then wrap nothing.
func matches(o *kmip.Object, p *kmip.CryptographicParameters) error {
	own := kmip.All[kmip.CryptographicParameters](o.Attributes, ttlv.TagCryptographicParameters)
	if p == nil || len(own) == 0 {
		return nil
	}
	for i := range own {
		if own[i].Cover(p) {
			return nil
		}
	}
	return kmip.Errorf(kmip.ResultReasonBadCryptographicParameters, "%q has Cryptographic Parameters, and not those of the request", o.UniqueIdentifier)
}

// parametersOf are those that are given; else the key's first that encryption can be meant with (KMIP 1.4 §2.1.6); else NIST key
// wrap for AES, and the key's usual ones for any other.
func parametersOf(o *kmip.Object, p *kmip.CryptographicParameters) *kmip.CryptographicParameters {
	if p != nil {
		return p
	}
	own := kmip.All[kmip.CryptographicParameters](o.Attributes, ttlv.TagCryptographicParameters)
	for i := range own {
		if soft.Encrypts(&own[i]) {
			return &own[i]
		}
	}
	switch o.Attributes.Algorithm() {
	case kmip.CryptographicAlgorithmAES:
		return &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeNISTKeyWrap}
	case kmip.CryptographicAlgorithmRSA:
		return &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA256}
	}
	return nil
}

// wrap wraps material for a client. It counts as a use of the keys, of as many bytes as the wrapped form has.
func (r *Request) wrap(o *kmip.Object, s *kmip.KeyWrappingSpecification, w *wrapper, v *kmip.Value) (*kmip.Value, error) {
	attributes, err := r.named(o, s.AttributeName)
	if err != nil {
		return nil, err
	}
	defer clearMaterial(v)
	v, err = w.WrapValue(r.ctx, s, v, attributes)
	if err != nil {
		return nil, err
	}
	bytes := len(v.KeyBlock().KeyValue.Wrapped)
	if err := r.count(w.encryption, wrapsKeys, bytes); err != nil {
		return nil, err
	}
	return v, r.count(w.authentication, w.authenticates, bytes)
}

// count counts a use of a key.
func (r *Request) count(o *kmip.Object, n need, bytes int) error {
	if o == nil {
		return nil
	}
	units, err := units(o, bytes)
	if err != nil {
		return err
	}
	return r.spend(o, n, units)
}

// named lists the attributes that are wrapped with the material: those of that name that the object has.
func (r *Request) named(o *kmip.Object, names []string) (kmip.Attributes, error) {
	var list kmip.Attributes
	all := o.AllAttributes(r.now)
	for i, name := range names {
		want, err := kmip.NamedAttribute(name)
		if err != nil {
			return nil, err
		}
		for _, a := range all {
			if a.Is(want) && !list.Has(a) {
				list = append(list, a)
			}
		}
		if i == mostWrapped {
			return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "more than %d attributes cannot be wrapped with a key", mostWrapped)
		}
	}
	return list, nil
}

const mostWrapped = 100

// unwrap takes the wrapping off a key block, with the keys that it names. Material that is not wrapped stays as it is.
func (r *Request) unwrap(v *kmip.Value) (*kmip.Value, error) {
	block := v.KeyBlock()
	if block == nil || block.KeyWrappingData == nil {
		return v, nil
	}
	w, err := r.unwrapsWith(block.KeyWrappingData)
	if err != nil {
		return nil, err
	}
	return w.UnwrapValue(r.ctx, v)
}
