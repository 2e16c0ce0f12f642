package server

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"slices"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/soft"
)

// Certification is how certificates are issued. Who may issue with an authority holds the right to Certify with its private key.
type Certification struct {
	Issuer      string             // the certificate that signs where a request names none by a Certificate Link; "" for none
	Key         string             // its private key; "" for that of the certificate's Private Key Link
	Validity    time.Duration      // of a certificate whose request does not say, default 365 days
	Longest     time.Duration      // that a request may ask for, 0 for as long as the issuer is valid
	Authorities bool               // certificates for authorities may be issued
	Usages      []x509.ExtKeyUsage // that a certificate may be for; default to authenticate servers and clients
}

// NewCertification is c with defaults for what it leaves out.
func NewCertification(c Certification) *Certification {
	if c.Validity <= 0 {
		c.Validity = 365 * 24 * time.Hour
	}
	if c.Usages == nil {
		c.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	return &c
}

// certifies is the need of the private key that signs certificates. KMIP 2.1 §12.1.
var certifies = need{
	states: in(kmip.StateActive), right: kmip.OperationCertify, window: untilProtectStop, usage: kmip.CryptographicUsageMaskCertificateSign,
}

// certify answers Certify. KMIP 2.1 §6.1.6. The certificate belongs to the caller.
func (r *Request) certify(k *call, q *kmip.CertifyRequest) (*kmip.CertifyResponse, error) {
	if err := storable(q.Attributes, q.ProtectionStorageMasks); err != nil {
		return nil, err
	}
	csr, err := r.certificateRequest(q.CertificateRequestType, q.CertificateRequest)
	if err != nil {
		return nil, err
	}
	c := &issuing{given: q.Attributes, csr: csr}
	if q.UniqueIdentifier != "" || csr == nil || r.version < ttlv.V2_0 && r.placeholder != "" {
		if err := r.certifiedKey(k, c, q.UniqueIdentifier); err != nil {
			return nil, err
		}
	}
	if err := c.proven(); err != nil {
		return nil, err
	}
	if err := r.authority(c, nil); err != nil {
		return nil, err
	}
	if err := r.issueCertificate(k, c, c.given, nil); err != nil {
		return nil, err
	}
	if c.key != nil {
		if err := r.linkCertificate(c, ""); err != nil {
			r.discard(c.backend, c.made)
			return nil, err
		}
	}
	r.placeholder = c.made.UniqueIdentifier
	return &kmip.CertifyResponse{UniqueIdentifier: kmip.UniqueIdentifier(c.made.UniqueIdentifier)}, nil
}

// An issuing is one certificate on its way.
type issuing struct {
	given    kmip.Attributes
	csr      *x509.CertificateRequest // nil without one
	public   crypto.PublicKey
	key      *kmip.Object // the public key; nil where a certificate request has it and nothing here
	keyNeed  need         // that it was opened with
	previous *x509.Certificate

	issuer    *x509.Certificate // nil: the certificate signs itself
	issuerUID string
	signer    *kmip.Object // the issuer's private key
	made      *kmip.Object
	backend   kmip.Backend
}

// certificateRequest reads the certificate request in a request; nil without one.
func (r *Request) certificateRequest(t kmip.CertificateRequestType, value []byte) (*x509.CertificateRequest, error) {
	switch {
	case len(value) == 0 && r.version < ttlv.V1_1:
		return nil, kmip.Errorf(kmip.ResultReasonInvalidMessage, "KMIP 1.0 needs a Certificate Request")
	case len(value) == 0:
		return nil, nil
	case t == 0:
		return nil, kmip.Errorf(kmip.ResultReasonInvalidMessage, "a Certificate Request needs its Certificate Request Type")
	}
	return parseRequest(&kmip.CertificateRequest{CertificateRequestType: t, CertificateRequestValue: value})
}

// parseRequest reads a certificate request, and verifies that who made it has the private key.
func parseRequest(v *kmip.CertificateRequest) (*x509.CertificateRequest, error) {
	csr, err := soft.ParseCertificateRequest(v)
	switch {
	case err != nil:
		return nil, err
	case csr == nil:
		return nil, kmip.Errorf(kmip.ResultReasonFeatureNotSupported, "certificate requests of the type %v are not supported: PKCS#10 and PEM are", v.CertificateRequestType)
	case csr.CheckSignature() != nil:
		return nil, kmip.Errorf(kmip.ResultReasonInvalidCSR, "the certificate request is not signed with the key that it is for")
	}
	return csr, nil
}

// certifiedKey opens the public key that a request names, or the certificate request with its public key.
func (r *Request) certifiedKey(k *call, c *issuing, uid kmip.UniqueIdentifier) error {
	n := need{states: in(kmip.StatePreActive, kmip.StateActive)}
	o, err := r.openFor(k, uid, n)
	if err != nil {
		return err
	}
	n.right = kmip.OperationCertify
	switch o.ObjectType() {
	case kmip.ObjectTypePublicKey:
		c.key, c.keyNeed = o, n
	case kmip.ObjectTypeCertificateRequest:
		if c.csr != nil {
			return kmip.Errorf(kmip.ResultReasonInvalidField, "the request has a certificate request, and %q is another", o.UniqueIdentifier)
		}
		if c.csr, err = r.keptRequest(o); err != nil {
			return err
		}
		public, ok := linkOf(o, kmip.LinkTypePublicKeyLink)
		if !ok {
			return nil
		}
		if c.key, err = r.openSecond(public, n); err != nil {
			return err
		}
		c.keyNeed = n
	default:
		return kmip.Errorf(kmip.ResultReasonInvalidObjectType, "%q is a %v: a PublicKey or a CertificateRequest is certified", o.UniqueIdentifier, o.ObjectType())
	}
	if c.key.ObjectType() != kmip.ObjectTypePublicKey {
		return kmip.Errorf(kmip.ResultReasonInvalidObjectType, "%q is linked to as a public key, and is a %v", c.key.UniqueIdentifier, c.key.ObjectType())
	}
	v, err := r.material(c.key, false)
	if err != nil {
		return err
	}
	c.public, err = soft.PublicKey(v)
	return err
}

// keptRequest is the certificate request in an object.
func (r *Request) keptRequest(o *kmip.Object) (*x509.CertificateRequest, error) {
	v, err := r.material(o, false)
	if err != nil {
		return nil, err
	}
	if v.CertificateRequest == nil {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "%q is a %v, no CertificateRequest", o.UniqueIdentifier, o.ObjectType())
	}
	return parseRequest(v.CertificateRequest)
}

