package main

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// keysCommand holds what both families have. The rest of the group is given.
func (p *program) keysCommand(f *family, commands ...*cobra.Command) *cobra.Command {
	keys := group("keys", "Make and manage "+f.name+" keys", commands...)
	keys.AddCommand(p.pairExportCommand(f), p.pairImportCommand(f), p.pairReKeyCommand(f))
	keys.AddCommand(p.wrappingCommands(&f.kind)...)
	keys.AddCommand(p.lifecycle(&f.kind)...)
	return keys
}

// createdPair is the answer of a command that makes a pair.
type createdPair struct {
	PublicKeyUniqueIdentifier  string `json:"public_key_unique_identifier"`
	PrivateKeyUniqueIdentifier string `json:"private_key_unique_identifier"`
}

// madePair answers what was made.
func (p *program) madePair(what string, private, public kmip.UniqueIdentifier) error {
	return p.answer(createdPair{string(public), string(private)},
		"%s\nPublic key unique identifier: %s\nPrivate key unique identifier: %s", what, public, private)
}

// createPair makes a pair of what is common to both halves, each for its own usage.
func (p *program) createPair(ctx context.Context, f *family, m *making, common kmip.Attributes, usual kmip.CryptographicUsageMask) error {
	usage, err := m.usageOr(usual)
	if err != nil {
		return err
	}
	r, err := do[kmip.CreateKeyPairResponse](ctx, p, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{
		CommonAttributes:     append(m.attributes(), common...),
		PrivateKeyAttributes: m.material().With(ttlv.TagCryptographicUsageMask, usage),
		PublicKeyAttributes:  kmip.Attributes{}.With(ttlv.TagCryptographicUsageMask, counterpart(usage)),
	})
	if err != nil {
		return err
	}
	return p.madePair("The "+f.name+" key pair has been created.", r.PrivateKeyUniqueIdentifier, r.PublicKeyUniqueIdentifier)
}

// counterparts are what a public key is for when its private key is for the other.
var counterparts = []struct{ private, public kmip.CryptographicUsageMask }{
	{kmip.CryptographicUsageMaskSign, kmip.CryptographicUsageMaskVerify},
	{kmip.CryptographicUsageMaskCertificateSign, kmip.CryptographicUsageMaskVerify},
	{kmip.CryptographicUsageMaskCRLSign, kmip.CryptographicUsageMaskVerify},
	{kmip.CryptographicUsageMaskDecrypt, kmip.CryptographicUsageMaskEncrypt},
	{kmip.CryptographicUsageMaskUnwrapKey, kmip.CryptographicUsageMaskWrapKey},
	{kmip.CryptographicUsageMaskDeriveKey, kmip.CryptographicUsageMaskDeriveKey},
	{kmip.CryptographicUsageMaskKeyAgreement, kmip.CryptographicUsageMaskKeyAgreement},
}

// counterpart is the usage of the public key that goes with that of a private one.
func counterpart(private kmip.CryptographicUsageMask) (public kmip.CryptographicUsageMask) {
	for _, c := range counterparts {
		if private&c.private != 0 {
			public |= c.public
		}
	}
	return public
}

func (p *program) pairExportCommand(f *family) *cobra.Command {
	var uid, format string
	cmd := f.needsID(&cobra.Command{
		Use:   "export --key-id ID FILE",
		Short: "Write " + f.what + " to a file",
		Long: "Write " + f.what + " to a file. The formats are\n\n" + f.formatsHelp + `

A private key that is sensitive, as those in an HSM are, does not leave the server.`,
		Example: fmt.Sprintf("  %[1]s --key-id hsm::4::%[2]s_pk --key-format pkcs8-pem /tmp/pubkey.pem\n  %[1]s --key-id %[2]s --key-format pkcs8-der my.der", f.command("export"), f.example),
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := f.formatNamed(format)
			if err != nil {
				return err
			}
			r, err := f.get(cmd.Context(), p, uid)
			if err != nil {
				return fmt.Errorf("exporting %q: %w", uid, err)
			}
			defer r.Value.Clear()
			data, err := f.file(asked, &r.Value)
			if err != nil {
				return fmt.Errorf("exporting %q: %w", uid, err)
			}
			mode := fs.FileMode(secretMode)
			if r.Value.PublicKey != nil {
				mode = usualMode
			} else {
				defer clear(data)
			}
			return p.exported(&f.kind, r, args[0], mode, data)
		},
	}, &uid)
	cmd.Flags().StringVarP(&format, "key-format", "f", "pkcs8-pem", "`FORMAT` of the file")
	return cmd
}

func (p *program) pairImportCommand(f *family) *cobra.Command {
	var m making
	var format string
	cmd := &cobra.Command{
		Use:   "import FILE [ID]",
		Short: "Bring " + f.what + " into the server",
		Long: "Bring " + f.what + ` into the server: a private or a public one, in PEM or DER or as json-ttlv. What the file holds is
found out, unless --key-format says what it has to be.`,
		Example: fmt.Sprintf("  openssl genpkey %[3]s | %[1]s - %[2]s\n  %[1]s --key-format pkcs8-pem my.pem %[2]s", f.command("import"), f.example, f.generate),
		Args:    arguments(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.read(cmd, args, 1); err != nil {
				return misuse{err}
			}
			data, err := p.readKey(args[0])
			if err != nil {
				return err
			}
			defer clear(data)
			v, err := f.value(data, format)
			if err != nil {
				return fmt.Errorf("importing %q: %w", args[0], err)
			}
			what := "private"
			if v.PublicKey != nil {
				what = "public"
			}
			if m.sensitive && v.PublicKey != nil {
				return misused("--%s: %q has a public key, of which nothing is secret", sensitiveFlag, args[0])
			}
			usage, err := m.usageOr(usageOfPair(v))
			if err != nil {
				return err
			}
			uid, err := p.register(cmd.Context(), v, append(m.attributes(), m.material()...), usage)
			if err != nil {
				return err
			}
			return p.about("The "+f.name+" "+what+" key was successfully imported.", uid)
		},
	}
	m.flags(cmd)
	cmd.Flags().StringVarP(&format, "key-format", "f", "", "`FORMAT` that the file has to have, as of export (default any)")
	return cmd
}

// usageOfPair is what an imported key is for.
func usageOfPair(v *kmip.Value) kmip.CryptographicUsageMask {
	private := usageOfPrivate(v.KeyBlock().CryptographicAlgorithm)
	if v.PublicKey != nil {
		return counterpart(private)
	}
	return private
}

// usageOfPrivate is what private keys of an algorithm are for.
func usageOfPrivate(algorithm kmip.CryptographicAlgorithm) kmip.CryptographicUsageMask {
	switch algorithm {
	case kmip.CryptographicAlgorithmRSA:
		return privateUsage
	case kmip.CryptographicAlgorithmECDH:
		return agreementUsage
	}
	return kmip.CryptographicUsageMaskSign
}
