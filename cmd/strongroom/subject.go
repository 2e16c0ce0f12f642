package main

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"strings"

	"strongroom/kmip"
)

// nameParts are the parts of a distinguished name that can be typed. RFC 4514 §3, and the address of electronic mail.
var nameParts = map[string]asn1.ObjectIdentifier{
	"CN": {2, 5, 4, 3}, "SERIALNUMBER": {2, 5, 4, 5}, "C": {2, 5, 4, 6}, "L": {2, 5, 4, 7}, "ST": {2, 5, 4, 8}, "STREET": {2, 5, 4, 9},
	"O": {2, 5, 4, 10}, "OU": {2, 5, 4, 11}, "DC": {0, 9, 2342, 19200300, 100, 1, 25}, "UID": {0, 9, 2342, 19200300, 100, 1, 1},
	"EMAILADDRESS": {1, 2, 840, 113549, 1, 9, 1},
}

// ascii are the parts that are written as an IA5String (RFC 4519 §2.4, RFC 5280 appendix A.1).
var ascii = map[string]bool{"DC": true, "EMAILADDRESS": true}

// distinguishedName is the DER of a name, "C=DE, O=Example, CN=server": its parts in the order in which they are typed. A backslash
// before a comma makes it part of a value.
func distinguishedName(text string) ([]byte, error) {
	var name pkix.RDNSequence
	for _, part := range splitName(text) {
		key, value, ok := strings.Cut(part, "=")
		key, value = strings.ToUpper(strings.TrimSpace(key)), strings.TrimSpace(value)
		oid, known := nameParts[key]
		if !ok || !known || value == "" {
			return nil, misused("--subject-name %q: %q is no part of a name, as CN=server, O=Example or C=DE is one", text, strings.TrimSpace(part))
		}
		var v any = value
		if ascii[key] {
			der, err := asn1.MarshalWithParams(value, "ia5")
			if err != nil {
				return nil, misused("--subject-name %q: %s is written in ASCII", text, key)
			}
			v = asn1.RawValue{FullBytes: der}
		}
		name = append(name, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: v}})
	}
	return asn1.Marshal(name)
}

// splitName splits at commas.
func splitName(text string) (parts []string) {
	var part strings.Builder
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			part.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case r == ',':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteRune(r)
		}
	}
	return append(parts, part.String())
}

// alternativeNames are the tags of a GeneralName. RFC 5280 §4.2.1.6.
var alternativeNames = map[string]int{"email": 1, "dns": 2, "uri": 6, "ip": 7}

// alternativeName is the DER of a name, dns:example.com.
func alternativeName(text string) ([]byte, error) {
	kind, value, ok := strings.Cut(text, ":")
	tag, known := alternativeNames[strings.ToLower(kind)]
	if !ok || !known || value == "" {
		return nil, misused("--subject-alternative-name %q does not begin with dns:, ip:, email: or uri:", text)
	}
	data := []byte(value)
	if tag == alternativeNames["ip"] {
		ip := net.ParseIP(value)
		if data = ip.To4(); data == nil {
			data = ip
		}
		if data == nil {
			return nil, misused("--subject-alternative-name %q: that is no address", text)
		}
	}
	return asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: data})
}

// subject is the subject of a certificate.
func subject(name string, alternatives []string) (s kmip.X509CertificateSubject, err error) {
	if name != "" {
		if s.SubjectDistinguishedName, err = distinguishedName(name); err != nil {
			return s, err
		}
	}
	for _, a := range alternatives {
		der, err := alternativeName(a)
		if err != nil {
			return s, err
		}
		s.SubjectAlternativeName = append(s.SubjectAlternativeName, der)
	}
	return s, nil
}
