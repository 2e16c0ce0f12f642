package main

import (
	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// An rsaEncryption is an encryption algorithm, as PKCS#11 names its mechanism.
type rsaEncryption struct {
	name    string
	padding kmip.PaddingMethod
}

const (
	oaepName  = "ckm-rsa-pkcs-oaep"
	pkcs1Name = "ckm-rsa-pkcs"
)

var rsaEncryptions = []rsaEncryption{{oaepName, kmip.PaddingMethodOAEP}, {pkcs1Name, kmip.PaddingMethodPKCS1v15}}

// rsaCrypting are the flags of rsa encrypt and decrypt.
type rsaCrypting struct {
	conversion
	algorithm, hash string
}

func (c *rsaCrypting) flags(cmd *cobra.Command) {
	c.conversion.flags(cmd)
	f := cmd.Flags()
	f.StringVarP(&c.algorithm, "encryption-algorithm", "e", oaepName, "`ALGORITHM`: ckm-rsa-pkcs-oaep or ckm-rsa-pkcs")
	f.StringVar(&c.hash, "hashing-algorithm", "sha-256", "`HASH` of OAEP: sha-1, sha-256, sha-384 or sha-512")
}

// parameters are those of the request.
func (c *rsaCrypting) parameters() (*kmip.CryptographicParameters, error) {
	var known []string
	for _, e := range rsaEncryptions {
		known = append(known, e.name)
		if e.name != c.algorithm {
			continue
		}
		p := &kmip.CryptographicParameters{PaddingMethod: e.padding}
		if e.padding == kmip.PaddingMethodOAEP {
			var err error
			if p.HashingAlgorithm, err = named[kmip.HashingAlgorithm](ttlv.TagHashingAlgorithm, "hashing algorithm", c.hash); err != nil {
				return nil, err
			}
		}
		return p, nil
	}
	return nil, misused("--encryption-algorithm %q is not one of %q", c.algorithm, known)
}

// run has the server work on a file.
func (c *rsaCrypting) run(p *program, input string, s step, work func(*kmip.CryptographicParameters, []byte) ([]byte, error)) error {
	parameters, err := c.parameters()
	if err != nil {
		return err
	}
	c.input = input
	return p.convertSmall(&c.conversion, s, "", func(data []byte) ([]byte, error) { return work(parameters, data) })
}

func (p *program) rsaEncryptCommand() *cobra.Command {
	var c rsaCrypting
	cmd := needsKey(&cobra.Command{
		Use:   "encrypt --key-id ID FILE",
		Short: "Encrypt a small file with a public key",
		Long: `Encrypt a small file with a public key. Of a key of n bytes, OAEP takes n − 2 − twice the length of the hash (190 bytes
for RSA-2048 with SHA-256), and PKCS#1 v1.5 takes n − 11. FILE may be -, for standard input.`,
		Example: "  strongroom rsa encrypt --key-id hsm::4::my_rsa_key_pk --encryption-algorithm ckm-rsa-pkcs-oaep /tmp/secret.txt",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(p, args[0], encrypting, func(params *kmip.CryptographicParameters, data []byte) ([]byte, error) {
				r, err := do[kmip.EncryptResponse](cmd.Context(), p, kmip.OperationEncrypt, &kmip.EncryptRequest{
					UniqueIdentifier: kmip.UniqueIdentifier(c.uid), CryptographicParameters: params, Data: data,
				})
				if err != nil {
					return nil, err
				}
				return r.Data, nil
			})
		},
	}, &c.uid)
	c.flags(cmd)
	return cmd
}

func (p *program) rsaDecryptCommand() *cobra.Command {
	var c rsaCrypting
	cmd := needsKey(&cobra.Command{
		Use:     "decrypt --key-id ID FILE",
		Short:   "Decrypt a small file with a private key",
		Long:    "Decrypt with a private key what its public key encrypted. FILE may be -, for standard input.",
		Example: "  strongroom rsa decrypt --key-id hsm::4::my_rsa_key --encryption-algorithm ckm-rsa-pkcs-oaep --output-file /tmp/secret.recovered.txt /tmp/secret.enc",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(p, args[0], decrypting, func(params *kmip.CryptographicParameters, data []byte) ([]byte, error) {
				r, err := do[kmip.DecryptResponse](cmd.Context(), p, kmip.OperationDecrypt, &kmip.DecryptRequest{
					UniqueIdentifier: kmip.UniqueIdentifier(c.uid), CryptographicParameters: params, Data: data,
				})
				if err != nil {
					return nil, err
				}
				return r.Data, nil
			})
		},
	}, &c.uid)
	c.flags(cmd)
	return cmd
}
