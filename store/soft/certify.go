package soft

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// An Issue is what a certificate is made of (RFC 5280 §4). What the certificate request says comes before what the attributes say
// (KMIP 2.1 §6.1.6), and that before what the certificate that is replaced says.
type Issue struct {
	Issuer   *x509.Certificate // nil: the certificate signs itself
	Signer   crypto.Signer     // of the issuer's key
	Public   crypto.PublicKey
	Request  *x509.CertificateRequest // nil without one; its signature was verified
	Previous *x509.Certificate        // that is replaced; nil without one

	// Attributes may have X.509 Certificate Subject, the parts of the subject's name, Cryptographic Usage Mask, and the Digital
	// Signature Algorithm of the certificate; others are not looked at.
	Attributes          kmip.Attributes
	NotBefore, NotAfter time.Time // to the second

	Authorities bool               // certificates that sign others may be issued
	Usages      []x509.ExtKeyUsage // that a certificate may be for; one whose request does not say is for all of them
}

// Certificate issues the certificate, in DER. It verifies it as who relies on it would: the issuer's signature, its right to issue,
// its own dates and the names that it is constrained to.
func (i *Issue) Certificate() ([]byte, error) {
	t := &x509.Certificate{NotBefore: i.NotBefore, NotAfter: i.NotAfter, BasicConstraintsValid: true}
	for _, step := range []func(*x509.Certificate) error{i.key, i.subject, i.extensions, i.usage, i.algorithm} {
		if err := step(t); err != nil {
			return nil, err
		}
	}
	issuer := i.Issuer
	if issuer == nil {
		issuer = t
	}
	der, err := x509.CreateCertificate(rand.Reader, t, issuer, i.Public, i.Signer)
	if e := (*kmip.Error)(nil); errors.As(err, &e) {
		return nil, e
	}
	if err != nil {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, "signing the certificate: %v", err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, "the certificate that was made cannot be read: %v", err)
	}
	roots := x509.NewCertPool()
	if i.Issuer == nil {
		roots.AddCert(made)
	} else {
		roots.AddCert(i.Issuer)
	}
	_, err = made.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: i.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return nil, kmip.Errorf(kmip.ResultReasonPermissionDenied, "the issuer may not issue this certificate: %v", err)
	}
	return der, nil
}

// leastCertified is the shortest RSA key that is certified, in bits.
const leastCertified = leastRSA

// key sets the identifier of the public key (RFC 7093 §2, the first method).
func (i *Issue) key(t *x509.Certificate) error {
	switch k := i.Public.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < leastCertified {
			return invalid("an RSA key of %d bits is not certified: it needs %d", k.N.BitLen(), leastCertified)
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return invalid("a public key of that algorithm is not certified: RSA, ECDSA on a NIST curve and Ed25519 are")
	}
	der, err := x509.MarshalPKIXPublicKey(i.Public)
	if err != nil {
		return invalid("the public key cannot be written: %v", err)
	}
	var s spki
	if err := parseDER(der, &s); err != nil {
		return err
	}
	sum := sha256.Sum256(s.Key.Bytes)
	t.SubjectKeyId = sum[:20]
	return nil
}

// emptyName is a distinguished name without parts.
var emptyName = []byte{0x30, 0}

// subject sets the distinguished name.
func (i *Issue) subject(t *x509.Certificate) error {
	given, _ := kmip.Get[kmip.X509CertificateSubject](i.Attributes, ttlv.TagX509CertificateSubject)
	switch parts := subjectParts(i.Attributes); {
	case i.Request != nil && !slices.Equal(i.Request.RawSubject, emptyName):
		t.RawSubject = i.Request.RawSubject
	case len(given.SubjectDistinguishedName) > 0:
		if parseDER(given.SubjectDistinguishedName, new(pkix.RDNSequence)) != nil {
			return invalid("the Subject Distinguished Name is no name in DER")
		}
		t.RawSubject = given.SubjectDistinguishedName
	case len(parts) > 0:
		der, err := asn1.Marshal(parts)
		if err != nil {
			return invalid("the names of the subject cannot be written in DER: %v", err)
		}
		t.RawSubject = der
	case i.Previous != nil:
		t.RawSubject = i.Previous.RawSubject
	default:
		t.RawSubject = emptyName
	}
	return nil
}

// subjectParts is the name of the parts that have an attribute each.
func subjectParts(a kmip.Attributes) (name pkix.RDNSequence) {
	for n, dotted := range nameParts {
		oid := objectIdentifier(dotted)
		for _, text := range kmip.All[string](a, ttlv.TagCertificateSubjectCN+ttlv.Tag(n)) {
			name = append(name, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: text}})
		}
	}
	slices.Reverse(name) // the most general part stands first, the common name last
	return name
}

