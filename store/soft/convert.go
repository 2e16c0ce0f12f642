package soft

import (
	"strongroom/kmip"
)

// Convert gives an object in the Key Format Type that a client wants; 0 is the one that it has. The value is not changed; it
// is itself the answer when it has the format already.
//
//	symmetric keys   Raw, Transparent Symmetric Key
//	private keys     PKCS #1, PKCS #8, EC Private Key, Transparent RSA or EC Private Key
//	public keys      PKCS #1, X.509, Transparent RSA or EC Public Key
//
// The transparent EC formats have two more names in KMIP 1.x, for ECDSA and for ECDH.
func Convert(v *kmip.Value, want kmip.KeyFormatType) (*kmip.Value, error) {
	block := v.KeyBlock()
	switch {
	case want == 0, block != nil && block.KeyFormatType == want, v.Certificate != nil && want == kmip.KeyFormatTypeX509:
		return v, nil
	case block == nil || block.KeyWrappingData != nil:
		return nil, errFormat
	}
	c, err := parse(v, nil)
	if err != nil {
		return nil, err
	}
	kv, err := c.as(want)
	if err != nil {
		return nil, err
	}
	kv.Attributes = c.block.KeyValue.Attributes
	b := *block
	b.KeyFormatType, b.KeyCompressionType, b.KeyValue = want, 0, kv
	b.CryptographicAlgorithm, b.CryptographicLength = c.algorithm, c.length
	return withBlock(v, b), nil
}

// as is the key value in another format.
func (c *contents) as(want kmip.KeyFormatType) (*kmip.KeyValue, error) {
	var f format
	switch c.object {
	case kmip.ObjectTypeSymmetricKey:
		return c.symmetricAs(want)
	case kmip.ObjectTypePrivateKey:
		f = privateFormats[want]
	case kmip.ObjectTypePublicKey:
		f = publicFormats[want]
	}
	if f.write == nil || c.key == nil {
		return nil, errFormat
	}
	return f.write(c.key)
}

func (c *contents) symmetricAs(want kmip.KeyFormatType) (*kmip.KeyValue, error) {
	key, err := secret(c.block)
	if err != nil {
		return nil, err
	}
	switch want {
	case kmip.KeyFormatTypeRaw:
		return &kmip.KeyValue{Material: clone(key)}, nil
	case kmip.KeyFormatTypeTransparentSymmetricKey:
		return &kmip.KeyValue{Components: &kmip.KeyComponents{Key: clone(key)}}, nil
	}
	return nil, errFormat
}
