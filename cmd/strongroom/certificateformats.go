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

// ordered refuses a chain in which a certificate is not followed by its issuer's.
func ordered(chain []*kmip.Certificate) error {
	for i := range len(chain) - 1 {
		subject, err := x509.ParseCertificate(chain[i].CertificateValue)
		if err != nil {
			return err
		}
		issuer, err := x509.ParseCertificate(chain[i+1].CertificateValue)
		if err != nil {
			return err
		}
		if subject.CheckSignatureFrom(issuer) != nil {
			return fmt.Errorf("it has %d certificates, and number %d is not signed by number %d", len(chain), i+1, i+2)
		}
	}
	return nil
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