// objectIdentifier reads the dotted form.
func objectIdentifier(dotted string) (oid asn1.ObjectIdentifier) {
	for part := range strings.SplitSeq(dotted, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil
		}
		oid = append(oid, n)
	}
	return oid
}

// The extensions that certificates are issued with (RFC 5280 §4.2.1).
var (
	oidSubjectKeyIdentifier = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidKeyUsage             = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidAlternativeName      = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints     = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidExtendedKeyUsage     = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// extensions sets the alternative names and the constraints, and refuses to issue what it would leave out of a request.
func (i *Issue) extensions(t *x509.Certificate) error {
	var names []byte
	switch given, _ := kmip.Get[kmip.X509CertificateSubject](i.Attributes, ttlv.TagX509CertificateSubject); {
	case i.Request != nil:
		for _, x := range i.Request.Extensions {
			switch {
			case x.Id.Equal(oidAlternativeName):
				names = x.Value
			case !x.Id.Equal(oidSubjectKeyIdentifier) && !x.Id.Equal(oidKeyUsage) && !x.Id.Equal(oidBasicConstraints) && !x.Id.Equal(oidExtendedKeyUsage):
				return kmip.Errorf(kmip.ResultReasonInvalidCSR, "the certificate request asks for the extension %v, which is not issued", x.Id)
			}
		}
	case len(given.SubjectAlternativeName) > 0:
		var err error
		if names, err = generalNames(given.SubjectAlternativeName); err != nil {
			return err
		}
	}
	if names == nil && i.Previous != nil {
		names = extension(i.Previous.Extensions, oidAlternativeName)
	}
	empty := slices.Equal(t.RawSubject, emptyName)
	if names == nil && empty {
		return invalid("nothing says whom the certificate is for: neither a certificate request nor the attributes have a subject")
	}
	if names != nil {
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: oidAlternativeName, Critical: empty, Value: names})
	}
	return i.constraints(t)
}

// extension is the value of an extension, nil without it.
func extension(list []pkix.Extension, oid asn1.ObjectIdentifier) []byte {
	for _, x := range list {
		if x.Id.Equal(oid) {
			return x.Value
		}
	}
	return nil
}

// generalNames is the extension of alternative names that are given in DER one by one.
func generalNames(list [][]byte) ([]byte, error) {
	var names []asn1.RawValue
	for _, der := range list {
		var name asn1.RawValue
		if parseDER(der, &name) != nil {
			return nil, invalid("a Subject Alternative Name is no GeneralName in DER")
		}
		names = append(names, name)
	}
	return asn1.Marshal(names)
}

// constraints says whether the certificate is an authority's.
func (i *Issue) constraints(t *x509.Certificate) error {
	asked := struct {
		IsCA bool `asn1:"optional"`
		Most int  `asn1:"optional,default:-1"`
	}{Most: -1}
	if i.Request != nil {
		if der := extension(i.Request.Extensions, oidBasicConstraints); der != nil && parseDER(der, &asked) != nil {
			return errRequest
		}
	} else if i.Previous != nil && i.Previous.BasicConstraintsValid {
		asked.IsCA, asked.Most = i.Previous.IsCA, i.Previous.MaxPathLen
		if asked.Most == 0 && !i.Previous.MaxPathLenZero {
			asked.Most = -1
		}
	}
	if i.Issuer == nil { // which makes nobody trust it
		asked.IsCA = asked.IsCA || i.Attributes.UsageMask()&kmip.CryptographicUsageMaskCertificateSign != 0
	} else if asked.IsCA && !i.Authorities {
		return kmip.Errorf(kmip.ResultReasonPermissionDenied, "certificates for authorities, which sign others, are not issued here")
	}
	t.IsCA = asked.IsCA
	if asked.IsCA {
		t.MaxPathLen, t.MaxPathLenZero = asked.Most, asked.Most == 0
	}
	return nil
}

