package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"strongroom/conf"
	"strongroom/hsm"
	"strongroom/kmip"
	"strongroom/kmip/server"
	"strongroom/store"
	"strongroom/store/crash"
	"strongroom/store/entropy"
	"strongroom/store/seal"
)

// A sealer opens the root key, when the server starts and whenever its protector comes back, sees to it that it could be opened
// again, and does with its slots what the operator asks for. The table of slots is the truth: the configuration says which
// protectors may be used, and in two cases which is wished for.
type sealer struct {
	conf    *conf.Config
	store   *store.Store
	root    *seal.Root
	hsm     *hsm.HSM        // nil without a module
	random  *entropy.Source // nil without augmentation
	log     *slog.Logger
	audit   *server.Audit // nil before the server serves
	purge   func() int    // forgets every unwrapped key
	keys    *keyring      // the server's own, which follow the root key; nil before the server serves
	stdin   seal.Protector
	replica *replica // among the servers of the root key; nil before the server serves

	wg   sync.WaitGroup
	acts sync.Mutex // held by the one act of an operator that is under way

	mu                   sync.Mutex
	shut                 bool     // by the operator: it is the operator who unseals
	why                  error    // the server is sealed
	health               health   // of the active slot's protector
	checks, checksFailed uint64   // of that
	learned              []string // sources of master keys that the operator named since the start
	wished               []string
	shares               collection // to unseal
	verified             collection
	moves                moves
}

// health is what was found when the active slot was opened last, to see whether it still opens.
type health struct {
	at   time.Time
	took time.Duration
	err  error
}

// Pauses between attempts to unseal.
const (
	shortestUnseal = time.Second
	longestUnseal  = 5 * time.Second
)

func newSealer(c *conf.Config, b *backends, log *slog.Logger) *sealer {
	return &sealer{conf: c, store: b.store, root: b.store.Root(), hsm: b.hsm, random: b.entropy, log: log}
}

// start opens the root key. A server whose HSM is away, and one whose operator is to unseal it, starts sealed; one whose master
// key is missing or another does not.
func (s *sealer) start(ctx context.Context) error {
	if err := s.readStdin(); err != nil {
		return err
	}
	err := s.unseal(ctx)
	if err == nil {
		s.followWish(ctx)
		return nil
	}
	t, readErr := s.root.Slots(ctx)
	if readErr != nil {
		return readErr
	}
	active := t.Active()
	if active == nil || active.Kind == seal.KindFile && s.conf.Seal.Strategy == "software" && s.conf.Seal.MasterKeyFile != "" {
		return err
	}
	return nil
}

// readStdin reads the master key from standard input, where the configuration has it there: that can be done once.
func (s *sealer) readStdin() error {
	if s.conf.Seal.Strategy != "software" || s.conf.Seal.MasterKeyFile != "-" {
		return nil
	}
	key, err := seal.ReadMasterKey("-", os.Stdin)
	if err == nil {
		s.stdin = key
	}
	return err
}

// run unseals when the server is sealed, and else proves now and then that the active slot still opens, until ctx ends.
func (s *sealer) run(ctx context.Context) {
	pause, every := shortestUnseal, s.conf.Seal.HealthInterval
	for {
		wait := every
		if s.unsealsItself() {
			wait = pause
			pause = min(2*pause, longestUnseal)
		} else {
			pause = shortestUnseal
			wait = min(cmp.Or(every, longestUnseal), longestUnseal)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		switch {
		case s.unsealsItself():
			if s.unseal(ctx) == nil {
				s.followWish(ctx)
			}
		case every > 0 && s.root.Unsealed() && s.due(every):
			s.check(ctx)
			s.tellReplica(ctx, 0)
		}
		s.tellReplica(ctx, replicaEvery)
	}
}

// wait waits for what run and rewrap began; their context has ended.
func (s *sealer) wait() {
	s.wg.Wait()
	s.moves.wg.Wait()
}

// unsealsItself says whether the server is sealed, and not by its operator.
func (s *sealer) unsealsItself() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.shut && !s.root.Unsealed()
}

