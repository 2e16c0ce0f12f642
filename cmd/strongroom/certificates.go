package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

var certificateKind = kind{"certificates", "certificate", "a certificate", "my_certificate", func(v *kmip.Value) bool { return v.Certificate != nil }}

// certificatesCommand holds the commands about certificates.
func (p *program) certificatesCommand() *cobra.Command {
	g := group("certificates", "X.509 certificates",
		p.certificateImportCommand(), p.certificateExportCommand(), p.certificateValidateCommand(), p.certifyCommand(), p.reCertifyCommand())
	g.AddCommand(p.lifecycle(&certificateKind)...)
	return g
}

// imported is the answer of certificates import.
type imported struct {
	UniqueIdentifier string   `json:"unique_identifier"`
	Issuers          []string `json:"issuers,omitempty"` // the rest of the chain, in its order
}

func (p *program) certificateImportCommand() *cobra.Command {
	var m making
	var l links
	cmd := &cobra.Command{
		Use:   "import FILE [ID]",
		Short: "Bring a certificate into the server, or a chain of them",
		Long: `Bring a certificate into the server: in PEM or DER, or as json-ttlv. A file in PEM may have a chain, the certificates of issuers behind the
one that they issued: ID names the first, the server names the others, and each gets a link to its issuer's.`,
		Example: `  strongroom certificates import --public-key-id my_rsa_key_pk server.crt my_certificate
  cat server.crt intermediate.crt root.crt | strongroom certificates import - my_certificate`,
		Args: arguments(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.read(cmd, args, 1); err != nil {
				return misuse{err}
			}
			data, err := p.readKey(args[0])
			if err != nil {
				return err
			}
			chain, err := certificatesOf(data)
			if err == nil {
				chain, err = ordered(chain)
			}
			if err != nil {
				return fmt.Errorf("importing %q: %w", args[0], err)
			}
			made, err := p.importChain(cmd.Context(), &m, chain, l)
			if err != nil {
				return err
			}
			text := "The certificate was successfully imported.\nUnique identifier: " + made.UniqueIdentifier
			for _, uid := range made.Issuers {
				text += "\nIssuer: " + uid
			}
			return p.answer(made, "%s", text)
		},
	}
	m.publicFlags(cmd)
	cmd.Flags().StringVar(&l.public, "public-key-id", "", "`ID` of the public key in the server that it is of, to be linked to")
	cmd.Flags().StringVar(&l.private, "private-key-id", "", "`ID` of the private key in the server that goes with it, to be linked to: an authority's signs with it")
	cmd.Flags().StringVarP(&l.issuer, issuerFlag, "i", "", "`ID` of its issuer's certificate in the server, to be linked to; of a chain, that of the last one's")
	return cmd
}

// links are what a certificate is linked to; "" is nothing.
type links struct{ public, private, issuer string }

// attributes are the links.
func (l links) attributes() (a kmip.Attributes) {
	for _, x := range []struct {
		t   kmip.LinkType
		uid string
	}{{kmip.LinkTypePublicKeyLink, l.public}, {kmip.LinkTypePrivateKeyLink, l.private}, {kmip.LinkTypeCertificateLink, l.issuer}} {
		if x.uid != "" {
			a = a.Plus(ttlv.TagLink, kmip.Link{LinkType: x.t, LinkedObjectIdentifier: kmip.UniqueIdentifier(x.uid)})
		}
	}
	return a
}

