package hsm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/asn1"
	"slices"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// Ed25519 in a token: PKCS#11 3.0 (Current Mechanisms) §2.3.5 and following, which modules for 2.40 have under the same numbers.
// Other curves of that form are not used.
const (
	ckkEdwards        = 0x40
	ckmEdwardsPairGen = 0x1055
	ckmEdDSA          = 0x1057
)

// edwardsBits is the length that KMIP has for keys on the curve.
const edwardsBits = 256

// edwardsForms are the forms of CKA_EC_PARAMS for the curve: its OID (RFC 8410 §3) and its name. A module may take one only.
var edwardsForms = []string{"\x06\x03\x2B\x65\x70", "\x13\x0Cedwards25519"}

// onEdwards says whether CKA_EC_PARAMS name the curve.
func onEdwards(parameters []byte) bool {
	return slices.Contains(edwardsForms, string(parameters))
}

// edwardsPoint reads CKA_EC_POINT: the bytes of RFC 8032, or as some tokens have them within an OCTET STRING or a BIT STRING. It
// answers an untyped nil for what is no key.
func edwardsPoint(value []byte) crypto.PublicKey {
	var octets []byte
	var bits asn1.BitString
	if rest, err := asn1.Unmarshal(value, &octets); err == nil && len(rest) == 0 {
		value = octets
	} else if rest, err := asn1.Unmarshal(value, &bits); err == nil && len(rest) == 0 {
		value = bits.Bytes
	}
	if len(value) != ed25519.PublicKeySize {
		return nil
	}
	return ed25519.PublicKey(bytes.Clone(value))
}

// edwardsSeed reads CKA_VALUE of a private key; nil for what is none.
func edwardsSeed(value []byte) ed25519.PrivateKey {
	var octets []byte
	if rest, err := asn1.Unmarshal(value, &octets); err == nil && len(rest) == 0 {
		value = octets
	}
	if len(value) != ed25519.SeedSize {
		return nil
	}
	return ed25519.NewKeyFromSeed(value)
}

// edwardsParameters are the attributes of a new key, with the parameters in the first form: spelled has the form of the token.
func edwardsParameters() template {
	return template{{pkcs11.CKA_KEY_TYPE, number(ckkEdwards)}, {pkcs11.CKA_EC_PARAMS, []byte(edwardsForms[0])}}
}

// edwardsPrivateTemplate is the material of a private key.
func edwardsPrivateTemplate(k ed25519.PrivateKey) template {
	return append(edwardsParameters(), template{{pkcs11.CKA_CLASS, number(pkcs11.CKO_PRIVATE_KEY)}, {pkcs11.CKA_VALUE, k.Seed()}}...)
}

// edwardsPublicTemplate is the material of a public key.
func edwardsPublicTemplate(k ed25519.PublicKey) (template, error) {
	der, err := asn1.Marshal([]byte(k))
	return append(edwardsParameters(), template{{pkcs11.CKA_CLASS, number(pkcs11.CKO_PUBLIC_KEY)}, {pkcs11.CKA_EC_POINT, der}}...), err
}

// spelled are templates with the parameters of the curve in the form that the token takes, where they are of a key on it.
func (c *connection) spelled(templates ...template) error {
	for _, t := range templates {
		for i := range t {
			if t[i].Type != pkcs11.CKA_EC_PARAMS || !onEdwards(t[i].Value) {
				continue
			}
			if c.proof.edwards == 0 {
				return kmip.Errorf(kmip.ResultReasonOperationNotSupported, "slot %d: the token does not do Ed25519 as the standard has it", c.slot.Number)
			}
			t[i].Value = []byte(edwardsForms[c.proof.edwards-1])
		}
	}
	return nil
}

// An edKey is a private key on the curve; it signs in the token.
type edKey struct{ *key }

// An edPublicKey verifies in software.
type edPublicKey struct{ *key }

// edMessage is the data of a request to sign or verify: Ed25519 signs the data themselves (RFC 8032 §5.1), never a digest.
func (k *key) edMessage(first, last *bool, correlation []byte, given *kmip.CryptographicParameters, data, digested []byte) ([]byte, error) {
	if err := whole(first, last, correlation); err != nil {
		return nil, err
	}
	p := k.parameters(given, forSigning)
	switch {
	case p.CryptographicAlgorithm != 0 && p.CryptographicAlgorithm != kmip.CryptographicAlgorithmEd25519:
		return nil, contradiction("the key is Ed25519, the parameters are for %v", p.CryptographicAlgorithm)
	case len(digested) > 0:
		return nil, invalid("Ed25519 signs Data, not Digested Data")
	case data == nil:
		return nil, kmip.Errorf(kmip.ResultReasonMissingData, "the request has no Data")
	}
	return data, surplus(p, "Ed25519", describe(p) != "")
}

// Sign makes an Ed25519 signature of 64 bytes.
func (k *edKey) Sign(ctx context.Context, r *kmip.SignRequest) (*kmip.SignResponse, error) {
	data, err := k.edMessage(r.InitIndicator, r.FinalIndicator, r.CorrelationValue, r.CryptographicParameters, r.Data, r.DigestedData)
	if err != nil {
		return nil, err
	}
	signature, err := k.sign(ctx, mechanism{Type: ckmEdDSA}, data, ed25519.SignatureSize, func(p *proof) bool { return p.edwards != 0 })
	if err != nil {
		return nil, err
	}
	if len(signature) != ed25519.SignatureSize {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, signingFailed)
	}
	return &kmip.SignResponse{UniqueIdentifier: r.UniqueIdentifier, SignatureData: signature}, nil
}

// SignatureVerify says whether a signature holds.
func (k *edPublicKey) SignatureVerify(_ context.Context, r *kmip.SignatureVerifyRequest) (*kmip.SignatureVerifyResponse, error) {
	data, err := k.edMessage(r.InitIndicator, r.FinalIndicator, r.CorrelationValue, r.CryptographicParameters, r.Data, r.DigestedData)
	if err != nil {
		return nil, err
	}
	return verdict(r, ed25519.Verify(k.first.public.(ed25519.PublicKey), data, r.SignatureData)), nil
}

// edwards makes a pair with a form of the parameters, and has crypto/ed25519 verify a signature.
func (t *tester) edwards(form string) (bool, error) {
	s, err := t.begin()
	if err != nil {
		return false, err
	}
	common := template{{pkcs11.CKA_TOKEN, flag(false)}, {pkcs11.CKA_KEY_TYPE, number(ckkEdwards)}}
	public := append(slices.Clone(common), attribute{pkcs11.CKA_EC_PARAMS, []byte(form)})
	pub, key, err := t.m.lib.generatePair(s, ckmEdwardsPairGen, public, append(common, attribute{pkcs11.CKA_SIGN, flag(true)}))
	if err != nil {
		return false, err
	}
	value, err := t.m.lib.attributes(s, pub, []uint{pkcs11.CKA_EC_POINT})
	if err != nil {
		return false, err
	}
	known, ok := edwardsPoint(value.get(pkcs11.CKA_EC_POINT)).(ed25519.PublicKey)
	if !ok {
		return false, nil
	}
	message := []byte("a message that is no digest of anything")
	signature, err := t.m.lib.sign(s, &mechanism{Type: ckmEdDSA}, key, message, ed25519.SignatureSize)
	return err == nil && ed25519.Verify(known, message, signature), err
}
