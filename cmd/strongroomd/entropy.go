package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"strongroom/conf"
	"strongroom/kmip"
	"strongroom/store/entropy"
)

// random is where what the server makes comes from, as [entropy] says; nil is the operating system alone. All that is made shares
// one source, so that it sees a token that repeats itself.
func (b *backends) random(c *conf.Config) kmip.Random {
	if c.Entropy.Mode != "augmentation" {
		return nil
	}
	if b.entropy == nil {
		b.entropy = entropy.New(func(ctx context.Context, bytes []byte) error {
			if b.hsm == nil {
				return kmip.Errorf(kmip.ResultReasonGeneralFailure, "the token whose random bytes are wanted is not there yet")
			}
			return b.hsm.Random(ctx, c.Entropy.Slot, bytes)
		})
	}
	source, users := b.entropy, c.Entropy.Users
	all := c.Entropy.Scope == "all"
	return func(ctx context.Context, owner string, a kmip.Attributes, purpose string) (io.Reader, error) {
		asked, err := kmip.AsksEntropy(a)
		if err != nil || !all && !asked && !slices.Contains(users, owner) {
			return nil, err
		}
		return augmented{source.Reader(ctx, purpose), c.Entropy.Slot}, nil
	}
}

// An augmented reader says in its errors what could not be done, and to whom a client may turn.
type augmented struct {
	from io.Reader
	slot uint32
}

// Read reads, or fails as General Failure with the token's own text.
func (a augmented) Read(b []byte) (int, error) {
	n, err := a.from.Read(b)
	if err != nil {
		err = kmip.Errorf(kmip.ResultReasonGeneralFailure, "taking random bytes of the token in slot %d: %w", a.slot, err)
	}
	return n, err
}

// seedToken mixes an RNG Seed into the generator of the token that random bytes are taken of; nil without one.
func (b *backends) seedToken(c *conf.Config) func(context.Context, []byte) error {
	if c.Entropy.Mode != "augmentation" || b.hsm == nil {
		return nil
	}
	return func(ctx context.Context, data []byte) error {
		if err := b.hsm.SeedRandom(ctx, c.Entropy.Slot, data); err != nil {
			return fmt.Errorf("seeding the generator of the token in slot %d: %w", c.Entropy.Slot, err)
		}
		return nil
	}
}
