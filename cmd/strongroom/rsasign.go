package main

import (
	"context"
	"crypto"
	_ "crypto/sha256" // the hashes of signatures
	_ "crypto/sha512"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"strongroom/kmip"
)

// An rsaSignature is a signature algorithm.
type rsaSignature struct {
	name    string
	padding kmip.PaddingMethod
}

var rsaSignatures = []rsaSignature{
	{"rsassa-pss", kmip.PaddingMethodPSS},
	{"rsassa-pkcs1v15", kmip.PaddingMethodPKCS1v15},
}

// A signatureHash is a hash that signatures are made of.
type signatureHash struct {
	name      string
	algorithm kmip.HashingAlgorithm
	hash      crypto.Hash
}

var signatureHashes = []signatureHash{
	{"sha-256", kmip.HashingAlgorithmSHA256, crypto.SHA256},
	{"sha-384", kmip.HashingAlgorithmSHA384, crypto.SHA384},
	{"sha-512", kmip.HashingAlgorithmSHA512, crypto.SHA512},
}

// rsaSigning are the flags of rsa sign and verify.
type rsaSigning struct {
	uid, algorithm, hash string
}

func (s *rsaSigning) flags(cmd *cobra.Command) {
	keyID(cmd, &s.uid)
	cmd.Flags().StringVarP(&s.algorithm, "signature-algorithm", "a", "rsassa-pss", "`ALGORITHM`: rsassa-pss or rsassa-pkcs1v15")
	cmd.Flags().StringVar(&s.hash, "hashing-algorithm", "sha-256", "`HASH`: sha-256, sha-384 or sha-512")
}

// parameters are those of the request, and the hash of the file, which is computed here: only that travels.
func (s *rsaSigning) parameters() (*kmip.CryptographicParameters, crypto.Hash, error) {
	p := new(kmip.CryptographicParameters)
	for _, a := range rsaSignatures {
		if a.name == s.algorithm {
			p.PaddingMethod = a.padding
		}
	}
	if p.PaddingMethod == 0 {
		return nil, 0, misused("--signature-algorithm %q is neither rsassa-pss nor rsassa-pkcs1v15", s.algorithm)
	}
	for _, h := range signatureHashes {
		if plain(h.name) == plain(s.hash) {
			p.HashingAlgorithm = h.algorithm
			return p, h.hash, nil
		}
	}
	return nil, 0, misused("--hashing-algorithm %q is not sha-256, sha-384 or sha-512", s.hash)
}

// digest hashes a file of any size.
func (p *program) digest(name string, h crypto.Hash) ([]byte, error) {
	d := h.New()
	err := p.read(name, func(r io.Reader, _ *os.File) error {
		if _, err := io.Copy(d, r); err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		return nil
	})
	return d.Sum(nil), err
}

func (p *program) rsaSignCommand() *cobra.Command {
	var s rsaSigning
	var output string
	cmd := needsKey(&cobra.Command{
		Use:     "sign --key-id ID FILE",
		Short:   "Sign a file with a private key",
		Long:    "Sign a file of any size with a private key. Its hash is computed here, and signed in the server or in the HSM.",
		Example: "  strongroom rsa sign --key-id hsm::4::my_rsa_key --output-file report.sig report.pdf",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := outputFor(args[0], output, ".sig")
			r, err := s.sign(cmd.Context(), p, args[0])
			if err != nil {
				return fmt.Errorf("signing %q: %w", args[0], err)
			}
			if err := p.write(name, usualMode, nil, r.SignatureData); err != nil || name == standard {
				return err
			}
			return p.answer(written{s.uid, name}, "The signature is available at %q", name)
		},
	}, &s.uid)
	s.flags(cmd)
	cmd.Flags().StringVarP(&output, "output-file", "o", "", "`FILE` for the signature, - for standard output")
	return cmd
}

func (s *rsaSigning) sign(ctx context.Context, p *program, name string) (*kmip.SignResponse, error) {
	parameters, hash, err := s.parameters()
	if err != nil {
		return nil, err
	}
	digest, err := p.digest(name, hash)
	if err != nil {
		return nil, err
	}
	return do[kmip.SignResponse](ctx, p, kmip.OperationSign, &kmip.SignRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(s.uid), CryptographicParameters: parameters, DigestedData: digest,
	})
}

// verified is the answer of rsa verify.
type verified struct {
	UniqueIdentifier string `json:"unique_identifier"`
	Valid            bool   `json:"valid"`
}

// errInvalid ends rsa verify after its answer.
var errInvalid = errors.New("the signature does not fit the file and the key")

func (p *program) rsaVerifyCommand() *cobra.Command {
	var s rsaSigning
	var signature string
	cmd := needsKey(&cobra.Command{
		Use:     "verify --key-id ID --signature-file SIGNATURE FILE",
		Short:   "Verify a signature with a public key",
		Example: "  strongroom rsa verify --key-id hsm::4::my_rsa_key_pk --signature-file report.sig report.pdf",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if signature == "" {
				return misused("no signature is named: give --signature-file SIGNATURE")
			}
			valid, err := s.verify(cmd.Context(), p, args[0], signature)
			switch {
			case err != nil:
				return fmt.Errorf("verifying %q: %w", args[0], err)
			case !valid && p.json:
				return errors.Join(p.answer(verified{s.uid, false}, ""), errInvalid)
			case !valid:
				return errInvalid
			}
			return p.answer(verified{s.uid, true}, "The signature is valid.")
		},
	}, &s.uid)
	s.flags(cmd)
	cmd.Flags().StringVar(&signature, "signature-file", "", "`SIGNATURE` to verify")
	return cmd
}

func (s *rsaSigning) verify(ctx context.Context, p *program, name, signature string) (bool, error) {
	parameters, hash, err := s.parameters()
	if err != nil {
		return false, err
	}
	sig, err := p.readKey(signature)
	if err != nil {
		return false, err
	}
	digest, err := p.digest(name, hash)
	if err != nil {
		return false, err
	}
	r, err := do[kmip.SignatureVerifyResponse](ctx, p, kmip.OperationSignatureVerify, &kmip.SignatureVerifyRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(s.uid), CryptographicParameters: parameters, DigestedData: digest, SignatureData: sig,
	})
	if err != nil {
		return false, err
	}
	return r.ValidityIndicator == kmip.ValidityIndicatorValid, nil
}
