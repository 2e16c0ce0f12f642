package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"strongroom/store"
	"strongroom/store/seal"
)

// A replica is this server among those of its root key, who tell one another through the database what they can open.
type replica struct {
	folder string

	mu     sync.Mutex // held by whoever tells
	row    seal.Replica
	told   time.Time         // when it last succeeded, or was tried
	silent string            // why it did not succeed
	tokens map[uint32]string // serial number of the token of each slot, once it was logged in to
}

const (
	// replicaFile has the identifier of a data folder.
	replicaFile = "replica.id"
	// replicaEvery is the longest time between two times that a server tells what it can open.
	replicaEvery = time.Minute
	// replicaTime is how long tokens are waited for at most, and the database.
	replicaTime = 5 * time.Second
)

// newReplica is the server of a data folder, which gets an identifier where it has none.
func newReplica(folder string) (*replica, error) {
	id, err := replicaID(folder)
	if err == nil && id == "" {
		id, err = makeReplicaID(folder)
	}
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	started := time.Now().UTC().Truncate(time.Microsecond)
	return &replica{folder: folder, row: seal.Replica{ID: id, Host: host, Folder: folder, Started: started}, tokens: map[uint32]string{}}, nil
}

// replicaID is the identifier of a data folder, "" where it has none.
func replicaID(folder string) (string, error) {
	path := filepath.Join(folder, replicaFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	id, err := uuid.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return "", fmt.Errorf("%s is no identifier of a replica: remove it, and the server gets another: %w", path, err)
	}
	return id.String(), nil
}

// makeReplicaID gives a data folder a new identifier.
func makeReplicaID(folder string) (string, error) {
	id := uuid.NewString()
	f, err := os.CreateTemp(folder, replicaFile+".*")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(id + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(folder, replicaFile))
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return id, nil
}

// tellReplica tells the others what this server can open, if the last time is longer ago than after. The log is told once that it
// could not.
func (s *sealer) tellReplica(ctx context.Context, after time.Duration) {
	r := s.replica
	if r == nil || !s.root.Unsealed() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, replicaTime)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.told) < after {
		return
	}
	r.told = time.Now()
	r.row.Protectors = s.openable(ctx, r.tokens)
	err := s.store.PutReplica(ctx, &r.row)
	if errors.Is(err, store.ErrReplicaTaken) {
		err = s.renewReplica(ctx)
	}
	switch {
	case err != nil && r.silent == "":
		s.log.Error("the other servers of the root key are not told what this one can open", "err", err)
		r.silent = err.Error()
	case err == nil && r.silent != "":
		s.log.Info("the other servers of the root key are told again what this one can open")
		r.silent = ""
	}
}

// renewReplica gives the data folder an identifier of its own, in place of the one that it shares with another; the caller holds mu.
func (s *sealer) renewReplica(ctx context.Context) error {
	r := s.replica
	before := r.row.ID
	id, err := makeReplicaID(r.folder)
	if err == nil {
		r.row.ID = id
		err = s.store.PutReplica(ctx, &r.row)
	}
	s.log.Warn("the data folder is a copy of another server's, or was moved: it got an identifier of its own as a replica", "folder", r.folder, "before", before, "now", id, "err", err)
	s.act("replica renamed", "server", before+" is another's; this one is "+id, err)
	return err
}

// openable are what this server can open, or could by its configuration: the master keys that it has, the one that its operator
// brought, and every key in the tokens that it was logged in to, whose serial numbers it keeps in tokens.
func (s *sealer) openable(ctx context.Context, tokens map[uint32]string) (all []string) {
	for _, key := range s.masterKeys() {
		all = append(all, key.Reference())
	}
	if by := s.root.OpenedBy(); by != nil && by.Kind == seal.KindFile {
		all = append(all, by.Protector)
	}
	if s.hsm != nil {
		for _, number := range s.hsm.Slots() {
			if serial, err := s.hsm.Serial(ctx, number); err == nil {
				tokens[number] = serial
			}
		}
	}
	for _, serial := range tokens {
		all = append(all, seal.TokenReference(serial))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// leave takes this server away from among the replicas, at its end.
func (s *sealer) leave() {
	r := s.replica
	if r == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), replicaTime)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := s.store.DropReplica(ctx, &r.row); err != nil {
		s.log.Error("this server stays among the replicas, for an hour", "err", err)
	}
}