// importChain registers certificates, the last issuer first, so that each can be linked to.
func (p *program) importChain(ctx context.Context, m *making, chain []*kmip.Certificate, l links) (*imported, error) {
	made := new(imported)
	for i := len(chain) - 1; i >= 0; i-- {
		uid, own := m.uid, l
		if i > 0 {
			uid, own.public, own.private = "", "", ""
		}
		if uid == "" {
			uid = uuid.NewString()
		}
		usage, err := m.usageOr(usageOfCertificate(chain[i]))
		if err != nil {
			return nil, err
		}
		a := append(m.attributes(), own.attributes()...).With(ttlv.TagUniqueIdentifier, uid).With(ttlv.TagCryptographicUsageMask, usage)
		r, err := do[kmip.RegisterResponse](ctx, p, kmip.OperationRegister, &kmip.RegisterRequest{
			ObjectType: kmip.ObjectTypeCertificate, Attributes: a, Value: kmip.Value{Certificate: chain[i]},
		})
		if err != nil && i < len(chain)-1 {
			return nil, fmt.Errorf("%w; imported before it: %q", err, append([]string{l.issuer}, made.Issuers...))
		}
		if err != nil {
			return nil, err
		}
		l.issuer = string(r.UniqueIdentifier)
		if i > 0 {
			made.Issuers = append([]string{l.issuer}, made.Issuers...)
		}
	}
	made.UniqueIdentifier = l.issuer
	return made, nil
}

func (p *program) certificateExportCommand() *cobra.Command {
	var uid, format string
	cmd := certificateKind.needsID(&cobra.Command{
		Use:   "export --certificate-id ID FILE",
		Short: "Write a certificate to a file",
		Long: `Write a certificate to a file. The formats are

  pem, der   the certificate
  chain      in PEM, the certificate, its issuer's and so on, as they are linked
  json-ttlv  the object as KMIP has it`,
		Example: "  strongroom certificates export --certificate-id my_certificate server.crt\n  strongroom certificates export --certificate-id my_certificate --format chain - | openssl storeutl -certs /dev/stdin",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ok := certificateFormats[format]
			if !ok {
				return misused("--format %q is not pem, der, chain or json-ttlv", format)
			}
			r, err := p.getCertificate(cmd.Context(), uid)
			if err != nil {
				return fmt.Errorf("exporting %q: %w", uid, err)
			}
			chain := []*kmip.Value{&r.Value}
			if format == formatChain {
				if chain, err = p.withIssuers(cmd.Context(), uid, chain); err != nil {
					return fmt.Errorf("exporting the chain of %q: %w", uid, err)
				}
			}
			data, err := write(chain)
			if err != nil {
				return fmt.Errorf("exporting %q: %w", uid, err)
			}
			return p.exported(&certificateKind, r, args[0], usualMode, data)
		},
	}, &uid)
	cmd.Flags().StringVarP(&format, "format", "f", formatPEM, "`FORMAT` of the file: pem, der, chain or json-ttlv")
	return cmd
}

func (p *program) getCertificate(ctx context.Context, uid string) (*kmip.GetResponse, error) {
	r, err := do[kmip.GetResponse](ctx, p, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
	if err != nil {
		return nil, err
	}
	return r, certificateKind.check(&r.Value)
}

// withIssuers adds the certificates of the issuers to that of uid.
func (p *program) withIssuers(ctx context.Context, uid string, chain []*kmip.Value) ([]*kmip.Value, error) {
	issuers, err := p.issuers(ctx, uid)
	if err != nil {
		return nil, err
	}
	for _, uid := range issuers {
		r, err := p.getCertificate(ctx, uid)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", uid, err)
		}
		chain = append(chain, &r.Value)
	}
	return chain, nil
}

// longestChain is how many certificates are followed.
const longestChain = 16

// issuers follows the links from a certificate to its issuer's, to that one's, and so on.
func (p *program) issuers(ctx context.Context, uid string) (chain []string, err error) {
	seen := map[string]bool{}
	for {
		seen[uid] = true
		r, err := do[kmip.GetAttributesResponse](ctx, p, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{
			UniqueIdentifier: kmip.UniqueIdentifier(uid), AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagLink}},
		})
		if err != nil {
			return nil, err
		}
		uid = ""
		for _, l := range kmip.All[kmip.Link](r.Attributes, ttlv.TagLink) {
			if l.LinkType == kmip.LinkTypeCertificateLink {
				uid = string(l.LinkedObjectIdentifier)
			}
		}
		if uid == "" || seen[uid] {
			return chain, nil
		}
		if chain = append(chain, uid); len(chain) == longestChain {
			return nil, fmt.Errorf("the chain has more than %d certificates", longestChain)
		}
	}
}

