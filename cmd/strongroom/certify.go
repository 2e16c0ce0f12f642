package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A certifying has the flags of commands that have a certificate issued.
type certifying struct {
	request      string // a file
	subject      string
	alternatives []string
	issuer       string
	days         int
}

func (c *certifying) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&c.request, "certificate-signing-request", "r", "", "`FILE` with a certificate request (PKCS#10), in PEM or DER; - is standard input")
	f.StringVar(&c.subject, "subject-name", "", "whom the certificate is for, a `NAME` such as \"C=DE, O=Example, CN=server\", where no certificate request says it")
	f.StringArrayVar(&c.alternatives, "subject-alternative-name", nil, "another `NAME` of it, where no certificate request says it: dns:server.example.com, ip:192.0.2.1, email:… or uri:… (may be repeated)")
	f.StringVarP(&c.issuer, issuerFlag, "i", "", "`ID` of the certificate in the server to sign with (default the one that is configured there)")
	f.IntVar(&c.days, "days", 0, "how long it is valid from now, `N` days (default what is configured in the server)")
}

const issuerFlag = "issuer-certificate-id"

// attributes are what is said of the certificate.
func (c *certifying) attributes() (kmip.Attributes, error) {
	a := links{issuer: c.issuer}.attributes()
	if c.days < 0 || c.days > math.MaxInt32/86400 {
		return nil, misused("--days %d is no time from now", c.days)
	}
	if c.days > 0 {
		a = a.With(ttlv.TagDeactivationDate, time.Now().Add(time.Duration(c.days)*24*time.Hour))
	}
	if c.subject != "" || len(c.alternatives) > 0 {
		s, err := subject(c.subject, c.alternatives)
		if err != nil {
			return nil, err
		}
		a = a.With(ttlv.TagX509CertificateSubject, s)
	}
	return a, nil
}

// csr reads the certificate request, in DER; nil without one.
func (c *certifying) csr(p *program) ([]byte, error) {
	if c.request == "" {
		return nil, nil
	}
	if c.subject != "" || len(c.alternatives) > 0 {
		return nil, misused("the certificate request says whom the certificate is for: leave --subject-name and --subject-alternative-name out")
	}
	data, err := p.readKey(c.request)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	if _, err := x509.ParseCertificateRequest(data); err != nil {
		return nil, fmt.Errorf("%q has no certificate request (PKCS#10) in PEM or DER", c.request)
	}
	return data, nil
}

// requestType is the type of a certificate request, if there is one.
func requestType(csr []byte) kmip.CertificateRequestType {
	if csr == nil {
		return 0
	}
	return kmip.CertificateRequestTypePKCS10
}

func (p *program) certifyCommand() *cobra.Command {
	var c certifying
	var m making
	var public, private string
	cmd := &cobra.Command{
		Use:   "certify [ID]",
		Short: "Have the server issue a certificate",
		Long: `Have the server issue a certificate, ID, for what a certificate request says, or for a public key in the server. It is signed with the
private key of the issuer's certificate; that takes the right to certify with that key, and its usage certificate-sign. What the server
issues, and for how long, is said by [certify] in its configuration.

With --private-key-id a key signs the certificate of its own public key, and there is no issuer.`,
		Example: `  strongroom certificates certify --certificate-signing-request server.csr --issuer-certificate-id my_root --days 90 my_certificate
  strongroom certificates certify --public-key-id my_rsa_key_pk --subject-name "O=Example, CN=server" --subject-alternative-name dns:server.example.com my_certificate`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.read(cmd, args, 0); err != nil {
				return misuse{err}
			}
			if public == "" && c.request == "" {
				return misused("nothing to certify is named: give --certificate-signing-request FILE or --public-key-id ID")
			}
			csr, err := c.csr(p)
			if err != nil {
				return err
			}
			a, err := c.attributes()
			if err != nil {
				return err
			}
			a = append(a, links{private: private}.attributes()...)
			return p.certify(cmd.Context(), &m, &kmip.CertifyRequest{
				UniqueIdentifier: kmip.UniqueIdentifier(public), CertificateRequestType: requestType(csr), CertificateRequest: csr, Attributes: a,
			})
		},
	}
	m.nameFlags(cmd)
	m.usageFlag(cmd)
	c.flags(cmd)
	cmd.Flags().StringVar(&public, "public-key-id", "", "`ID` of the public key in the server that the certificate is of; with a certificate request, the key that it must be for")
	cmd.Flags().StringVar(&private, "private-key-id", "", "`ID` of the private key that goes with the public one, to sign with instead of an issuer's")
	return cmd
}

// certify has the certificate issued.
func (p *program) certify(ctx context.Context, m *making, q *kmip.CertifyRequest) error {
	usage, err := m.usageOr(0)
	if err != nil {
		return err
	}
	if usage != 0 {
		q.Attributes = q.Attributes.With(ttlv.TagCryptographicUsageMask, usage)
	}
	q.Attributes = append(append(q.Attributes, m.named()...), m.material()...)
	r, err := do[kmip.CertifyResponse](ctx, p, kmip.OperationCertify, q)
	if err != nil {
		return err
	}
	return p.about("The certificate was successfully issued.", r.UniqueIdentifier)
}

func (p *program) reCertifyCommand() *cobra.Command {
	var c certifying
	var uid string
	var offset time.Duration
	cmd := certificateKind.needsID(&cobra.Command{
		Use:   "re-certify --certificate-id ID [NEW_ID]",
		Short: "Have the server issue a certificate anew",
		Long: `Have the server issue a certificate anew, for the same public key: with the same subject, names and attributes, unless a certificate
request or the flags say otherwise, and signed with the same issuer's. What is replaced stays, with a link to its replacement.`,
		Example: `  strongroom certificates re-certify --certificate-id my_certificate --days 90
  strongroom certificates re-certify --certificate-id my_certificate --certificate-signing-request server.csr --offset 0s my_certificate_2`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var m making
			if err := m.read(cmd, args, 0); err != nil {
				return misuse{err}
			}
			q, err := c.renewal(p, uid, &m)
			if err != nil {
				return err
			}
			moves := cmd.Flags().Changed(offsetFlag)
			if moves && c.days > 0 || !moves && c.days == 0 {
				return misused("say how long the new certificate is valid: either --days N, or --%s TIME for as long as the old one", offsetFlag)
			}
			if q.Offset, err = offsetOf(offset); err != nil {
				return err
			}
			if !moves {
				q.Offset, q.Attributes = nil, q.Attributes.With(ttlv.TagActivationDate, time.Now())
			}
			r, err := do[kmip.ReCertifyResponse](cmd.Context(), p, kmip.OperationReCertify, q)
			if err != nil {
				return err
			}
			return p.about("The certificate was successfully issued anew.", r.UniqueIdentifier)
		},
	}, &uid)
	c.flags(cmd)
	cmd.Flags().DurationVar(&offset, offsetFlag, 0, "`TIME` from now until it is valid, from then on for as long as the old one")
	return cmd
}

// renewal begins the request.
func (c *certifying) renewal(p *program, uid string, m *making) (*kmip.ReCertifyRequest, error) {
	csr, err := c.csr(p)
	if err != nil {
		return nil, err
	}
	a, err := c.attributes()
	return &kmip.ReCertifyRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid), CertificateRequestType: requestType(csr), CertificateRequest: csr, Attributes: append(a, m.material()...),
	}, err
}
