package main

import (
	"slices"

	"strongroom/conf"
	"strongroom/kmip/server"
	"strongroom/store/soft"
)

// certificationOf is how the configuration has certificates issued.
func certificationOf(c *conf.Config) *server.Certification {
	policy := server.Certification{
		Issuer: c.Certify.Issuer, Key: c.Certify.IssuerKey, Validity: c.Certify.Validity, Longest: c.Certify.MaxValidity, Authorities: c.Certify.Authorities,
	}
	for _, u := range soft.ExtendedKeyUsages {
		if slices.Contains(c.Certify.Usages, u.Name) {
			policy.Usages = append(policy.Usages, u.Usage)
		}
	}
	return server.NewCertification(policy)
}
