package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"strongroom/kmip"
)

// Formats of files with certificates, beside json-ttlv.
const (
	formatPEM   = "pem"
	formatDER   = "der"
	formatChain = "chain"
)

// certificateFormats write certificates, of which there is one but in a chain.
var certificateFormats = map[string]func([]*kmip.Value) ([]byte, error){
	formatPEM:   certificatesPEM,
	formatChain: certificatesPEM,
	formatDER:   func(v []*kmip.Value) ([]byte, error) { return derOf(v[0].Certificate) },
	formatJSON:  func(v []*kmip.Value) ([]byte, error) { return jsonFile(v[0]) },
}

const certificateLabel = "CERTIFICATE"

func certificatesPEM(chain []*kmip.Value) ([]byte, error) {
	var text []byte
	for _, v := range chain {
		der, err := derOf(v.Certificate)
		if err != nil {
			return nil, err
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: certificateLabel, Bytes: der})...)
	}
	return text, nil
}

// derOf is an X.509 certificate in DER.
func derOf(c *kmip.Certificate) ([]byte, error) {
	if c.CertificateType != kmip.CertificateTypeX509 {
		return nil, fmt.Errorf("it is a certificate of type %v: only json-ttlv can hold it", c.CertificateType)
	}
	return c.CertificateValue, nil
}

// certificatesOf reads the certificates in a file: several in PEM, one in DER or as json-ttlv.
func certificatesOf(data []byte) ([]*kmip.Certificate, error) {
	if bytes.HasPrefix(data, []byte("{")) {
		v, err := jsonValue(data)
		if err == nil {
			err = certificateKind.check(v)
		}
		if err != nil {
			return nil, err
		}
		return []*kmip.Certificate{v.Certificate}, nil
	}
	block, rest := pem.Decode(data)
	if block == nil {
		c, err := certificateOf(data)
		return []*kmip.Certificate{c}, err
	}
	var chain []*kmip.Certificate
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != certificateLabel {
			return nil, fmt.Errorf("it has a %s beside certificates: take that out (keys come with rsa keys import and ec keys import)", block.Type)
		}
		c, err := certificateOf(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// certificateOf reads one in DER.
func certificateOf(der []byte) (*kmip.Certificate, error) {
	if _, err := x509.ParseCertificate(der); err != nil {
		return nil, errors.New("it is no X.509 certificate in PEM or DER")
	}
	return &kmip.Certificate{CertificateType: kmip.CertificateTypeX509, CertificateValue: der}, nil
}

// ordered is a chain that begins with the first certificate, each followed by its issuer's. It refuses what does not belong to it.
func ordered(given []*kmip.Certificate) ([]*kmip.Certificate, error) {
	parsed := make([]*x509.Certificate, len(given))
	for i, c := range given {
		var err error
		if parsed[i], err = x509.ParseCertificate(c.CertificateValue); err != nil {
			return nil, err
		}
	}
	chain, last := given[:1:1], 0
	taken := map[int]bool{0: true}
	for len(chain) < len(given) {
		next := -1
		for i := range given {
			if !taken[i] && parsed[last].CheckSignatureFrom(parsed[i]) == nil {
				next = i
			}
		}
		if next < 0 {
			return nil, fmt.Errorf("it has %d certificates, and none of them is the issuer's of %q: a chain begins with the certificate that issued no other", len(given), parsed[last].Subject)
		}
		chain, last, taken[next] = append(chain, given[next]), next, true
	}
	return chain, nil
}

// usageOfCertificate is what its public key is for, where it is one that this program reads.
func usageOfCertificate(c *kmip.Certificate) kmip.CryptographicUsageMask {
	x, err := x509.ParseCertificate(c.CertificateValue)
	if err != nil {
		return kmip.CryptographicUsageMaskVerify
	}
	algorithm, _ := described(x.PublicKey)
	return counterpart(usageOfPrivate(algorithm))
}