// validity is the answer of certificates validate.
type validity struct {
	Validity string `json:"validity"` // valid, invalid or unknown
}

// A validating has the flags of certificates validate.
type validating struct {
	uids   []string
	linked bool // with their issuers
	date   string
}

func (p *program) certificateValidateCommand() *cobra.Command {
	var v validating
	cmd := &cobra.Command{
		Use:   "validate [FILE…]",
		Short: "Say whether a chain of certificates holds",
		Long: `Have the server say whether certificates, those in files and those named, make a chain that holds: it ends at an authority of the
server's clients, or at a self-signed certificate that is in the server and named. Ends with 0 for a valid chain, else with 1; unknown is a
chain in which nothing is wrong, and which ends nowhere.`,
		Example: `  strongroom certificates validate --certificate-id my_certificate --with-issuers
  strongroom certificates validate --certificate-id my_root --validity-date 2027-01-01T00:00:00Z server.crt intermediate.crt`,
		Args: arguments(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := v.request(cmd.Context(), p, args)
			if err != nil {
				return err
			}
			return p.validate(cmd.Context(), q)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&v.uids, certificateKind.flag(), "c", nil, "unique identifier `ID` of a certificate in the server (may be repeated)")
	f.BoolVar(&v.linked, "with-issuers", false, "with the certificates of the issuers that those named are linked to")
	f.StringVar(&v.date, "validity-date", "", "`TIME` at which the chain is to hold (default now)")
	return cmd
}

// request puts the request together, of what is named and of files.
func (v *validating) request(ctx context.Context, p *program, files []string) (*kmip.ValidateRequest, error) {
	if len(files) == 0 && len(v.uids) == 0 {
		return nil, misused("no certificate is named: give a FILE or --%s ID", certificateKind.flag())
	}
	q := new(kmip.ValidateRequest)
	if v.date != "" {
		t, err := time.Parse(time.RFC3339, v.date)
		if err != nil {
			return nil, misused("--validity-date %q is no time as 2027-01-01T00:00:00Z is one", v.date)
		}
		q.ValidityDate = &t
	}
	for _, name := range files {
		data, err := p.readKey(name)
		if err != nil {
			return nil, err
		}
		chain, err := certificatesOf(data)
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", name, err)
		}
		for _, c := range chain {
			q.Certificates = append(q.Certificates, *c)
		}
	}
	for _, uid := range v.uids {
		q.UniqueIdentifiers = append(q.UniqueIdentifiers, kmip.UniqueIdentifier(uid))
		if !v.linked {
			continue
		}
		issuers, err := p.issuers(ctx, uid)
		if err != nil {
			return nil, fmt.Errorf("finding the issuers of %q: %w", uid, err)
		}
		for _, issuer := range issuers {
			q.UniqueIdentifiers = append(q.UniqueIdentifiers, kmip.UniqueIdentifier(issuer))
		}
	}
	return q, nil
}

// validate asks the server, and answers. That a chain does not hold is an error.
func (p *program) validate(ctx context.Context, q *kmip.ValidateRequest) error {
	r, err := do[kmip.ValidateResponse](ctx, p, kmip.OperationValidate, q)
	if err != nil {
		return err
	}
	if r.ValidityIndicator == kmip.ValidityIndicatorValid {
		return p.answer(validity{"valid"}, "The certificates are valid.")
	}
	no := errors.New("the certificates make no chain that holds")
	if r.ValidityIndicator == kmip.ValidityIndicatorUnknown {
		no = errors.New("it is unknown whether the certificates are valid: their chain ends at no authority that the server trusts")
	}
	return p.denied(validity{spelled(r.ValidityIndicator.String())}, no)
}
