package server

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// longestChain is how many certificates one request may have validated.
const longestChain = 16

// validate answers Validate. KMIP 2.1 §6.1.57, RFC 5280 §6. A chain ends at an authority that the server trusts to sign its
// clients, at the one that it certifies with, or at a self-signed certificate that is kept here and that the request names, or a
// certificate that it names links to as its issuer: what a request brings itself is nothing to trust. What is missing between is
// taken from where those links lead. Certificates on the revocation list of the server's clients do not hold, and no kept one that
// was revoked.
func (r *Request) validate(_ *call, q *kmip.ValidateRequest) (*kmip.ValidateResponse, error) {
	uids, err := r.spread(q.UniqueIdentifiers)
	if err != nil {
		return nil, err
	}
	switch n := len(q.Certificates) + len(uids); {
	case n == 0: // KMIP 1.4 §11.25
		return nil, kmip.Errorf(kmip.ResultReasonInvalidMessage, "the request has no certificate")
	case n > longestChain:
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the request has %d certificates, must have 1 to %d", n, longestChain)
	}
	gate := r.server.Gate.state.Load()
	c := chain{roots: x509.NewCertPool(), date: r.now, revoked: gate.Revoked}
	if gate.ClientCA != nil {
		c.roots = gate.ClientCA.Clone()
	}
	if q.ValidityDate != nil {
		c.date = *q.ValidityDate
	}
	for i := range q.Certificates {
		if _, err := c.add(&q.Certificates[i]); err != nil {
			return nil, err
		}
	}
	for _, uid := range uids {
		o, kept, err := r.certificate(uid)
		if err != nil {
			return nil, err
		}
		x, err := c.add(kept)
		if err != nil {
			return nil, err
		}
		c.keep(o, x)
		r.follow(&c, o)
	}
	if err := r.ownAuthority(&c); err != nil {
		return nil, err
	}
	return &kmip.ValidateResponse{ValidityIndicator: c.validity()}, nil
}

// follow adds the certificates that a kept one links to as its issuer's, and theirs, as far as the caller may validate them.
func (r *Request) follow(c *chain, o *kmip.Object) {
	for range longestChain {
		uid, ok := linkOf(o, kmip.LinkTypeCertificateLink)
		if !ok {
			return
		}
		issuer, kept, err := r.certificate(uid)
		if err != nil || kept == nil || kept.CertificateType != kmip.CertificateTypeX509 {
			return
		}
		x, err := x509.ParseCertificate(kept.CertificateValue)
		if err != nil || slices.ContainsFunc(c.linked, x.Equal) {
			return
		}
		c.linked = append(c.linked, x)
		c.keep(issuer, x)
		o = issuer
	}
}

// ownAuthority adds the certificate that the server certifies with. It is public, and read as the configuration names it.
func (r *Request) ownAuthority(c *chain) error {
	uid := r.server.Certification.Load().Issuer
	if uid == "" {
		return nil
	}
	o, err := r.server.Store.Object(r.ctx, uid)
	if err != nil || o.ObjectType() != kmip.ObjectTypeCertificate || !existing.has(o.State(r.now)) {
		return nil // not made yet, or gone
	}
	v, err := r.material(o, false)
	if err != nil {
		return err
	}
	x, err := x509.ParseCertificate(v.Certificate.CertificateValue)
	if err != nil {
		return nil
	}
	c.linked = append(c.linked, x)
	c.keep(o, x)
	return nil
}

// certificate opens a certificate that is kept here.
func (r *Request) certificate(uid kmip.UniqueIdentifier) (*kmip.Object, *kmip.Certificate, error) {
	o, err := r.openSecond(uid, need{states: existing, right: kmip.OperationValidate})
	if err != nil {
		return nil, nil, err
	}
	if o.ObjectType() != kmip.ObjectTypeCertificate {
		return nil, nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "%q is a %v, no certificate", o.UniqueIdentifier, o.ObjectType())
	}
	v, err := r.material(o, false)
	if err != nil {
		return nil, nil, err
	}
	return o, v.Certificate, nil
}

