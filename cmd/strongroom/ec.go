package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// ecCommand holds the commands about keys on elliptic curves.
func (p *program) ecCommand() *cobra.Command {
	return group("ec", "Keys on elliptic curves, and signatures and agreements with them",
		p.keysCommand(&ecFamily, p.ecCreateCommand(), p.agreeCommand()),
		p.signCommand(&ecFamily), p.verifyCommand(&ecFamily))
}

// A curve is one that pairs can be made on.
type curve struct {
	names      []string // the first is the usual one
	bits       int32
	curve      kmip.RecommendedCurve
	algorithms []string // the first is the default
}

var curves = []curve{
	{[]string{"nist-p256", "p-256", "secp256r1", "prime256v1"}, 256, kmip.RecommendedCurveP256, []string{ecdsaName, ecdhName}},
	{[]string{"nist-p384", "p-384", "secp384r1"}, 384, kmip.RecommendedCurveP384, []string{ecdsaName, ecdhName}},
	{[]string{"nist-p521", "p-521", "secp521r1"}, 521, kmip.RecommendedCurveP521, []string{ecdsaName, ecdhName}},
	{[]string{"ed25519"}, 256, kmip.RecommendedCurveCURVE25519, []string{ed25519Name}},
	{[]string{"x25519"}, 256, kmip.RecommendedCurveCURVE25519, []string{ecdhName}},
}

const ecdhName = "ecdh"

// ecAlgorithms are what the keys on curves are for.
var ecAlgorithms = map[string]struct {
	algorithm kmip.CryptographicAlgorithm
	usage     kmip.CryptographicUsageMask
}{
	ecdsaName:   {kmip.CryptographicAlgorithmECDSA, kmip.CryptographicUsageMaskSign},
	ed25519Name: {kmip.CryptographicAlgorithmEd25519, kmip.CryptographicUsageMaskSign},
	ecdhName:    {kmip.CryptographicAlgorithmECDH, agreementUsage},
}

// curveNamed finds a curve, and the algorithm where none is given.
func curveNamed(name, algorithm string) (*curve, string, error) {
	var known []string
	for i := range curves {
		c := &curves[i]
		known = append(known, c.names[0])
		if !anyPlain(c.names, name) {
			continue
		}
		if algorithm == "" {
			return c, c.algorithms[0], nil
		}
		for _, a := range c.algorithms {
			if plain(a) == plain(algorithm) {
				return c, a, nil
			}
		}
		return nil, "", misused("--algorithm %q: keys on the curve %s are for %q", algorithm, c.names[0], c.algorithms)
	}
	return nil, "", misused("--curve %q is not one of %q", name, known)
}

// anyPlain says whether one of the names is meant.
func anyPlain(names []string, name string) bool {
	for _, n := range names {
		if plain(n) == plain(name) {
			return true
		}
	}
	return false
}

func (p *program) ecCreateCommand() *cobra.Command {
	var m making
	var curve, algorithm string
	cmd := &cobra.Command{
		Use:   "create [ID]",
		Short: "Make an EC key pair",
		Long: `Make a key pair on an elliptic curve in the server. ID is the unique identifier of the private key, and that of the public key is
ID_pk; without one the server makes them up. A pair that is named hsm::SLOT::LABEL is made in that slot of an HSM, and its
private key never leaves it unless --sensitive=false is given; tokens have the NIST curves, and many ed25519.

Keys for ecdsa and ed25519 sign; keys for ecdh agree on a secret with another (ec keys derive).`,
		Example: `  strongroom ec keys create --curve nist-p256 --sensitive hsm::4::my_ec_key
  strongroom ec keys create --curve ed25519 --tag releases my_ec_key
  strongroom ec keys create --curve x25519 my_agreement_key`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, name, err := curveNamed(curve, algorithm)
			if err != nil {
				return err
			}
			if err := m.read(cmd, args, 0); err != nil {
				return misuse{err}
			}
			a := ecAlgorithms[name]
			domain := kmip.CryptographicDomainParameters{Qlength: c.bits, RecommendedCurve: c.curve}
			return p.createPair(cmd.Context(), &ecFamily, &m, kmip.Attributes{}.
				With(ttlv.TagCryptographicAlgorithm, a.algorithm).
				With(ttlv.TagCryptographicLength, c.bits).
				With(ttlv.TagCryptographicDomainParameters, domain), a.usage)
		},
	}
	m.createFlags(cmd)
	cmd.Flags().StringVarP(&curve, "curve", "c", curves[0].names[0], "`CURVE`: nist-p256, nist-p384, nist-p521, ed25519 or x25519")
	cmd.Flags().StringVarP(&algorithm, "algorithm", "a", "", fmt.Sprintf("`ALGORITHM` on a NIST curve: %s or %s (default %[1]s)", ecdsaName, ecdhName))
	return cmd
}