// proven takes the public key of the certificate request, which must be that of the object. Without a certificate request the
// request says what is issued.
func (c *issuing) proven() error {
	if t, ok := kmip.Get[kmip.CertificateType](c.given, ttlv.TagCertificateType); ok && t != kmip.CertificateTypeX509 {
		return kmip.Errorf(kmip.ResultReasonFeatureNotSupported, "certificates of the type %v are not issued: X.509 are", t)
	}
	switch {
	case c.csr == nil:
		return nil
	case c.public == nil:
		c.public = c.csr.PublicKey
	case !soft.SameKey(c.public, c.csr.PublicKey):
		return kmip.Errorf(kmip.ResultReasonInvalidCSR, "the certificate request is for another public key")
	}
	return nil
}

// authority opens the certificate and the private key that sign: those that the request names by a Certificate Link, else those of
// the certificate that is replaced, else those that are configured. A request that names a private key by a Private Key Link, and no
// certificate, has it sign a certificate of its own public key.
func (r *Request) authority(c *issuing, replaced *kmip.Object) (err error) {
	key := kmip.UniqueIdentifier("")
	uid, rest, ok := takeLink(c.given, kmip.LinkTypeCertificateLink)
	c.given = rest
	if own, has := linkOf(&kmip.Object{Attributes: c.given}, kmip.LinkTypePrivateKeyLink); has && !ok {
		c.signer, err = r.openSecond(own, certifies)
		return err
	}
	if !ok && replaced != nil {
		uid, ok = linkOf(replaced, kmip.LinkTypeCertificateLink)
		if own, has := linkOf(replaced, kmip.LinkTypePrivateKeyLink); has && !ok {
			c.signer, err = r.openSecond(own, certifies)
			return err
		}
	}
	policy := r.server.Certification.Load()
	var o *kmip.Object
	switch {
	case ok && string(uid) != policy.Issuer:
		o, err = r.openSecond(uid, need{states: in(kmip.StatePreActive, kmip.StateActive), right: kmip.OperationGet})
	case policy.Issuer != "":
		// The operator names it; it is public, and nothing is done with it but read it.
		key = kmip.UniqueIdentifier(policy.Key)
		o, err = r.server.Store.Object(r.ctx, policy.Issuer)
	default:
		return kmip.Errorf(kmip.ResultReasonInvalidField, "the request names no certificate to sign with: give a Link of the type Certificate Link, or have one configured")
	}
	if err != nil {
		return err
	}
	if key == "" {
		if key, ok = linkOf(o, kmip.LinkTypePrivateKeyLink); !ok {
			return kmip.Errorf(kmip.ResultReasonInvalidField, "the certificate %q has no Private Key Link to the key that signs for it", o.UniqueIdentifier)
		}
	}
	v, err := r.material(o, false)
	if err != nil {
		return err
	}
	if v.Certificate == nil || v.Certificate.CertificateType != kmip.CertificateTypeX509 {
		return kmip.Errorf(kmip.ResultReasonInvalidObjectType, "%q is no X.509 certificate", o.UniqueIdentifier)
	}
	if c.issuer, err = x509.ParseCertificate(v.Certificate.CertificateValue); err != nil {
		return kmip.Errorf(kmip.ResultReasonInvalidField, "the certificate %q cannot be read: %v", o.UniqueIdentifier, err)
	}
	if !c.issuer.IsCA {
		return kmip.Errorf(kmip.ResultReasonPermissionDenied, "%q is no certificate of an authority", o.UniqueIdentifier)
	}
	c.issuerUID = o.UniqueIdentifier
	c.signer, err = r.openSecond(key, certifies)
	return err
}

