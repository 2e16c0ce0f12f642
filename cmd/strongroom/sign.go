package main

import (
	"context"
	"crypto"
	_ "crypto/sha256" // the hashes of signatures
	_ "crypto/sha3"
	_ "crypto/sha512"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// A signatureAlgorithm is a way to sign with the keys of a family.
type signatureAlgorithm struct {
	name    string
	padding kmip.PaddingMethod
	whole   bool // what is signed is the data, not their hash
}

const (
	ecdsaName   = "ecdsa"
	ed25519Name = "ed25519"
)

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
	{"sha3-256", kmip.HashingAlgorithmSHA3_256, crypto.SHA3_256},
	{"sha3-384", kmip.HashingAlgorithmSHA3_384, crypto.SHA3_384},
	{"sha3-512", kmip.HashingAlgorithmSHA3_512, crypto.SHA3_512},
}

const hashesHelp = "sha-256, sha-384, sha-512, sha3-256, sha3-384 or sha3-512"

// A signer has the flags of sign and verify.
type signer struct {
	conversion
	family          *family
	algorithm, hash string
	salt            int32
	digested        bool
}

func (s *signer) flags(cmd *cobra.Command) {
	keyID(cmd, &s.uid)
	f := cmd.Flags()
	if s.family == &rsaFamily {
		f.StringVarP(&s.algorithm, "signature-algorithm", "a", "rsassa-pss", "`ALGORITHM`: rsassa-pss or rsassa-pkcs1v15")
		f.StringVar(&s.hash, "hashing-algorithm", "sha-256", "`HASH`: "+hashesHelp)
		f.Int32Var(&s.salt, "salt-length", 0, "length `N` of the salt of rsassa-pss, in bytes (default that of the hash)")
	} else {
		f.StringVarP(&s.algorithm, "signature-algorithm", "a", "", "`ALGORITHM`: ecdsa or ed25519 (default what the key is for)")
		f.StringVar(&s.hash, "hashing-algorithm", "", "`HASH` of ecdsa: "+hashesHelp+" (default sha-256, or one as strong as the curve)")
	}
	f.BoolVar(&s.digested, "digested", false, "FILE is the hash of what is signed, not that itself")
}

// A scheme is what comes of the flags.
type scheme struct {
	parameters *kmip.CryptographicParameters
	hash       crypto.Hash // 0: the data are signed themselves
}

// scheme reads the flags, and asks for what an EC key is for where they do not say.
func (s *signer) scheme(ctx context.Context, p *program) (scheme, error) {
	if s.algorithm == "" {
		if err := s.ask(ctx, p); err != nil {
			return scheme{}, err
		}
	}
	var known []string
	for _, a := range s.family.signatures {
		if plain(a.name) == plain(s.algorithm) {
			return s.of(&a)
		}
		known = append(known, a.name)
	}
	return scheme{}, misused("--signature-algorithm %q is not one of %q", s.algorithm, known)
}

func (s *signer) of(a *signatureAlgorithm) (scheme, error) {
	c := &kmip.CryptographicParameters{PaddingMethod: a.padding}
	switch {
	case s.salt != 0 && (a.padding != kmip.PaddingMethodPSS || s.salt < 0):
		return scheme{}, misused("--salt-length %d: it is of rsassa-pss, and positive", s.salt)
	case a.whole && s.digested:
		return scheme{}, misused("%s signs data themselves, not their hash: leave --digested out", a.name)
	case a.whole && s.hash != "":
		return scheme{}, misused("%s has a hash of its own: leave --hashing-algorithm out", a.name)
	case a.whole:
		return scheme{parameters: c}, nil
	case s.salt > 0:
		c.SaltLength = &s.salt
	}
	if s.hash == "" {
		s.hash = signatureHashes[0].name
	}
	for _, h := range signatureHashes {
		if plain(h.name) == plain(s.hash) {
			c.HashingAlgorithm = h.algorithm
			return scheme{c, h.hash}, nil
		}
	}
	return scheme{}, misused("--hashing-algorithm %q is not %s", s.hash, hashesHelp)
}

// ask finds out how the key signs. A user who may sign with a key need not be one who may read its attributes.
func (s *signer) ask(ctx context.Context, p *program) error {
	r, err := do[kmip.GetAttributesResponse](ctx, p, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{
		UniqueIdentifier:    kmip.UniqueIdentifier(s.uid),
		AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagCryptographicAlgorithm}, {Tag: ttlv.TagCryptographicLength}},
	})
	if errors.As(err, new(*client.Error)) {
		return fmt.Errorf("%w; if you may not see the attributes of %q, say --signature-algorithm", err, s.uid)
	}
	if err != nil {
		return err
	}
	switch r.Attributes.Algorithm() {
	case 0:
		return fmt.Errorf("%q has no algorithm in KMIP %v: say --signature-algorithm", s.uid, p.client.Version())
	case kmip.CryptographicAlgorithmEd25519:
		s.algorithm = ed25519Name
		return nil
	}
	s.algorithm = ecdsaName
	if bits := r.Attributes.Length(); s.hash == "" && bits > 384 {
		s.hash = "sha-512"
	} else if s.hash == "" && bits > 256 {
		s.hash = "sha-384"
	}
	return nil
}

