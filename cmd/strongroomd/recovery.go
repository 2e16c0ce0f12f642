package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"strongroom/store/seal"
	"strongroom/store/soft"
)

// A share is what one keeper of a recovery key has:
//
//	version, 1 ‖ shares ‖ threshold ‖ number ‖ fingerprint of the recovery key (8) ‖ its data (32) ‖ check (4)
//
// in base32 behind a word that says what it is. The check is the beginning of the SHA-256 of what stands before it: it finds slips
// of the pen.
type share struct {
	shares, threshold, number int
	fingerprint               string
	data                      []byte
}

const (
	sharePrefix  = "strongroom-share-"
	shareSize    = 4 + 8 + 32
	shareVersion = 1
)

var shareText = base32.StdEncoding.WithPadding(base32.NoPadding)

func (s *share) String() string {
	fingerprint, _ := hex.DecodeString(s.fingerprint)
	b := append([]byte{shareVersion, byte(s.shares), byte(s.threshold), byte(s.number)}, fingerprint...)
	b = append(b, s.data...)
	sum := sha256.Sum256(b)
	defer clear(b)
	return sharePrefix + strings.ToLower(shareText.EncodeToString(append(b, sum[:4]...)))
}

// parseShare reads what somebody typed. Its error does not repeat it.
func parseShare(text string) (*share, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), sharePrefix)
	if !ok {
		return nil, fmt.Errorf("a recovery share begins with %s", sharePrefix)
	}
	b, err := shareText.DecodeString(strings.ToUpper(rest))
	if err != nil || len(b) != shareSize+4 {
		return nil, errors.New("the recovery share is not whole: it has characters too many, too few, or that none has")
	}
	sum := sha256.Sum256(b[:shareSize])
	if string(sum[:4]) != string(b[shareSize:]) {
		return nil, errors.New("the recovery share has a mistake in it: its check does not match")
	}
	if b[0] != shareVersion {
		return nil, fmt.Errorf("the recovery share is of version %d, which this program does not know", b[0])
	}
	return &share{int(b[1]), int(b[2]), int(b[3]), hex.EncodeToString(b[4:12]), b[12:shareSize]}, nil
}

// A recoveryKey is a recovery key of which there are shares: 32 bytes.
type recoveryKey struct {
	sharing
	Key []byte `json:"key"`
}

// newRecovery makes a recovery key, which its caller clears, and its shares.
func newRecovery(n sharing) (_ *recoveryKey, texts []string, err error) {
	k := &recoveryKey{n, make([]byte, 32)}
	rand.Read(k.Key)
	defer func() {
		if err != nil {
			clear(k.Key)
		}
	}()
	p, err := k.protector()
	if err != nil {
		return nil, nil, err
	}
	parts, err := soft.SplitSecret(k.Key, n.Shares, n.Threshold)
	if err != nil {
		return nil, nil, err
	}
	for i, part := range parts {
		texts = append(texts, (&share{n.Shares, n.Threshold, i + 1, fingerprintOf(p), part}).String())
		clear(part)
	}
	return k, texts, nil
}

func (k *recoveryKey) protector() (seal.Protector, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	if k.Shares == 0 {
		return nil, errors.New("a recovery key has shares")
	}
	return seal.NewRecoveryKey(k.Key, k.Shares, k.Threshold)
}

// fingerprintOf is the last part of a reference.
func fingerprintOf(p seal.Protector) string {
	return p.Reference()[strings.LastIndexByte(p.Reference(), ':')+1:]
}

// put makes the recovery slot, in place of the one before. It gives the key's fingerprint.
func (k *recoveryKey) put(ctx context.Context, root *seal.Root) (string, error) {
	p, err := k.protector()
	if err != nil {
		return "", err
	}
	return fingerprintOf(p), root.Add(ctx, p, seal.SlotRecovery)
}

// A recovered answers POST /seal/recovery.
type recovered struct {
	Fingerprint string `json:"fingerprint"` // of the recovery key
}

// createRecovery prints new shares and then has put make their slot: who is cut off in between has the shares of before, which still
// open the root key, and who is cut off behind it has the new ones.
func createRecovery(out io.Writer, n sharing, put func(*recoveryKey) (fingerprint string, err error)) error {
	k, texts, err := newRecovery(n)
	if err != nil {
		return err
	}
	defer clear(k.Key)
	if err := tellShares(out, texts, n.Threshold); err != nil {
		return fmt.Errorf("the shares could not be shown, and nothing was changed: %w", err)
	}
	fingerprint, err := put(k)
	var lost noServer
	switch {
	case errors.As(err, &lost):
		return fmt.Errorf("whether the shares above open the root key, or those of before, is not known: seal status and seal recovery verify tell: %w", err)
	case err != nil:
		return fmt.Errorf("the shares above are of no use, those of before are as they were: %w", err)
	}
	_, err = fmt.Fprintf(out, "They do now: recovery key %s. Shares that were made before are of no use any more.\n", fingerprint)
	return err
}

