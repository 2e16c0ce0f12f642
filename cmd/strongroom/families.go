package main

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"strings"

	"strongroom/kmip"
)

// A family is the keys of one sort that come in pairs.
type family struct {
	kind
	name     string // in answers
	generate string // how openssl is told to make one
	has      func(public crypto.PublicKey) bool

	formats     []pairFormat
	formatsHelp string
	signatures  []signatureAlgorithm
	signsHelp   string
}

var rsaFamily = family{
	kind:     kind{"rsa keys", "key", "an RSA key", "my_rsa_key", isPair},
	name:     "RSA",
	generate: "-algorithm RSA",
	formatsHelp: `  pkcs8-pem, pkcs8-der  a private key as PKCS#8, a public key as SubjectPublicKeyInfo: what openssl writes
  pkcs1-pem, pkcs1-der  either as PKCS#1
  spki-pem, spki-der    a public key as SubjectPublicKeyInfo; spki and x509 mean spki-pem
  json-ttlv             the object as KMIP has it`,
	formats: []pairFormat{
		{"pkcs8-pem", pkcs8, true}, {"pkcs8-der", pkcs8, false},
		{"pkcs1-pem", pkcs1, true}, {"pkcs1-der", pkcs1, false},
		{"spki-pem", spki, true}, {"spki-der", spki, false}, {"spki", spki, true}, {"x509", spki, true},
		{formatJSON, jsonTTLV, false},
	},
	signatures: []signatureAlgorithm{
		{"rsassa-pss", kmip.PaddingMethodPSS, false},
		{"rsassa-pkcs1v15", kmip.PaddingMethodPKCS1v15, false},
	},
	signsHelp: "The file may have any size: its hash is computed here, and signed in the server or in the HSM.",
	has:       func(public crypto.PublicKey) bool { _, ok := public.(*rsa.PublicKey); return ok },
}

var ecFamily = family{
	kind:     kind{"ec keys", "key", "an EC key", "my_ec_key", isPair},
	name:     "EC",
	generate: "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
	formatsHelp: `  pkcs8-pem, pkcs8-der  a private key as PKCS#8, a public key as SubjectPublicKeyInfo: what openssl writes
  sec1-pem, sec1-der    a private key on a NIST curve as SEC 1 has it
  spki-pem, spki-der    a public key as SubjectPublicKeyInfo; spki and x509 mean spki-pem
  json-ttlv             the object as KMIP has it`,
	formats: []pairFormat{
		{"pkcs8-pem", pkcs8, true}, {"pkcs8-der", pkcs8, false},
		{"sec1-pem", sec1, true}, {"sec1-der", sec1, false},
		{"spki-pem", spki, true}, {"spki-der", spki, false}, {"spki", spki, true}, {"x509", spki, true},
		{formatJSON, jsonTTLV, false},
	},
	signatures: []signatureAlgorithm{{ecdsaName, 0, false}, {ed25519Name, 0, true}},
	signsHelp: fmt.Sprintf(`A signature of ecdsa is in DER, and the file may have any size: its
hash is computed here, and signed in the server or in the HSM. A file for ed25519 is sent as it is, and has up to %d bytes.`, mostInServer),
	has: func(public crypto.PublicKey) bool {
		switch public.(type) {
		case *ecdsa.PublicKey, ed25519.PublicKey, *ecdh.PublicKey:
			return true
		}
		return false
	},
}

func isPair(v *kmip.Value) bool { return v.PrivateKey != nil || v.PublicKey != nil }

// topCommand is how a command beside the family's keys is typed.
func (f *family) topCommand(name string) string {
	return "strongroom " + strings.TrimSuffix(f.group, " keys") + " " + name
}