func (s *sealer) due(every time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.health.at) >= every
}

// sealed is why no operation is performed; nil when they are.
func (s *sealer) sealed() error {
	if s.root.Unsealed() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil || s.shut {
		return seal.ErrSealed
	}
	return &kmip.Error{Reason: kmip.ResultReasonGeneralFailure, Message: "the server is sealed: " + strings.ReplaceAll(s.why.Error(), "\n", "; "), Err: s.why}
}

// unseal opens the root key with what the configuration has.
func (s *sealer) unseal(ctx context.Context) error {
	began := time.Now()
	err := s.root.UnsealWith(ctx, s.find, s.masterKeys()...)
	s.opened(err, "server", time.Since(began))
	return err
}

// opened notes what came of an attempt to unseal.
func (s *sealer) opened(err error, by string, took time.Duration) {
	s.mu.Lock()
	before := s.why
	s.why = err
	if err == nil {
		s.shut = false
		s.health = health{at: time.Now(), took: took}
		s.shares = collection{}
	}
	s.mu.Unlock()
	slot := s.root.OpenedBy()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		s.log.Error("the server is sealed", "err", strings.ReplaceAll(err.Error(), "\n", "; "))
		s.act("seal unseal", by, "", err)
	case err == nil && slot != nil:
		s.log.Info("unsealed", "slot", slot.ID, "protector", slot.Protector)
		s.act("seal unseal", by, slot.String(), nil)
		s.reserve(context.Background())
		s.tellReplica(context.Background(), 0)
		if s.keys != nil {
			if _, err := s.keys.unlock(context.Background()); err != nil {
				s.log.Error("unlocking the server's key files", "err", err)
			}
		}
	}
}

// act writes an audit line.
func (s *sealer) act(name, by, detail string, err error) {
	s.audit.Act(server.Act{Name: name, By: by, Detail: detail, Err: err})
}

// masterKeys are those that the configuration has and that can be read.
func (s *sealer) masterKeys() (all []seal.Protector) {
	for _, source := range s.sources() {
		if key, err := s.masterKey(source); err == nil {
			all = append(all, key)
		}
	}
	return all
}

