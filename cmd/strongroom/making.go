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
	publicUsage    = kmip.CryptographicUsageMaskVerify | kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskWrapKey
	wrappingKeyID  = "wrapping-key-id"
	sensitiveFlag  = "sensitive"
	preActiveFlag  = "pre-active"
	tagFlag        = "tag"
	objectNameFlag = "name"
)

// making are the flags that every command has that makes an object.
type making struct {
	uid       string
	wrapping  string
	tags      []string
	names     []string
	sensitive bool
	preActive bool

	saidSensitive bool
}

// flags adds the flags to a command.
func (m *making) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&m.wrapping, wrappingKeyID, "", "`ID` of the key that wraps this one in the database")
	f.StringArrayVarP(&m.tags, tagFlag, "t", nil, "`WORD` to find the key by (may be repeated)")
	f.StringArrayVar(&m.names, objectNameFlag, nil, "`NAME` attribute (may be repeated)")
	f.BoolVar(&m.sensitive, sensitiveFlag, false, "the key never leaves in clear; true for an HSM key unless --sensitive=false is given")
	f.BoolVar(&m.preActive, preActiveFlag, false, "leave the key unusable until it is activated")
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
	var a kmip.Attributes
	for _, n := range m.names {
		a = a.Plus(ttlv.TagName, kmip.Name{NameValue: n, NameType: kmip.NameTypeUninterpretedTextString})
	}
	if !m.preActive {
		a = a.Plus(ttlv.TagActivationDate, time.Now())
	}
	if m.wrapping != "" {
		a = a.PlusVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID, m.wrapping)
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
