package hsm

import (
	"testing"

	"strongroom/kmip"
	"strongroom/kmip/kmiptest"
)

func TestBackend(t *testing.T) {
	kmiptest.Backend(t, func(t *testing.T) kmip.Backend { return open(t) }, kmiptest.Options{
		Prefix: kmip.HSMIdentifier(4, ""), Owner: "ops", TakesMaterial: true,
	})
}