// A collection is the shares that were given so far, by their numbers.
type collection struct {
	of   string // fingerprint of the recovery key
	have map[int]*share
}

// add takes one more share, and gives the recovery key once there are enough. A share of another recovery key than the slot's is
// refused, and changes nothing.
func (c *collection) add(ctx context.Context, root *seal.Root, text string) (p seal.Protector, have, need int, err error) {
	s, err := parseShare(text)
	if err != nil {
		return nil, 0, 0, err
	}
	slot, err := recoverySlot(ctx, root)
	if err != nil {
		return nil, 0, 0, err
	}
	shares, threshold, fingerprint, _ := slot.RecoveryShares()
	if s.fingerprint != fingerprint || s.shares != shares || s.threshold != threshold {
		return nil, 0, 0, fmt.Errorf("the share is of the recovery key %s, and %v is under another one", s.fingerprint, slot)
	}
	if c.of != fingerprint {
		c.of, c.have = fingerprint, map[int]*share{}
	}
	c.have[s.number] = s
	if len(c.have) < threshold {
		return nil, len(c.have), threshold, nil
	}
	defer func() { *c = collection{} }()
	p, err = c.join(shares, threshold)
	if err == nil && p.Reference() != slot.Protector {
		err = errors.New("these shares do not give the recovery key: one of them is forged; begin again")
	}
	return p, threshold, threshold, err
}

// join gives the recovery key.
func (c *collection) join(shares, threshold int) (seal.Protector, error) {
	all := map[int][]byte{}
	for _, number := range slices.Sorted(maps.Keys(c.have)) {
		all[number] = c.have[number].data
	}
	key, err := soft.JoinSecret(all, shares, threshold)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return seal.NewRecoveryKey(key, shares, threshold)
}

// shareUnsealer opens root keys by the recovery shares that a file has, or standard input for "-": whatever else is in it is passed over,
// so that it may be what seal recovery create printed.
func shareUnsealer(source string, stdin io.Reader) (func(context.Context, *seal.Root) error, error) {
	in := stdin
	if source != "-" {
		f, err := os.Open(source)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("reading recovery shares: %w", err)
	}
	var shares []string
	for _, word := range strings.Fields(string(text)) {
		if strings.HasPrefix(word, sharePrefix) {
			shares = append(shares, word)
		}
	}
	clear(text)
	if len(shares) == 0 {
		return nil, fmt.Errorf("%s has no recovery share: one begins with %s", source, sharePrefix)
	}
	return func(ctx context.Context, root *seal.Root) error { return unsealByShares(ctx, root, shares) }, nil
}

func unsealByShares(ctx context.Context, root *seal.Root, shares []string) error {
	var c collection
	have, need := 0, 0
	for _, text := range shares {
		p, h, n, err := c.add(ctx, root, text)
		if err != nil {
			return err
		}
		if p != nil {
			return root.Unseal(ctx, p)
		}
		have, need = h, n
	}
	return fmt.Errorf("%d of %d recovery shares: more are needed", have, need)
}

func recoverySlot(ctx context.Context, root *seal.Root) (*seal.Slot, error) {
	t, err := root.Slots(ctx)
	if err != nil {
		return nil, err
	}
	for i := range t.Slots {
		if t.Slots[i].State == seal.SlotRecovery {
			return &t.Slots[i], nil
		}
	}
	return nil, errors.New("there is no recovery slot: strongroomd seal recovery create makes one")
}

// addShare takes a share; once there are enough they unseal. The answer is nil then.
func (s *sealer) addShare(ctx context.Context, text string) (*unsealed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, more, err := s.shares.take(ctx, s.root, text)
	if p == nil {
		return more, err
	}
	return nil, s.root.Unseal(ctx, p)
}

// verifyShare takes a share to see whether enough of them would unseal. It unseals nothing.
func (s *sealer) verifyShare(ctx context.Context, text string) (*unsealed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, answer, err := s.verified.take(ctx, s.root, text)
	if p == nil {
		return answer, err
	}
	slot, err := s.root.Check(ctx, p)
	if err != nil {
		return nil, err
	}
	answer.Message = fmt.Sprintf("these shares open %v", slot)
	return answer, nil
}

// take is add with an answer to the operator, for as long as there are not enough.
func (c *collection) take(ctx context.Context, root *seal.Root, text string) (seal.Protector, *unsealed, error) {
	p, have, need, err := c.add(ctx, root, text)
	if err != nil {
		return nil, nil, err
	}
	return p, &unsealed{Message: fmt.Sprintf("%d of %d recovery shares", have, need), Have: have, Need: need}, nil
}