// usage sets what the key may be used for.
func (i *Issue) usage(t *x509.Certificate) error {
	t.KeyUsage = i.usual()
	mask := i.Attributes.UsageMask()
	switch {
	case i.Request != nil && extension(i.Request.Extensions, oidKeyUsage) != nil:
		var bits asn1.BitString
		if parseDER(extension(i.Request.Extensions, oidKeyUsage), &bits) != nil {
			return errRequest
		}
		t.KeyUsage = 0
		for n := range 9 {
			t.KeyUsage |= x509.KeyUsage(bits.At(n) << n)
		}
	case mask != 0:
		if u := usageOf(mask); u != 0 {
			t.KeyUsage = u
		}
	case i.Previous != nil && i.Previous.KeyUsage != 0:
		t.KeyUsage = i.Previous.KeyUsage
	case t.IsCA:
		t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	if t.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 && !t.IsCA {
		return kmip.Errorf(kmip.ResultReasonPermissionDenied, "a certificate that is no authority's does not sign certificates or revocation lists")
	}
	return i.extendedUsage(t)
}

// usual is the Key Usage of a certificate for which nobody says it.
func (i *Issue) usual() x509.KeyUsage {
	if _, ok := i.Public.(*rsa.PublicKey); ok {
		return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	}
	return x509.KeyUsageDigitalSignature
}

// usageOf is the Key Usage that a Cryptographic Usage Mask stands for. Who signs has a certificate to be verified with.
func usageOf(mask kmip.CryptographicUsageMask) (u x509.KeyUsage) {
	if mask&kmip.CryptographicUsageMaskSign != 0 {
		mask |= kmip.CryptographicUsageMaskVerify
	}
	for _, x := range keyUsages {
		if mask&x.mask != 0 && x.usage != x509.KeyUsageEncipherOnly && x.usage != x509.KeyUsageDecipherOnly {
			u |= x.usage
		}
	}
	return u
}

// extendedUsage sets what the certificate may be used for, within what it may.
func (i *Issue) extendedUsage(t *x509.Certificate) error {
	asked := []x509.ExtKeyUsage{}
	if i.Request != nil {
		der := extension(i.Request.Extensions, oidExtendedKeyUsage)
		var oids []asn1.ObjectIdentifier
		if der != nil && parseDER(der, &oids) != nil {
			return errRequest
		}
		for _, oid := range oids {
			n := slices.IndexFunc(ExtendedKeyUsages, func(u ExtendedKeyUsage) bool { return u.oid.Equal(oid) })
			if n < 0 {
				return kmip.Errorf(kmip.ResultReasonPermissionDenied, "certificates for the use %v are not issued here", oid)
			}
			asked = append(asked, ExtendedKeyUsages[n].Usage)
		}
	} else if i.Previous != nil {
		if len(i.Previous.UnknownExtKeyUsage) > 0 {
			return kmip.Errorf(kmip.ResultReasonPermissionDenied, "certificates for the use %v are not issued here", i.Previous.UnknownExtKeyUsage[0])
		}
		asked = i.Previous.ExtKeyUsage
	}
	for _, u := range asked {
		if !slices.Contains(i.Usages, u) {
			return kmip.Errorf(kmip.ResultReasonPermissionDenied, "certificates for the use %s are not issued here", usageName(u))
		}
	}
	t.ExtKeyUsage = asked
	if len(asked) == 0 && !t.IsCA {
		t.ExtKeyUsage = i.Usages
	}
	return nil
}

// An ExtendedKeyUsage is something that a certificate may be for, with its name in RFC 5280 §4.2.1.12.
type ExtendedKeyUsage struct {
	Usage x509.ExtKeyUsage
	Name  string
	oid   asn1.ObjectIdentifier
}

// ExtendedKeyUsages are those that certificates are issued for.
var ExtendedKeyUsages = []ExtendedKeyUsage{
	{x509.ExtKeyUsageServerAuth, "serverAuth", asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}},
	{x509.ExtKeyUsageClientAuth, "clientAuth", asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}},
	{x509.ExtKeyUsageCodeSigning, "codeSigning", asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}},
	{x509.ExtKeyUsageEmailProtection, "emailProtection", asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 4}},
	{x509.ExtKeyUsageTimeStamping, "timeStamping", asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}},
	{x509.ExtKeyUsageOCSPSigning, "OCSPSigning", asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 9}},
}

func usageName(u x509.ExtKeyUsage) string {
	for _, x := range ExtendedKeyUsages {
		if x.Usage == u {
			return x.Name
		}
	}
	return "that the replaced certificate has"
}

// algorithm sets the algorithm of the issuer's signature where the attributes name one; else it goes with the issuer's key.
func (i *Issue) algorithm(t *x509.Certificate) error {
	want, ok := kmip.Get[kmip.DigitalSignatureAlgorithm](i.Attributes, ttlv.TagDigitalSignatureAlgorithm)
	if !ok {
		return nil
	}
	if want == kmip.DigitalSignatureAlgorithmRSASSAPSS {
		t.SignatureAlgorithm = x509.SHA256WithRSAPSS
		return nil
	}
	for a, d := range certificateSignatures {
		if d == want && a != x509.SHA1WithRSA && a != x509.ECDSAWithSHA1 && a > x509.MD5WithRSA {
			t.SignatureAlgorithm = a
		}
	}
	if t.SignatureAlgorithm == 0 {
		return notSupported("certificates are not signed with %v", want)
	}
	return nil
}

// PublicKey is the public key in an object, of the algorithms that certificates are issued for.
func PublicKey(v *kmip.Value) (crypto.PublicKey, error) {
	c, err := parse(v, nil)
	if err != nil {
		return nil, err
	}
	switch k := c.key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		return k, nil
	}
	return nil, invalid("a public key of that algorithm is not certified: RSA, ECDSA on a NIST curve and Ed25519 are")
}

// SameKey says whether two public keys are one.
func SameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
