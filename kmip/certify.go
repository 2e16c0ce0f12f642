package kmip

import "strongroom/kmip/ttlv"

// CertifyRequest asks for a certificate of a public key: of the one that it names, of the one in the certificate request that it
// names (2.x) or brings. KMIP 2.1 §6.1.6, KMIP 1.4 §4.7.
type CertifyRequest struct {
	UniqueIdentifier       UniqueIdentifier       `ttlv:"UniqueIdentifier"`
	CertificateRequestType CertificateRequestType `ttlv:"CertificateRequestType,omitempty"`
	CertificateRequest     []byte                 `ttlv:"CertificateRequest,1.0-1.4,omitempty|CertificateRequestValue,2.0+,omitempty"`
	Attributes             Attributes             `ttlv:"TemplateAttribute,1.0-1.4|Attributes,2.0+"`
	ProtectionStorageMasks ProtectionStorageMasks `ttlv:"ProtectionStorageMasks,2.0+|ProtectionStorageMask,2.0+"`
}

// CertifyResponse names the certificate.
type CertifyResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// ReCertifyRequest asks for a certificate in place of another, for the same public key. KMIP 2.1 §6.1.45, KMIP 1.4 §4.8.
type ReCertifyRequest struct {
	UniqueIdentifier                   UniqueIdentifier       `ttlv:"UniqueIdentifier"`
	CertificateRequestUniqueIdentifier UniqueIdentifier       `ttlv:"CertificateRequestUniqueIdentifier,2.0+"`
	CertificateRequestType             CertificateRequestType `ttlv:"CertificateRequestType,omitempty"`
	CertificateRequest                 []byte                 `ttlv:"CertificateRequest,1.0-1.4,omitempty|CertificateRequestValue,2.0+,omitempty"`
	Offset                             *ttlv.Interval         `ttlv:"Offset"` // from the Initial Date to the Activation Date of the new certificate
	Attributes                         Attributes             `ttlv:"TemplateAttribute,1.0-1.4|Attributes,2.0+"`
	ProtectionStorageMasks             ProtectionStorageMasks `ttlv:"ProtectionStorageMasks,2.0+|ProtectionStorageMask,2.0+"`
}

// ReCertifyResponse names the new certificate.
type ReCertifyResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// Target is the public key, or the certificate request.
func (r *CertifyRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the certificate to replace.
func (r *ReCertifyRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// TemplateAttributes are the request's attributes.
func (r *CertifyRequest) TemplateAttributes() []*Attributes { return []*Attributes{&r.Attributes} }

// TemplateAttributes are the request's attributes.
func (r *ReCertifyRequest) TemplateAttributes() []*Attributes { return []*Attributes{&r.Attributes} }