// takeLink takes a link of a type out of attributes.
func takeLink(a kmip.Attributes, t kmip.LinkType) (kmip.UniqueIdentifier, kmip.Attributes, bool) {
	i := slices.IndexFunc(a, func(x kmip.Attribute) bool {
		link, is := x.Value.(kmip.Link)
		return is && link.LinkType == t
	})
	if i < 0 {
		return "", a, false
	}
	rest := append(append(kmip.Attributes{}, a[:i]...), a[i+1:]...)
	return a[i].Value.(kmip.Link).LinkedObjectIdentifier, rest, true
}

// forCertificate says whether an attribute of a request is one that says what is in the certificate; those are derived from it again.
func forCertificate(a kmip.Attribute) bool {
	switch a.Tag {
	case ttlv.TagX509CertificateSubject, ttlv.TagCertificateType, ttlv.TagCertificateLength, ttlv.TagDigitalSignatureAlgorithm,
		ttlv.TagCryptographicAlgorithm, ttlv.TagCryptographicLength, ttlv.TagCryptographicDomainParameters:
		return true
	}
	return a.Tag >= ttlv.TagCertificateSubjectCN && a.Tag <= ttlv.TagCertificateSubjectDNQualifier
}

// issueCertificate makes the certificate and keeps it, with the attributes of the object, in place of an old one if there is one. Where the
// operation is on another object, the new one has an audit line of its own.
func (r *Request) issueCertificate(k *call, c *issuing, attributes kmip.Attributes, old *kmip.Object) (err error) {
	policy := r.server.Certification.Load()
	from, to, err := r.validity(c, attributes)
	if err != nil {
		return err
	}
	der, err := (&soft.Issue{
		Issuer: c.issuer, Signer: &signer{r.ctx, c.signer.Key, c.signs()}, Public: c.public, Request: c.csr, Previous: c.previous,
		Attributes: c.given, NotBefore: from, NotAfter: to, Authorities: policy.Authorities, Usages: policy.Usages,
	}).Certificate()
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(slices.Clone(attributes), forCertificate).With(ttlv.TagActivationDate, from).With(ttlv.TagDeactivationDate, to)
	certificate := &kmip.Certificate{CertificateType: kmip.CertificateTypeX509, CertificateValue: der}
	if err := c.asGiven(certificate); err != nil {
		return err
	}
	kept = kept.With(ttlv.TagCryptographicUsageMask, soft.CertificateUsage(certificate))
	new := &call{operation: k.operation}
	o, backend, err := r.prepare(new, kmip.ObjectTypeCertificate, kept)
	if err != nil {
		return err
	}
	if old != nil {
		o.Owners = old.Owners
		o.Attributes = successor(linked(o.Attributes, kmip.LinkTypeReplacedObjectLink, old.UniqueIdentifier), old.Attributes)
	}
	o.Attributes = o.Attributes.With(ttlv.TagOriginalCreationDate, r.now)
	if c.issuer != nil {
		o.Attributes = linkedOnce(o.Attributes, kmip.LinkTypeCertificateLink, c.issuerUID)
	} else {
		o.Attributes = linkedOnce(o.Attributes, kmip.LinkTypePrivateKeyLink, c.signer.UniqueIdentifier)
	}
	if c.key != nil {
		o.Attributes = linkedOnce(o.Attributes, kmip.LinkTypePublicKeyLink, c.key.UniqueIdentifier)
	}
	if err := r.count(c.signer, certifies, len(der)); err != nil {
		return err
	}
	began := time.Now()
	err = backend.Register(r.ctx, o, &kmip.Value{Certificate: certificate})
	if k.uid == "" {
		k.uid = o.UniqueIdentifier
	} else {
		r.record(new, began, err)
		k.made = o.UniqueIdentifier
	}
	c.made, c.backend = o, backend
	return err
}

