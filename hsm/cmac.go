package hsm

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/rand"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// MAC computes CMAC (SP 800-38B) in the token, with keys that were made for it.
func (k *aesKey) MAC(ctx context.Context, r *kmip.MACRequest) (*kmip.MACResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	p := k.parameters(r.CryptographicParameters, forMAC)
	switch {
	case p.CryptographicAlgorithm != 0 && p.CryptographicAlgorithm != kmip.CryptographicAlgorithmAES:
		return nil, contradiction("the key is AES, the parameters are for %v", p.CryptographicAlgorithm)
	case p.BlockCipherMode != 0 && p.BlockCipherMode != kmip.BlockCipherModeCMAC:
		return nil, unsupported("a MAC with AES in mode %v is not supported in a token: CMAC is", p.BlockCipherMode)
	}
	if err := surplus(p, "CMAC", append(noneOfMAC(p), p.HashingAlgorithm != 0)...); err != nil {
		return nil, err
	}
	sum, err := k.sign(ctx, mechanism{Type: pkcs11.CKM_AES_CMAC}, r.Data, aes.BlockSize, func(p *proof) bool { return p.cmac })
	if err != nil {
		return nil, err
	}
	return &kmip.MACResponse{UniqueIdentifier: r.UniqueIdentifier, MACData: sum}, nil
}

// noneOfMAC says of parameters that no message authentication code has which are given.
func noneOfMAC(p *kmip.CryptographicParameters) []bool {
	return []bool{p.PaddingMethod > kmip.PaddingMethodNone, p.DigitalSignatureAlgorithm != 0, p.RandomIV != nil, p.IVLength != nil,
		p.TagLength != nil, p.FixedFieldLength != nil, p.InvocationFieldLength != nil, p.CounterLength != nil, p.InitialCounterValue != nil,
		p.SaltLength != nil, p.MaskGenerator != 0, p.MaskGeneratorHashingAlgorithm != 0, len(p.PSource) > 0, p.TrailerField != nil}
}

// cmac compares with expectedCMAC: of nothing, of whole blocks and of broken ones.
func (t *tester) cmac() (bool, error) {
	s, err := t.begin()
	if err != nil {
		return false, err
	}
	key, err := t.m.lib.create(s, template{
		{pkcs11.CKA_CLASS, number(pkcs11.CKO_SECRET_KEY)}, {pkcs11.CKA_KEY_TYPE, number(pkcs11.CKK_AES)},
		{pkcs11.CKA_TOKEN, flag(false)}, {pkcs11.CKA_SIGN, flag(true)}, {pkcs11.CKA_VALUE, kekKAT},
	})
	if err != nil {
		return false, err
	}
	data := make([]byte, 37)
	rand.Read(data)
	for _, n := range []int{0, 1, 16, 32, 37} {
		want, err := expectedCMAC(kekKAT, data[:n])
		if err != nil {
			return false, err
		}
		sum, err := t.m.lib.sign(s, &mechanism{Type: pkcs11.CKM_AES_CMAC}, key, data[:n], aes.BlockSize)
		if err != nil || !bytes.Equal(sum, want) {
			return false, err
		}
	}
	return true, nil
}

// expectedCMAC is what the self-test compares with: SP 800-38B §6.2.
func expectedCMAC(key, data []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	sub, sum := make([]byte, aes.BlockSize), make([]byte, aes.BlockSize)
	block.Encrypt(sub, sub)
	double(sub)
	for len(data) > aes.BlockSize {
		xor(sum, data[:aes.BlockSize])
		block.Encrypt(sum, sum)
		data = data[aes.BlockSize:]
	}
	if len(data) < aes.BlockSize {
		double(sub)
		data = append(bytes.Clone(data), 0x80)
	}
	xor(sum, data)
	xor(sum, sub)
	block.Encrypt(sum, sum)
	return sum, nil
}

// double multiplies by x in GF(2^128), as SP 800-38B §6.1 does.
func double(b []byte) {
	carry := b[0] >> 7
	for i := range b {
		next := byte(0)
		if i+1 < len(b) {
			next = b[i+1] >> 7
		}
		b[i] = b[i]<<1 | next
	}
	b[len(b)-1] ^= 0x87 * carry
}

func xor(into, from []byte) {
	for i := range from {
		into[i] ^= from[i]
	}
}