// A chain is what a request has validated.
type chain struct {
	roots   *x509.CertPool
	given   []*x509.Certificate // in any order
	linked  []*x509.Certificate // kept here, that may stand between the given ones and a root
	ended   []*x509.Certificate // kept here, and revoked
	date    time.Time
	revoked func(*x509.Certificate) bool // nil: no list
}

// add parses a certificate. One that is given twice counts once.
func (c *chain) add(k *kmip.Certificate) (*x509.Certificate, error) {
	if k == nil || k.CertificateType != kmip.CertificateTypeX509 {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the certificate is not of type X.509")
	}
	x, err := x509.ParseCertificate(k.CertificateValue)
	if err != nil {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the certificate cannot be read: %v", err)
	}
	if !slices.ContainsFunc(c.given, x.Equal) {
		c.given = append(c.given, x)
	}
	return x, nil
}

// keep notes of a certificate that is kept here whether it is an anchor, and whether it was revoked: a compromised one never held.
func (c *chain) keep(o *kmip.Object, x *x509.Certificate) {
	if selfSigned(x) {
		c.roots.AddCert(x)
	}
	compromised := o.State(c.date) == kmip.StateCompromised
	ended, has := kmip.Get[time.Time](o.Attributes, ttlv.TagDeactivationDate)
	if compromised || o.Attributes.Contains(ttlv.TagRevocationReason) && (!has || !c.date.Before(ended)) {
		c.ended = append(c.ended, x)
	}
}

// validity is Invalid where something is wrong with a certificate, with a signature or with the chain, and Unknown where
// nothing is but that no authority is known for it.
func (c *chain) validity() kmip.ValidityIndicator {
	var leaf *x509.Certificate
	others := x509.NewCertPool()
	for _, x := range c.given {
		if !c.holds(x) {
			return kmip.ValidityIndicatorInvalid
		}
		others.AddCert(x)
		if c.issues(x) {
			continue
		}
		if leaf != nil {
			return kmip.ValidityIndicatorInvalid // two chains
		}
		leaf = x
	}
	if leaf == nil {
		return kmip.ValidityIndicatorInvalid // a circle
	}
	for _, x := range c.linked {
		others.AddCert(x)
	}
	paths, err := leaf.Verify(x509.VerifyOptions{
		Roots: c.roots, Intermediates: others, CurrentTime: c.date, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return kmip.ValidityIndicatorUnknown
	case err == nil && slices.ContainsFunc(paths, c.isWhole):
		return kmip.ValidityIndicatorValid
	}
	return kmip.ValidityIndicatorInvalid
}

// holds says whether a certificate is valid at the date, not revoked, and signed by one of those that bear its issuer's name,
// if there is one.
func (c *chain) holds(x *x509.Certificate) bool {
	if c.date.Before(x.NotBefore) || c.date.After(x.NotAfter) || c.isRevoked(x) {
		return false
	}
	named := false
	for _, issuer := range c.given {
		if bytes.Equal(issuer.RawSubject, x.RawIssuer) {
			named = true
			if x.CheckSignatureFrom(issuer) == nil {
				return true
			}
		}
	}
	return !named || selfSigned(x)
}

// issues says whether another of the certificates bears x's name as its issuer.
func (c *chain) issues(x *x509.Certificate) bool {
	return slices.ContainsFunc(c.given, func(y *x509.Certificate) bool {
		return !y.Equal(x) && bytes.Equal(y.RawIssuer, x.RawSubject)
	})
}

// isRevoked says whether a certificate is on the revocation list, or was revoked here.
func (c *chain) isRevoked(x *x509.Certificate) bool {
	return c.revoked != nil && c.revoked(x) || slices.ContainsFunc(c.ended, x.Equal)
}

// isWhole says whether a path has every certificate that was given, and none that was revoked.
func (c *chain) isWhole(path []*x509.Certificate) bool {
	if slices.ContainsFunc(path, c.isRevoked) {
		return false
	}
	for _, x := range c.given {
		if !slices.ContainsFunc(path, x.Equal) {
			return false
		}
	}
	return true
}

// selfSigned says whether a certificate signs itself.
func selfSigned(x *x509.Certificate) bool {
	return bytes.Equal(x.RawSubject, x.RawIssuer) && x.CheckSignature(x.SignatureAlgorithm, x.RawTBSCertificate, x.Signature) == nil
}
