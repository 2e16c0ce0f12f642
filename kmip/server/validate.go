package server

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"strongroom/kmip"
)

// longestChain is how many certificates one request may have validated.
const longestChain = 16

// validate answers Validate. KMIP 2.1 §6.1.57, RFC 5280 §6. A chain ends at an authority that the server trusts to sign its
// clients, or at a self-signed certificate that is kept here and named in the request: what a request brings itself is
// nothing to trust. Certificates on the revocation list of the server's clients do not hold.
func (r *Request) validate(_ *call, q *kmip.ValidateRequest) (*kmip.ValidateResponse, error) {
	uids, err := r.spread(q.UniqueIdentifiers)
	if err != nil {
		return nil, err
	}
	if n := len(q.Certificates) + len(uids); n == 0 || n > longestChain {
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
		kept, err := r.certificate(uid)
		if err != nil {
			return nil, err
		}
		x, err := c.add(kept)
		if err != nil {
			return nil, err
		}
		if selfSigned(x) {
			c.roots.AddCert(x)
		}
	}
	return &kmip.ValidateResponse{ValidityIndicator: c.validity()}, nil
}

// certificate opens a certificate that is kept here.
func (r *Request) certificate(uid kmip.UniqueIdentifier) (*kmip.Certificate, error) {
	o, err := r.openSecond(uid, need{states: existing, right: kmip.OperationValidate})
	if err != nil {
		return nil, err
	}
	if o.ObjectType() != kmip.ObjectTypeCertificate {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "%q is a %v, no certificate", o.UniqueIdentifier, o.ObjectType())
	}
	backend, err := r.backend(o.UniqueIdentifier)
	if err != nil {
		return nil, err
	}
	v, err := backend.Value(r.ctx, o)
	if err != nil {
		return nil, err
	}
	return v.Certificate, nil
}

// A chain is what a request has validated.
type chain struct {
	roots   *x509.CertPool
	given   []*x509.Certificate // in any order
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
	if c.date.Before(x.NotBefore) || c.date.After(x.NotAfter) || c.revoked != nil && c.revoked(x) {
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

// isWhole says whether a path has every certificate that was given.
func (c *chain) isWhole(path []*x509.Certificate) bool {
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
