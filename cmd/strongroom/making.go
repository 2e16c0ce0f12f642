package main

import (
	"time"

	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Usage masks of the keys that are made here.
const (
	cipherUsage    = kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskDecrypt | kmip.CryptographicUsageMaskWrapKey | kmip.CryptographicUsageMaskUnwrapKey
	macUsage       = kmip.CryptographicUsageMaskMACGenerate | kmip.CryptographicUsageMaskMACVerify
	privateUsage   = kmip.CryptographicUsageMaskSign | kmip.CryptographicUsageMaskDecrypt | kmip.CryptographicUsageMaskUnwrapKey
	agreementUsage = kmip.CryptographicUsageMaskDeriveKey | kmip.CryptographicUsageMaskKeyAgreement
	wrappingKeyID  = "wrapping-key-id"
	sensitiveFlag  = "sensitive"
	preActiveFlag  = "pre-active"
	hsmWrappedFlag = "hsm-wrapped"
	tagFlag        = "tag"
	objectNameFlag = "name"
	keyUsageFlag   = "key-usage"
)

// making are the flags that every command has that makes an object.
type making struct {
	uid       string
	wrapping  string
	tags      []string
	names     []string
	sensitive bool
	preActive bool
	usage     string
	inHSM     bool

	saidSensitive bool
}

// flags adds the flags to a command.
func (m *making) flags(cmd *cobra.Command) {
	m.publicFlags(cmd)
	cmd.Flags().BoolVar(&m.sensitive, sensitiveFlag, false, "never to leave the server in clear; true for an HSM key unless --sensitive=false is given")
}

// createFlags adds the flags to a command that has the server make a key.
func (m *making) createFlags(cmd *cobra.Command) {
	m.flags(cmd)
	cmd.Flags().BoolVar(&m.inHSM, hsmWrappedFlag, false, "made in an HSM, wrapped there by the wrapping key (or the server's usual one), and used only there; kept in the database")
}

// publicFlags adds those that fit objects of which nothing is secret.
func (m *making) publicFlags(cmd *cobra.Command) {
	m.nameFlags(cmd)
	m.usageFlag(cmd)
	cmd.Flags().BoolVar(&m.preActive, preActiveFlag, false, "not to be used until it is activated")
}

// nameFlags adds those by which an object is found and kept.
func (m *making) nameFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&m.wrapping, wrappingKeyID, "", "`ID` of the key that wraps it in the database")
	f.StringArrayVarP(&m.tags, tagFlag, "t", nil, "`WORD` to find it by (may be repeated)")
	f.StringArrayVar(&m.names, objectNameFlag, nil, "`NAME` attribute (may be repeated)")
}

// usageFlag adds the one that says what an object is for.
func (m *making) usageFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.usage, keyUsageFlag, "", "what it is for, a `LIST` of KMIP's names: encrypt,decrypt; of a pair, what the private key is for (default the usual of its algorithm)")
}

// usageOr is what the flag says the key is for, or the usual.
func (m *making) usageOr(usual kmip.CryptographicUsageMask) (kmip.CryptographicUsageMask, error) {
	if m.usage == "" {
		return usual, nil
	}
	mask, ok := maskNamed(ttlv.TagCryptographicUsageMask, m.usage)
	if !ok {
		return 0, misused("--%s %q is no list of names as KMIP has them (encrypt,decrypt)", keyUsageFlag, m.usage)
	}
	return kmip.CryptographicUsageMask(mask), nil
}

// read takes what the flags and arguments say; the identifier is argument number n, if there is one.
func (m *making) read(cmd *cobra.Command, args []string, n int) error {
	m.saidSensitive = cmd.Flags().Changed(sensitiveFlag)
	if len(args) > n {
		m.uid = args[n]
		return kmip.CheckIdentifier(m.uid)
	}
	return nil
}

// attributes are what all objects of the command get. Objects are usable at once unless --pre-active is given.
func (m *making) attributes() kmip.Attributes {
	a := m.named()
	if !m.preActive {
		a = a.Plus(ttlv.TagActivationDate, time.Now())
	}
	return a
}

// named are what an object is found by, and how it is kept.
func (m *making) named() kmip.Attributes {
	var a kmip.Attributes
	for _, n := range m.names {
		a = a.Plus(ttlv.TagName, kmip.Name{NameValue: n, NameType: kmip.NameTypeUninterpretedTextString})
	}
	if m.wrapping != "" {
		a = a.PlusVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID, m.wrapping)
	}
	if m.inHSM {
		a = a.PlusVendor(kmip.VendorClient, kmip.AttributeProtection, kmip.ProtectionHSMWrapped)
	}
	for _, t := range m.tags {
		a = a.PlusVendor(kmip.VendorClient, kmip.AttributeTag, t)
	}
	return a
}

// material are what an object with secret material gets beside: its identifier, and whether it may leave.
func (m *making) material() kmip.Attributes {
	var a kmip.Attributes
	if m.uid != "" {
		a = a.Plus(ttlv.TagUniqueIdentifier, m.uid)
	}
	if m.saidSensitive {
		a = a.Plus(ttlv.TagSensitive, m.sensitive)
	}
	return a
}
