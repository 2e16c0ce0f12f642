package store

import (
	"testing"

	"strongroom/kmip"
	"strongroom/kmip/kmiptest"
)

var suiteOptions = kmiptest.Options{
	Owner:          "alice",
	OwnerIsStored:  true,
	TakesMaterial:  true,
	KeepsDestroyed: true,
	FreeHalves:     true,
}

func TestBackend(t *testing.T) {
	kmiptest.Backend(t, func(t *testing.T) kmip.Backend { return openStore(t, Options{}) }, suiteOptions)
}

func TestBackendCached(t *testing.T) {
	kmiptest.Backend(t, func(t *testing.T) kmip.Backend { return openStore(t, Options{Cache: newTestCache()}) }, suiteOptions)
}
