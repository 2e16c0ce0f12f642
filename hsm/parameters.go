package hsm

import (
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// parameters are those of a request, else the first of the object's own attribute Cryptographic Parameters that fit the
// operation, else none. They are never changed.
func (k *key) parameters(request *kmip.CryptographicParameters, fits func(*kmip.CryptographicParameters) bool) *kmip.CryptographicParameters {
	if request != nil {
		return request
	}
	for i := range k.own {
		if k.own[i].Tag != ttlv.TagCryptographicParameters {
			continue
		}
		if p, ok := k.own[i].Value.(kmip.CryptographicParameters); ok && fits(&p) {
			return &p
		}
	}
	return &noParameters
}

var noParameters kmip.CryptographicParameters

// forEncryption says whether p can be meant for encrypting data.
func forEncryption(p *kmip.CryptographicParameters) bool {
	return p.PaddingMethod != kmip.PaddingMethodPSS && p.DigitalSignatureAlgorithm == 0 && !forMAC(p)
}

// forWrapping says whether p can be meant for wrapping keys.
func forWrapping(p *kmip.CryptographicParameters) bool {
	switch p.BlockCipherMode {
	case kmip.BlockCipherModeGCM, kmip.BlockCipherModeNISTKeyWrap, kmip.BlockCipherModeAESKeyWrapPadding:
		return true
	}
	return p.PaddingMethod == kmip.PaddingMethodOAEP || p.PaddingMethod == kmip.PaddingMethodPKCS1v15 && p.DigitalSignatureAlgorithm == 0
}

// forSigning says whether p can be meant for signatures.
func forSigning(p *kmip.CryptographicParameters) bool {
	return p.PaddingMethod != kmip.PaddingMethodOAEP && !forMAC(p)
}

// forMAC says whether p can only be meant for a message authentication code.
func forMAC(p *kmip.CryptographicParameters) bool {
	_, hmac := hmacs[p.CryptographicAlgorithm]
	return hmac || p.BlockCipherMode == kmip.BlockCipherModeCMAC
}