// asGiven refuses a certificate that is not of the algorithm and the lengths that the request says.
func (c *issuing) asGiven(certificate *kmip.Certificate) error {
	found, err := soft.Attributes(&kmip.Value{Certificate: certificate})
	if err != nil {
		return err
	}
	for _, x := range c.given {
		switch x.Tag {
		case ttlv.TagCryptographicAlgorithm, ttlv.TagCryptographicLength, ttlv.TagCertificateLength:
			if !found.Has(x) {
				return kmip.Errorf(kmip.ResultReasonInvalidField, "the request says the %v %v, which the certificate would not have", x.Tag, x.Value)
			}
		}
	}
	return nil
}

// signs is the public half of the key that signs.
func (c *issuing) signs() crypto.PublicKey {
	if c.issuer == nil {
		return c.public
	}
	return c.issuer.PublicKey
}

// validity is from when to when the certificate is valid: from its Activation Date to its Deactivation Date where they are given,
// never longer than its issuer.
func (r *Request) validity(c *issuing, a kmip.Attributes) (from, to time.Time, err error) {
	policy := r.server.Certification.Load()
	from, ok := kmip.Get[time.Time](a, ttlv.TagActivationDate)
	if !ok {
		from = r.now
	}
	from = from.UTC().Truncate(time.Second)
	if c.issuer != nil && from.Before(c.issuer.NotBefore) {
		from = c.issuer.NotBefore
	}
	to, ok = kmip.Get[time.Time](a, ttlv.TagDeactivationDate)
	if !ok {
		to = from.Add(policy.Validity)
		if policy.Longest > 0 && policy.Validity > policy.Longest {
			to = from.Add(policy.Longest)
		}
		if c.issuer != nil && to.After(c.issuer.NotAfter) {
			to = c.issuer.NotAfter
		}
	}
	to = to.UTC().Truncate(time.Second)
	switch {
	case !to.After(from) || !to.After(r.now):
		err = kmip.Errorf(kmip.ResultReasonInvalidField, "the certificate would be valid from %v to %v: give an Activation Date, a Deactivation Date or an Offset", from, to)
	case c.issuer != nil && to.After(c.issuer.NotAfter):
		err = kmip.Errorf(kmip.ResultReasonInvalidField, "the certificate would be valid until %v, its issuer is until %v", to, c.issuer.NotAfter)
	case policy.Longest > 0 && to.Sub(from) > policy.Longest:
		err = kmip.Errorf(kmip.ResultReasonInvalidField, "a certificate is issued for %v at most", policy.Longest)
	}
	return from, to, err
}

