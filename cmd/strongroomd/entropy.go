package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"strongroom/conf"
	"strongroom/hsm"
	"strongroom/kmip"
	"strongroom/store/entropy"
)

// mix makes the source of random bytes that [entropy] asks for. All that is made shares the one, so that it sees a token that
// repeats itself. It is made before the tokens are there.
func (b *backends) mix(c *conf.Config, log *slog.Logger) {
	if c.Entropy.Mode != "augmentation" {
		return
	}
	b.entropy = entropy.New(func(ctx context.Context, bytes []byte) error {
		if b.hsm == nil {
			return kmip.Errorf(kmip.ResultReasonGeneralFailure, "the token whose random bytes are wanted is not there yet")
		}
		return b.hsm.Random(ctx, c.Entropy.Slot, bytes)
	}, log)
}

// random is where what the server makes comes from, as [entropy] says; nil is the operating system alone.
func (b *backends) random(c *conf.Config) kmip.Random {
	if b.entropy == nil {
		return nil
	}
	return func(ctx context.Context, owner string, a kmip.Attributes, purpose string) (io.Reader, error) {
		asked, err := kmip.AsksEntropy(a)
		if err != nil || !asked && !augments(c, owner) {
			return nil, err
		}
		return augmented{b.entropy.Reader(ctx, purpose), c.Entropy.Slot}, nil
	}
}

// augments says whether random bytes of the token go into what is made for an owner who does not ask.
func augments(c *conf.Config, owner string) bool {
	return c.Entropy.Scope == "all" || slices.Contains(c.Entropy.Users, owner)
}

// ivs is where the IVs and salts come from that keys of the database make: those whose material came of the token's bytes, too, and
// those whose owner's would.
func (b *backends) ivs(c *conf.Config) kmip.IVs {
	if b.entropy == nil {
		return nil
	}
	return func(owner string, a kmip.Attributes, purpose string) io.Reader {
		asked, _ := kmip.AsksEntropy(a)
		_, tells := a.Vendor(kmip.VendorServer, kmip.AttributeEntropy)
		if !asked && !tells && !augments(c, owner) {
			return nil
		}
		return b.entropy.Stream(purpose)
	}
}

// inTokens sets where those come from that are made for keys in tokens, which have no owner who could ask.
func (b *backends) inTokens(c *conf.Config, modules []hsm.Module) []hsm.Module {
	if b.entropy == nil || c.Entropy.Scope != "all" {
		return modules
	}
	for _, m := range modules {
		for i := range m.Slots {
			m.Slots[i].Random = b.entropy.Stream("IV of a key in a token")
		}
	}
	return modules
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
	if b.entropy == nil || b.hsm == nil {
		return nil
	}
	return func(ctx context.Context, data []byte) error {
		if err := b.hsm.SeedRandom(ctx, c.Entropy.Slot, data); err != nil {
			return fmt.Errorf("seeding the generator of the token in slot %d: %w", c.Entropy.Slot, err)
		}
		return nil
	}
}

// entropyText is what the status says of random bytes.
func entropyText(c *conf.Config, source *entropy.Source) string {
	if source == nil {
		return "off"
	}
	text := fmt.Sprintf("%s (slot %d), scope %s", c.Entropy.Mode, c.Entropy.Slot, c.Entropy.Scope)
	alone, why := source.Alone()
	if alone > 0 {
		text += fmt.Sprintf(", %d IVs and salts of the system alone", alone)
	}
	if why != nil {
		text += ", the token gives none: " + strings.ReplaceAll(why.Error(), "\n", "; ")
	}
	return text
}
