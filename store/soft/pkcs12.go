package soft

import (
	"crypto/x509"

	"software.sslmate.com/src/go-pkcs12"

	"strongroom/kmip"
)

// PKCS12 puts a private key with its certificate and that one's issuers into a container (RFC 7292), or certificates alone where
// there is no key. It is encrypted under the password: AES-256-CBC with PBKDF2, and a MAC with HMAC-SHA-256. The entries of
// certificates alone bear the name; the library gives a key none.
func PKCS12(key *kmip.Value, chain []*x509.Certificate, name, password string) ([]byte, error) {
	if len(chain) == 0 {
		return nil, invalid("a PKCS #12 container needs a certificate")
	}
	if key == nil {
		entries := make([]pkcs12.TrustStoreEntry, len(chain))
		for i, c := range chain {
			entries[i] = pkcs12.TrustStoreEntry{Cert: c, FriendlyName: name}
		}
		return contained(pkcs12.Modern.EncodeTrustStoreEntries(entries, password))
	}
	c, err := parse(key, nil)
	if err != nil {
		return nil, err
	}
	public := publicOf(c.key)
	switch {
	case key.PrivateKey == nil || public == nil:
		return nil, errFormat
	case !SameKey(public, chain[0].PublicKey):
		return nil, invalid("the certificate is of another key")
	}
	return contained(pkcs12.Modern.Encode(c.key, chain[0], chain[1:], password))
}

func contained(der []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, "making the PKCS #12 container: %v", err)
	}
	return der, nil
}