// linkCertificate links the public key to its certificate, in place of the link to another.
func (r *Request) linkCertificate(c *issuing, instead string) error {
	return r.rewriteAs(c.key, c.keyNeed, func(o *kmip.Object) error {
		if instead != "" {
			o.Attributes = slices.DeleteFunc(slices.Clone(o.Attributes), func(x kmip.Attribute) bool {
				return x.Equal(kmip.Attribute{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: kmip.LinkTypeCertificateLink, LinkedObjectIdentifier: kmip.UniqueIdentifier(instead)}})
			})
		}
		if len(kmip.All[kmip.Link](o.Attributes, ttlv.TagLink)) >= mostLinks {
			return kmip.Errorf(kmip.ResultReasonServerLimitExceeded, "%q has %d links, more are not kept: delete the attribute Link where it is of no more use", o.UniqueIdentifier, mostLinks)
		}
		o.Attributes = linkedOnce(o.Attributes, kmip.LinkTypeCertificateLink, c.made.UniqueIdentifier)
		return nil
	}, kmip.Backend.Update)
}

// reCertify answers Re-certify. KMIP 2.1 §6.1.45. The new certificate belongs to the owner of the one it replaces, takes over its
// names and attributes, and begins without grants. It takes the right to Re-certify the public key too, where there is one here.
func (r *Request) reCertify(old *kmip.Object, q *kmip.ReCertifyRequest) (*kmip.ReCertifyResponse, error) {
	if err := storable(q.Attributes, q.ProtectionStorageMasks); err != nil {
		return nil, err
	}
	if q.Offset != nil && (q.Attributes.Contains(ttlv.TagActivationDate) || q.Attributes.Contains(ttlv.TagDeactivationDate)) {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidMessage, "the request has an Offset, and dates that it would set")
	}
	c := &issuing{given: q.Attributes}
	var err error
	if c.csr, err = r.renewalRequest(q); err != nil {
		return nil, err
	}
	if err := r.renewed(c, old); err != nil {
		return nil, err
	}
	if err := c.proven(); err != nil {
		return nil, err
	}
	if err := r.authority(c, old); err != nil {
		return nil, err
	}
	attributes, err := r.succession(old, c.given, q.Offset)
	if err != nil {
		return nil, err
	}
	if err := r.issueInPlace(c, attributes, old); err != nil {
		return nil, err
	}
	r.placeholder = c.made.UniqueIdentifier
	return &kmip.ReCertifyResponse{UniqueIdentifier: kmip.UniqueIdentifier(c.made.UniqueIdentifier)}, nil
}

// renewalRequest is the certificate request that a request brings or names; nil without one.
func (r *Request) renewalRequest(q *kmip.ReCertifyRequest) (*x509.CertificateRequest, error) {
	if q.CertificateRequestUniqueIdentifier == "" {
		return r.certificateRequest(q.CertificateRequestType, q.CertificateRequest)
	}
	if len(q.CertificateRequest) > 0 {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the request brings a certificate request, and names another")
	}
	o, err := r.openSecond(q.CertificateRequestUniqueIdentifier, need{states: existing, right: kmip.OperationReCertify})
	if err != nil {
		return nil, err
	}
	return r.keptRequest(o)
}

