package main

import (
	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// rsaCommand holds the commands about RSA keys.
func (p *program) rsaCommand() *cobra.Command {
	return group("rsa", "RSA keys, and encryption and signatures with them",
		p.keysCommand(&rsaFamily, p.rsaCreateCommand()),
		p.rsaEncryptCommand(), p.rsaDecryptCommand(), p.signCommand(&rsaFamily), p.verifyCommand(&rsaFamily))
}

func (p *program) rsaCreateCommand() *cobra.Command {
	var m making
	var bits int32
	cmd := &cobra.Command{
		Use:   "create [ID]",
		Short: "Make an RSA key pair",
		Long: `Make an RSA key pair in the server. ID is the unique identifier of the private key, and that of the public key is
ID_pk; without one the server makes them up. A pair that is named hsm::SLOT::LABEL is made in that slot of an HSM, and its
private key never leaves it unless --sensitive=false is given.`,
		Example: `  strongroom rsa keys create --size_in_bits 4096 --sensitive hsm::4::my_rsa_key
  strongroom rsa keys create --tag mail my_rsa_key`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if bits < 2048 || bits > 8192 || bits%8 != 0 {
				return misused("--size_in_bits %d: an RSA key has 2048 to 8192 bits, in whole bytes", bits)
			}
			if err := m.read(cmd, args, 0); err != nil {
				return misuse{err}
			}
			return p.createPair(cmd.Context(), &rsaFamily, &m, kmip.Attributes{}.
				With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmRSA).
				With(ttlv.TagCryptographicLength, bits), privateUsage)
		},
	}
	m.createFlags(cmd)
	cmd.Flags().Int32VarP(&bits, "size-in-bits", "s", 4096, "length `N` of the modulus in bits")
	return cmd
}