// sources are the places of master keys that the configuration has, and those that the operator switched to.
func (s *sealer) sources() (all []string) {
	if s.conf.Seal.Strategy == "software" && s.conf.Seal.MasterKeyFile != "" {
		all = append(all, s.conf.Seal.MasterKeyFile)
	}
	for _, p := range s.conf.Seal.Previous {
		if p.Strategy == "software" {
			all = append(all, p.MasterKeyFile)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(all, s.learned...)
}

func (s *sealer) masterKey(source string) (seal.Protector, error) {
	if source == "-" {
		if s.stdin == nil {
			return nil, errors.New("the master key was to come from standard input, when the server started")
		}
		return s.stdin, nil
	}
	return seal.ReadMasterKey(source, strings.NewReader(""))
}

// find is the protector of a slot, if the configuration lets it be used: keys in the tokens of configured slots, and the master
// keys that are named. So a server never goes from a token down to a file that nobody configured.
func (s *sealer) find(ctx context.Context, slot *seal.Slot) (seal.Protector, error) {
	switch slot.Kind {
	case seal.KindToken:
		if s.hsm == nil {
			return nil, nil
		}
		guard, err := s.hsm.GuardOf(ctx, slot.Protector, slot.MACKey(), slot.Mechanism.String())
		if err != nil {
			return nil, err
		}
		return seal.TokenProtector(guard)
	case seal.KindFile:
		key, _, err := s.fileOf(slot)
		return key, err
	}
	return nil, nil
}

// fileOf is the configured master key that opens a slot, and where it is; nil where there is none. The error tells of those that
// cannot be read.
func (s *sealer) fileOf(slot *seal.Slot) (key seal.Protector, source string, unread error) {
	for _, source := range s.sources() {
		key, err := s.masterKey(source)
		if err != nil {
			unread = errors.Join(unread, err)
		} else if key.Reference() == slot.Protector {
			return key, source, nil
		}
	}
	return nil, "", unread
}

// check opens the active slot and compares, and tells the log when that becomes another answer than before.
func (s *sealer) check(ctx context.Context) {
	began := time.Now()
	err := s.prove(ctx)
	took := time.Since(began)
	s.mu.Lock()
	before := s.health.err
	s.health = health{time.Now(), took, err}
	s.checks++
	if err != nil {
		s.checksFailed++
	}
	s.mu.Unlock()
	switch {
	case err != nil && before == nil:
		s.log.Error("unhealthy: the active slot could not be opened again", "err", err)
		s.act("seal unhealthy", "server", "", err)
	case err == nil && before != nil:
		s.log.Info("healthy: the active slot can be opened again")
		s.act("seal healthy", "server", "", nil)
	}
}

// prove opens the active slot again.
func (s *sealer) prove(ctx context.Context) error {
	t, err := s.root.Slots(ctx)
	if err != nil {
		return err
	}
	active := t.Active()
	if active == nil {
		return seal.ErrNotInitialized
	}
	p, err := s.find(ctx, active)
	if err == nil && p == nil {
		err = errors.New("the configuration has no protector that opens it")
	}
	if err == nil {
		_, err = s.root.Check(ctx, p)
		return err
	}
	return fmt.Errorf("opening %v: %w", active, err)
}

// target is what [seal] wishes for.
func (s *sealer) target() target {
	c := &s.conf.Seal
	return target{To: c.Strategy, Slot: &c.Slot, KeyLabel: c.KeyLabel, KeyID: c.KeyID, Mechanism: string(c.Mechanism), Hash: c.RSAOAEPHash, MasterKeyFile: c.MasterKeyFile}
}

// followWish goes over to the protector that [seal] names, where it says that it was another before: by default_key_label or by a
// [[seal.previous]]. Any other disagreement is told, and the table wins. It never makes a key: there is a slot.
// Where another replica would be locked out, nothing is done before the next start, or an operator's --force.
func (s *sealer) followWish(ctx context.Context) {
	t, err := s.root.Slots(ctx)
	if err != nil || t.Active() == nil {
		return
	}
	active := t.Active()
	if s.conf.Seal.Strategy == "software" && s.conf.Seal.MasterKeyFile == "" && active.Kind == seal.KindFile {
		return // the operator unseals
	}
	wish, err := s.resolve(ctx, s.target())
	switch {
	case err != nil && s.mayBeWished(active):
		s.tellWish(active, nil)
		s.log.Warn("the protector that [seal] of the configuration asks for is not there", "err", err)
	case err != nil:
		s.tellWish(active, fmt.Errorf("[seal] of the configuration asks for what is not there: %w", err))
	case wish.Reference() == active.Protector:
		s.tellWish(active, nil)
	case !s.isPrevious(ctx, active, wish.Reference()):
		s.tellWish(active, fmt.Errorf("[seal] of the configuration asks for %s", wish.Reference()))
	default:
		s.log.Info("upgrading stored keys: the configuration asks for another protector of the root key", "from", active.Protector, "to", wish.Reference())
		_, err := s.allow(ctx, t, []string{wish.Reference()}, false)
		if err == nil {
			err = s.root.Add(ctx, wish, seal.SlotActive)
		}
		crash.At("wish-followed")
		s.act("seal rotate", "server", "from "+active.Protector+" to "+wish.Reference(), err)
		if err != nil {
			s.log.Error("upgrading stored keys", "err", err)
			s.tellWish(active, err)
			return
		}
		s.log.Info("stored keys are upgraded", "protector", wish.Reference())
		s.reserve(ctx)
		s.tellWish(active, nil)
	}
}

// mayBeWished says whether a slot is of the kind and label that [seal] asks for.
func (s *sealer) mayBeWished(active *seal.Slot) bool {
	if active.Kind != seal.KindToken || s.conf.Seal.Strategy != "hsm" {
		return false
	}
	label, _, _ := tokenKeyOf(active.Protector)
	return label == s.conf.Seal.KeyLabel
}

// tellWish remembers what is to be changed in the configuration, and tells the log.
func (s *sealer) tellWish(active *seal.Slot, why error) {
	var wished []string
	if why != nil {
		wished = append([]string{fmt.Sprintf("%v is active, and %v; if that is right as it is, write into the configuration:", active, why)}, s.lines(active)...)
	}
	s.mu.Lock()
	s.wished = wished
	s.mu.Unlock()
	if why == nil {
		return
	}
	s.log.Warn("the configuration and the root key slots disagree; the slots win", "active", active.String(), "err", why, "seal status", "tells what to change")
}

// isPrevious says whether the configuration names a slot's protector as the one of before.
func (s *sealer) isPrevious(ctx context.Context, active *seal.Slot, wish string) bool {
	c := &s.conf.Seal
	if c.Strategy == "hsm" && c.DefaultKeyLabel != "" && s.named(ctx, active, c.Slot, c.DefaultKeyLabel, "") {
		return true
	}
	for _, p := range c.Previous {
		if p.Strategy == "hsm" && s.named(ctx, active, p.Slot, p.KeyLabel, p.KeyID) {
			return true
		}
		if p.Strategy == "software" {
			if key, err := s.masterKey(p.MasterKeyFile); err == nil && key.Reference() == active.Protector {
				return true
			}
		}
	}
	return false
}

// named says whether a slot is under the key of that label in that slot's token.
func (s *sealer) named(ctx context.Context, active *seal.Slot, slot uint32, label, id string) bool {
	if s.hsm == nil {
		return false
	}
	serial, err := s.hsm.Serial(ctx, slot)
	if err != nil {
		return false
	}
	itsLabel, itsSerial, itsID := tokenKeyOf(active.Protector)
	return active.Kind == seal.KindToken && itsSerial == serial && itsLabel == label && (id == "" || strings.EqualFold(id, itsID))
}

// lines are what [seal] must say for a slot to be the one that is wished for.
func (s *sealer) lines(slot *seal.Slot) []string {
	label, serial, id := tokenKeyOf(slot.Protector)
	switch slot.Kind {
	case seal.KindFile:
		_, source, _ := s.fileOf(slot)
		return []string{"[seal]", `strategy        = "software"`, fmt.Sprintf("master_key_file = %s   # the file of master key %s", tomlString(source), strings.TrimPrefix(slot.Protector, "file:"))}
	case seal.KindToken:
		number := fmt.Sprintf("(of the token %s)", serial)
		for _, n := range s.slotsOf(context.Background(), serial) {
			number = fmt.Sprint(n)
		}
		return []string{"[seal]", `strategy  = "hsm"`, "slot      = " + number, "key_label = " + tomlString(label), "key_id    = " + tomlString(id)}
	}
	return nil
}

// tokenKeyOf takes the reference of a key in a token apart.
func tokenKeyOf(reference string) (label, serial, id string) {
	rest, _ := strings.CutPrefix(reference, seal.KindToken+":")
	serial, rest, _ = strings.Cut(rest, ":")
	at := max(strings.LastIndexByte(rest, ':'), 0)
	return rest[:at], serial, strings.TrimPrefix(rest[at:], ":")
}

// reserve tells the HSM which keys the slots are under, or were, so that no administrator of a token destroys them, or has them open
// what they protect, by KMIP: a backup has the slots of its time.
func (s *sealer) reserve(ctx context.Context) {
	t, err := s.root.Slots(ctx)
	if err != nil || s.hsm == nil {
		return
	}
	s.hsm.Reserve(t.References())
}

// reserves says whether an object is one of those keys.
func (s *sealer) reserves(o *kmip.Object) bool { return s.hsm != nil && s.hsm.Reserves(o) }

// slotsOf are the slots that have the token of a serial number.
func (s *sealer) slotsOf(ctx context.Context, serial string) (numbers []uint32) {
	for _, st := range s.statuses(ctx) {
		if st.Serial == serial {
			numbers = append(numbers, st.Number)
		}
	}
	return numbers
}

// statuses are those of the tokens.
func (s *sealer) statuses(ctx context.Context) []hsm.Status {
	if s.hsm == nil {
		return nil
	}
	return s.hsm.Status(ctx)
}