// renewed reads the certificate that is replaced, and opens its public key.
func (r *Request) renewed(c *issuing, old *kmip.Object) error {
	v, err := r.material(old, false)
	if err != nil {
		return err
	}
	if v.Certificate == nil || v.Certificate.CertificateType != kmip.CertificateTypeX509 {
		return kmip.Errorf(kmip.ResultReasonInvalidObjectType, "%q is no X.509 certificate: it cannot be certified again", old.UniqueIdentifier)
	}
	if c.previous, err = x509.ParseCertificate(v.Certificate.CertificateValue); err != nil {
		return kmip.Errorf(kmip.ResultReasonInvalidField, "the certificate %q cannot be read: %v", old.UniqueIdentifier, err)
	}
	c.public = c.previous.PublicKey
	public, ok := linkOf(old, kmip.LinkTypePublicKeyLink)
	if !ok {
		return nil
	}
	c.keyNeed = need{states: existing, right: kmip.OperationReCertify}
	c.key, err = r.openSecond(public, c.keyNeed)
	if kmip.ReasonOf(err) == kmip.ResultReasonObjectDestroyed {
		c.key, err = nil, nil
	}
	return err
}

// issueInPlace makes the certificate, and puts it in the place of the old one: all of it or nothing.
func (r *Request) issueInPlace(c *issuing, attributes kmip.Attributes, old *kmip.Object) error {
	if err := r.issueCertificate(&r.current, c, attributes, old); err != nil {
		return err
	}
	if err := r.retire(old, c.made.UniqueIdentifier); err != nil {
		r.discard(c.backend, c.made)
		return err
	}
	if c.key == nil {
		return nil
	}
	err := r.linkCertificate(c, old.UniqueIdentifier)
	if err == nil {
		return nil
	}
	if back := r.unretire(old); back != nil {
		r.server.Log.Error("a certificate was retired, and its replacement not linked", "request", r.number, "uid", old.UniqueIdentifier, "err", back)
	}
	r.discard(c.backend, c.made)
	return err
}

// A signer is the issuer's private key, wherever it is.
type signer struct {
	ctx    context.Context
	key    kmip.Key
	public crypto.PublicKey
}

// Public is the public half, as the issuer's certificate has it.
func (s *signer) Public() crypto.PublicKey { return s.public }

// Sign signs a digest, or the message itself where the options name no hash.
func (s *signer) Sign(_ io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	q := &kmip.SignRequest{CryptographicParameters: new(kmip.CryptographicParameters), DigestedData: digest}
	q.CryptographicParameters.HashingAlgorithm = hashNames[options.HashFunc()]
	switch s.public.(type) {
	case *rsa.PublicKey:
		q.CryptographicParameters.PaddingMethod = kmip.PaddingMethodPKCS1v15
		if _, ok := options.(*rsa.PSSOptions); ok {
			q.CryptographicParameters.PaddingMethod = kmip.PaddingMethodPSS
		}
	case *ecdsa.PublicKey:
	case ed25519.PublicKey:
		q.Data, q.DigestedData = digest, nil
	default:
		return nil, kmip.Errorf(kmip.ResultReasonBadCryptographicParameters, "the issuer's key is of an algorithm that signs no certificates")
	}
	response, err := s.key.Sign(s.ctx, q)
	if err != nil {
		return nil, err
	}
	return response.SignatureData, nil
}

var hashNames = map[crypto.Hash]kmip.HashingAlgorithm{
	crypto.SHA256: kmip.HashingAlgorithmSHA256, crypto.SHA384: kmip.HashingAlgorithmSHA384, crypto.SHA512: kmip.HashingAlgorithmSHA512,
}
