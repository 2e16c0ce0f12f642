package server

import (
	"crypto/x509"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/soft"
)

// container gives a private key with its certificates, or a certificate with its issuers, in a PKCS #12 container under the password
// that it links to. KMIP 2.1 §6.1.19; KMIP 1.4 §4.11 has it of private keys. One that was registered as a container is given back
// as it is.
func (r *Request) container(o *kmip.Object, w wish) (*kmip.Value, error) {
	switch {
	case w.wrapping != nil:
		return nil, kmip.Errorf(kmip.ResultReasonKeyWrapTypeNotSupported, "a PKCS#12 container is not wrapped by a key: a password protects it")
	case !o.Attributes.Extractable() || o.Attributes.Sensitive():
		return nil, sensitive(o)
	}
	v, err := r.material(o, w.wrap == kmip.KeyWrapTypeNotWrapped)
	if err != nil {
		return nil, err
	}
	if block := v.KeyBlock(); block != nil && block.KeyFormatType == kmip.KeyFormatTypePKCS12 {
		return v, nil
	}
	defer clearMaterial(v)
	password, err := r.passwordOf(o)
	if err != nil {
		return nil, err
	}
	defer clear(password)
	base, err := r.baseCertificate(o)
	if err != nil {
		return nil, err
	}
	chain, err := r.issuersOf(base)
	if err != nil {
		return nil, err
	}
	name, ok := kmip.Get[string](o.Attributes, ttlv.TagPKCS12FriendlyName)
	if !ok {
		name = "alias"
	}
	if v.PrivateKey == nil {
		der, err := soft.PKCS12(nil, chain, name, string(password))
		return &kmip.Value{Certificate: &kmip.Certificate{CertificateType: kmip.CertificateTypeX509, CertificateValue: der}}, err
	}
	der, err := soft.PKCS12(v, chain, name, string(password))
	if err != nil {
		return nil, err
	}
	block := v.PrivateKey.KeyBlock
	block.KeyFormatType, block.KeyValue = kmip.KeyFormatTypePKCS12, &kmip.KeyValue{Material: der}
	return &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: block}}, nil
}

// passwordOf is the password that an object links to.
func (r *Request) passwordOf(o *kmip.Object) ([]byte, error) {
	bad := func(what string) error {
		return kmip.Errorf(kmip.ResultReasonBadPassword, "%q %s", o.UniqueIdentifier, what)
	}
	uid, err := onlyLink(o, kmip.LinkTypePKCS12PasswordLink)
	if err != nil || uid == "" {
		return nil, bad("needs one PKCS#12 Password Link")
	}
	p, err := r.openSecond(uid, need{states: in(kmip.StateActive), right: kmip.OperationGet})
	if err != nil {
		return nil, bad("links to a PKCS#12 password that is not there, or not Active")
	}
	if p.Attributes.Sensitive() || !p.Attributes.Extractable() {
		return nil, sensitive(p)
	}
	v, err := r.material(p, false)
	if err != nil {
		return nil, err
	}
	s := v.SecretData
	if s == nil || s.SecretDataType != kmip.SecretDataTypePassword || s.KeyBlock.KeyWrappingData != nil || s.KeyBlock.KeyValue.Components != nil {
		return nil, bad("links to a PKCS#12 password that is no Secret Data of the type Password in clear")
	}
	return s.KeyBlock.KeyValue.Material, nil
}

// onlyLink is an object's one link of a type; "" without any.
func onlyLink(o *kmip.Object, t kmip.LinkType) (kmip.UniqueIdentifier, error) {
	var found kmip.UniqueIdentifier
	for _, l := range kmip.All[kmip.Link](o.Attributes, ttlv.TagLink) {
		if l.LinkType != t {
			continue
		}
		if found != "" {
			return "", kmip.Errorf(kmip.ResultReasonInvalidField, "%q has more than one %v", o.UniqueIdentifier, t)
		}
		found = l.LinkedObjectIdentifier
	}
	return found, nil
}

// baseCertificate is the certificate that a container begins with: the object itself, or that of the private key's public half, by
// its PKCS#12 Certificate Link or, as KMIP 1.4 has it, by its Certificate Link.
func (r *Request) baseCertificate(o *kmip.Object) (*kmip.Object, error) {
	switch o.ObjectType() {
	case kmip.ObjectTypeCertificate:
		return o, nil
	case kmip.ObjectTypePrivateKey:
	default:
		return nil, kmip.Errorf(kmip.ResultReasonKeyFormatTypeNotSupported, "a %v is not put into a PKCS#12 container", o.ObjectType())
	}
	n := need{states: existing, right: kmip.OperationGet}
	uid, err := onlyLink(o, kmip.LinkTypePublicKeyLink)
	if err != nil {
		return nil, err
	}
	if uid == "" {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "%q has no Public Key Link, by which its certificate is found", o.UniqueIdentifier)
	}
	public, err := r.openSecond(uid, n)
	if err != nil {
		return nil, err
	}
	for _, t := range []kmip.LinkType{kmip.LinkTypePKCS12CertificateLink, kmip.LinkTypeCertificateLink} {
		if uid, err = onlyLink(public, t); err != nil || uid != "" {
			break
		}
	}
	switch {
	case err != nil:
		return nil, err
	case uid == "":
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "%q has neither a PKCS#12 Certificate Link nor a Certificate Link", public.UniqueIdentifier)
	}
	return r.openSecond(uid, n)
}

// issuersOf is a certificate with those that its Certificate Links lead to.
func (r *Request) issuersOf(o *kmip.Object) (chain []*x509.Certificate, err error) {
	for {
		v, err := r.material(o, false)
		if err != nil {
			return nil, err
		}
		if v.Certificate == nil || v.Certificate.CertificateType != kmip.CertificateTypeX509 {
			return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "%q is no X.509 certificate", o.UniqueIdentifier)
		}
		x, err := x509.ParseCertificate(v.Certificate.CertificateValue)
		if err != nil {
			return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the certificate %q cannot be read: %v", o.UniqueIdentifier, err)
		}
		chain = append(chain, x)
		uid, err := onlyLink(o, kmip.LinkTypeCertificateLink)
		if err != nil || uid == "" {
			return chain, err
		}
		if len(chain) == longestChain {
			return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the chain of certificates is longer than %d, or a circle", longestChain)
		}
		if o, err = r.openSecond(uid, need{states: existing, right: kmip.OperationGet}); err != nil {
			return nil, err
		}
	}
}