// content is what is sent of a file: its hash, which is computed here; or itself, where that is signed and where the version of
// the protocol has no field for a hash.
func (s *signer) content(ctx context.Context, p *program, c scheme, r io.Reader, in *os.File) (data, digest []byte, err error) {
	connection, err := p.connected(ctx)
	if err != nil {
		return nil, nil, err
	}
	old := connection.Version() < ttlv.V1_4
	switch {
	case s.digested && old:
		return nil, nil, fmt.Errorf("KMIP %v has no field for a hash that was computed elsewhere: 1.4 has", connection.Version())
	case s.digested:
		digest, err = readSmall(r, c.hash.Size(), " as a hash of "+s.hash)
		if err == nil && len(digest) != c.hash.Size() {
			err = fmt.Errorf("it has %d bytes, a hash of %s has %d", len(digest), s.hash, c.hash.Size())
		}
		return nil, digest, err
	case c.hash == 0:
		data, err = readSmall(r, mostInServer, ", and ed25519 signs data themselves: ecdsa signs files of any size")
		return data, nil, err
	case old:
		data, err = readSmall(r, mostInServer, fmt.Sprintf(" with KMIP %v: 1.4 takes hashes of files of any size", connection.Version()))
		return data, nil, err
	}
	digest, err = p.digest(r, in, c.hash)
	return nil, digest, err
}

// digest hashes a file of any size.
func (p *program) digest(r io.Reader, in *os.File, h crypto.Hash) ([]byte, error) {
	bar := p.progress(in)
	defer bar.end()
	d := h.New()
	if _, err := io.Copy(io.MultiWriter(d, bar), r); err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	return d.Sum(nil), nil
}

func (p *program) signCommand(f *family) *cobra.Command {
	s := signer{family: f}
	cmd := needsKey(&cobra.Command{
		Use:   "sign --key-id ID FILE",
		Short: "Sign a file with a private key",
		Long:  "Sign a file with a private key; FILE may be -, for standard input. " + f.signsHelp,
		Example: fmt.Sprintf("  %[1]s --key-id hsm::4::%[2]s --output-file report.sig report.pdf\n"+
			"  openssl dgst -sha384 -binary report.pdf | %[1]s --key-id %[2]s --digested --hashing-algorithm sha-384 --output-file report.sig -", f.topCommand("sign"), f.example),
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.input = args[0]
			return p.convert(&s.conversion, signing, func(r io.Reader, in *os.File) error {
				q, err := s.sign(cmd.Context(), p, r, in)
				if err != nil {
					return err
				}
				return p.write(s.output, usualMode, in, q.SignatureData)
			})
		},
	}, &s.uid)
	s.flags(cmd)
	cmd.Flags().StringVarP(&s.output, "output-file", "o", "", "`FILE` for the signature, - for standard output")
	return cmd
}

func (s *signer) sign(ctx context.Context, p *program, r io.Reader, in *os.File) (*kmip.SignResponse, error) {
	c, err := s.scheme(ctx, p)
	if err != nil {
		return nil, err
	}
	data, digest, err := s.content(ctx, p, c, r, in)
	if err != nil {
		return nil, err
	}
	return do[kmip.SignResponse](ctx, p, kmip.OperationSign, &kmip.SignRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(s.uid), CryptographicParameters: c.parameters, Data: data, DigestedData: digest,
	})
}

// verified is the answer of a command that verifies.
type verified struct {
	UniqueIdentifier string `json:"unique_identifier"`
	Valid            bool   `json:"valid"`
}

// verdict answers whether something holds. That it does not is an error.
func (p *program) verdict(uid string, valid bool, yes string, no error) error {
	if valid {
		return p.answer(verified{uid, true}, "%s", yes)
	}
	return p.denied(verified{uid, false}, no)
}

// denied ends a command whose answer is no: with the answer, where it is JSON, and with the error.
func (p *program) denied(answer any, no error) error {
	if p.json {
		return errors.Join(p.answer(answer, ""), no)
	}
	return no
}

// errInvalid ends verify after its answer.
var errInvalid = errors.New("the signature does not fit the file and the key")

func (p *program) verifyCommand(f *family) *cobra.Command {
	s := signer{family: f}
	var signature string
	cmd := needsKey(&cobra.Command{
		Use:     "verify --key-id ID --signature-file SIGNATURE FILE",
		Short:   "Verify a signature with a public key",
		Long:    "Verify a signature with a public key; FILE may be -, for standard input. Ends with 0 if the signature is valid, else with 1.",
		Example: fmt.Sprintf("  %s --key-id hsm::4::%s_pk --signature-file report.sig report.pdf", f.topCommand("verify"), f.example),
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if signature == "" {
				return misused("no signature is named: give --signature-file SIGNATURE")
			}
			valid, err := s.verify(cmd.Context(), p, args[0], signature)
			if err != nil {
				return fmt.Errorf("verifying %q: %w", args[0], err)
			}
			return p.verdict(s.uid, valid, "The signature is valid.", errInvalid)
		},
	}, &s.uid)
	s.flags(cmd)
	cmd.Flags().StringVar(&signature, "signature-file", "", "`SIGNATURE` to verify")
	return cmd
}

func (s *signer) verify(ctx context.Context, p *program, name, signature string) (valid bool, err error) {
	c, err := s.scheme(ctx, p)
	if err != nil {
		return false, err
	}
	sig, err := p.readKey(signature)
	if err != nil {
		return false, err
	}
	err = p.read(name, func(r io.Reader, in *os.File) error {
		data, digest, err := s.content(ctx, p, c, r, in)
		if err != nil {
			return err
		}
		v, err := do[kmip.SignatureVerifyResponse](ctx, p, kmip.OperationSignatureVerify, &kmip.SignatureVerifyRequest{
			UniqueIdentifier: kmip.UniqueIdentifier(s.uid), CryptographicParameters: c.parameters,
			Data: data, DigestedData: digest, SignatureData: sig,
		})
		valid = err == nil && v.ValidityIndicator == kmip.ValidityIndicatorValid
		return err
	})
	return valid, err
}
