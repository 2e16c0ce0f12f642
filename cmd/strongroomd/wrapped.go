package main

import (
	"context"
	"fmt"
	"strings"

	"strongroom/conf"
	"strongroom/kmip"
	"strongroom/store"
)

// wrappedKeys makes and uses the keys of the class hsm-wrapped for the store, which is there before the tokens are.
type wrappedKeys struct{ b *backends }

// wrapping is what the store knows of the tokens: nothing where none is configured.
func (b *backends) wrapping(c *conf.Config) store.Token {
	if len(c.HSM) == 0 {
		return nil
	}
	return wrappedKeys{b}
}

// GenerateWrapped makes a symmetric key.
func (w wrappedKeys) GenerateWrapped(ctx context.Context, wrapping string, a kmip.Attributes) ([]byte, int32, error) {
	return w.b.hsm.GenerateWrapped(ctx, wrapping, a)
}

// GeneratePairWrapped makes a pair.
func (w wrappedKeys) GeneratePairWrapped(ctx context.Context, wrapping string, private, public kmip.Attributes) ([]byte, *kmip.Value, error) {
	return w.b.hsm.GeneratePairWrapped(ctx, wrapping, private, public)
}

// OpenWrapped is the key that computes in the token.
func (w wrappedKeys) OpenWrapped(ctx context.Context, wrapping string, kept []byte, a kmip.Attributes) (kmip.Opened, error) {
	return w.b.hsm.OpenWrapped(ctx, wrapping, kept, a)
}

// Rewrap puts a key under another wrapping key.
func (w wrappedKeys) Rewrap(ctx context.Context, from, to string, kept []byte) ([]byte, error) {
	return w.b.hsm.Rewrap(ctx, from, to, kept)
}

// checkWrappingKey refuses a configured wrapping key that cannot be one in a configured token. It need not be there yet.
func checkWrappingKey(c *conf.Config) error {
	if c.HSMWrappingKey == "" {
		return nil
	}
	slot, _, token, err := kmip.HSMKey(strings.ReplaceAll(c.HSMWrappingKey, "{identity}", "identity"))
	if err != nil {
		return fmt.Errorf("hsm_wrapping_key: %w", err)
	}
	if token && c.HasSlot(slot) {
		return nil
	}
	return fmt.Errorf("hsm_wrapping_key: %q is no key in a slot of the configuration", c.HSMWrappingKey)
}