// self is the identifier of this data folder, "" where it has none.
func (s *sealer) self() (string, error) {
	if r := s.replica; r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.row.ID, nil
	}
	return replicaID(s.conf.DataDir)
}

// A lockedOut error says which replicas could not open the root key after a change of its slots.
type lockedOut []string

// Error names them.
func (l lockedOut) Error() string {
	return "refused, for a replica could not open the root key any more: " + strings.Join(l, "; ") + "; --force does it all the same"
}

// allow refuses a change after which another replica, which was seen in the last hour and opens one of the slots of today, would open none
// of the protectors after. With force they are only told.
func (s *sealer) allow(ctx context.Context, table *seal.Table, after []string, force bool) (past []string, err error) {
	self, err := s.self()
	if err != nil {
		return nil, err
	}
	replicas, err := s.store.Replicas(ctx)
	if err != nil {
		return nil, err
	}
	var out lockedOut
	for i := range replicas {
		r := &replicas[i]
		seen := fmt.Sprintf("%v, seen %s ago", r, span(r.Age))
		switch {
		case r.ID == self || !r.Counts():
			continue
		case r.Forged:
			seen += ", has a row that something else than this program changed"
		case r.OpensAny(references(table)) && !r.OpensAny(after):
			seen += fmt.Sprintf(", lacks %s: it has %s", strings.Join(after, " and "), cmp.Or(strings.Join(r.Protectors, ", "), "none"))
		default:
			continue
		}
		out = append(out, plain(seen))
	}
	if len(out) > 0 && !force {
		return nil, out
	}
	return out, nil
}

// references are those of the slots of a table by which servers unseal by themselves.
func references(t *seal.Table, but ...seal.SlotState) (all []string) {
	for i := range t.Slots {
		if s := &t.Slots[i]; s.State != seal.SlotRecovery && !slices.Contains(but, s.State) {
			all = append(all, s.Protector)
		}
	}
	return all
}

// unmade is the reference of what a target has made, as far as it is known before: of a key in a token all but its CKA_ID, of a
// master key where its file is to be.
func (s *sealer) unmade(ctx context.Context, t target) (string, error) {
	if t.To != "hsm" {
		return seal.KindFile + ":" + t.MasterKeyFile, nil
	}
	slot, err := s.slotOf(t)
	if err != nil {
		return "", err
	}
	serial, err := s.hsm.Serial(ctx, slot)
	if err != nil {
		return "", err
	}
	return seal.TokenReference(serial) + ":" + t.KeyLabel, nil
}

// A replicaStatus is what a server of the root key last said of itself.
type replicaStatus struct {
	ID          string    `json:"id"`
	Host        string    `json:"host"`
	Folder      string    `json:"folder"`
	Started     time.Time `json:"started"`
	Seen        time.Time `json:"seen"`
	Age         float64   `json:"age_s"`
	Counts      bool      `json:"counts"` // it was seen in the last hour
	Self        bool      `json:"self"`   // it is the one that tells
	Forged      bool      `json:"forged,omitempty"`
	OpensActive bool      `json:"opens_active"`
	Protectors  []string  `json:"protectors"`
}

// replicaStatuses tell of the replicas; self is the one that tells.
func replicaStatuses(ctx context.Context, s *store.Store, active *seal.Slot, self string) (all []replicaStatus, err error) {
	replicas, err := s.Replicas(ctx)
	for i := range replicas {
		r := &replicas[i]
		all = append(all, replicaStatus{r.ID, r.Host, r.Folder, r.Started, r.Seen, r.Age.Seconds(), r.Counts(), r.ID == self, r.Forged,
			active != nil && r.Opens(active.Protector), r.Protectors})
	}
	return all, err
}

// span is a time as people say it.
func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}

// text is the line of a replica.
func (r *replicaStatus) text() string {
	text := fmt.Sprintf("%s %s (%s), seen %s ago", r.Host, r.Folder, r.ID[:min(8, len(r.ID))], span(time.Duration(r.Age*float64(time.Second))))
	switch {
	case r.Forged:
		text += ", in a row that something else than this program changed"
	case !r.Counts:
		text += ", does not count any more"
	case r.OpensActive:
		text += ", opens the active slot"
	default:
		text += ", DOES NOT OPEN the active slot: it has " + cmp.Or(strings.Join(r.Protectors, ", "), "nothing")
	}
	if r.Self {
		text += ": this one"
	}
	return text
}
