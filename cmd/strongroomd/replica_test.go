package main

import (
	"bytes"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/conf"
	"strongroom/kmip/server"
	"strongroom/store"
	"strongroom/store/seal"
)

// A fleet is servers of one database, each with a data folder of its own, on one clock.
type fleet struct {
	t     *testing.T
	store *store.Store
	path  string       // of the database
	later atomic.Int64 // by how much the clock is ahead
	first string       // the master key that all have
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{t: t, path: filepath.Join(t.TempDir(), "strongroom.db"), first: filepath.Join(t.TempDir(), "first.key")}
	now := func() time.Time { return time.Now().Add(time.Duration(f.later.Load())) }
	s, err := store.Open(t.Context(), "sqlite:"+f.path, store.Options{Now: now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	f.store = s
	key, err := seal.CreateMasterKey(f.first, nil)
	require.NoError(t, err)
	require.NoError(t, s.Root().Init(t.Context(), key, nil))
	return f
}

// A member is one of them.
type member struct {
	*sealer
	log    bytes.Buffer
	events string // file of the audit log
}

// join adds a server that has the first master key, and those in previous.
func (f *fleet) join(folder string, previous ...string) *member {
	f.t.Helper()
	c := &conf.Config{DataDir: folder, Seal: conf.Seal{Strategy: "software", MasterKeyFile: f.first}}
	for _, source := range previous {
		c.Seal.Previous = append(c.Seal.Previous, conf.Previous{Strategy: "software", MasterKeyFile: source})
	}
	m := &member{events: filepath.Join(f.t.TempDir(), "audit.jsonl")}
	m.sealer = newSealer(c, &backends{store: f.store}, slog.New(slog.NewTextHandler(&m.log, nil)))
	var err error
	m.audit, err = server.OpenAudit(m.events, slog.New(slog.DiscardHandler))
	require.NoError(f.t, err)
	f.t.Cleanup(func() { m.audit.Close() })
	m.replica, err = newReplica(folder)
	require.NoError(f.t, err)
	m.tellReplica(f.t.Context(), 0)
	require.Empty(f.t, m.replica.silent)
	return m
}

// to is a target of a new master key.
func (f *fleet) to() target {
	return target{To: "software", MasterKeyFile: filepath.Join(f.t.TempDir(), "next.key"), Generate: true}
}

// table is the slots, by state.
func (f *fleet) table() (active string, retained []string) {
	f.t.Helper()
	t, err := f.store.Root().Slots(f.t.Context())
	require.NoError(f.t, err)
	for i := range t.Slots {
		if t.Slots[i].State == seal.SlotRetained {
			retained = append(retained, t.Slots[i].Protector)
		}
	}
	return t.Active().Protector, retained
}

// identifiers are those of all replicas.
func (f *fleet) identifiers() (all []string) {
	f.t.Helper()
	replicas, err := f.store.Replicas(f.t.Context())
	require.NoError(f.t, err)
	for i := range replicas {
		all = append(all, replicas[i].ID)
	}
	return all
}

// TestReplicaLacksTheNext: a change that locks out another replica is refused, before anything is made; force does it, and tells. Pruning is
// refused in turn, until the other has the key.
func TestReplicaLacksTheNext(t *testing.T) {
	f := newFleet(t)
	next := f.to()
	a, b := f.join(t.TempDir()), f.join(t.TempDir(), next.MasterKeyFile)
	before, _ := f.table()
	_, err := a.switchTo(t.Context(), next)
	require.ErrorAs(t, err, new(lockedOut))
	require.ErrorContains(t, err, b.replica.row.String()+", seen 0 s ago, lacks file:"+next.MasterKeyFile+": it has "+before)
	require.NotContains(t, err.Error(), a.replica.folder)
	require.NoFileExists(t, next.MasterKeyFile)
	active, _ := f.table()
	require.Equal(t, before, active)

	next.Force = true
	done, err := a.switchTo(t.Context(), next)
	require.NoError(t, err)
	require.Len(t, done.Past, 1)
	require.Contains(t, done.Past[0], b.replica.folder)
	require.Contains(t, changeOf(done), "by force, past "+done.Past[0])
	active, retained := f.table()
	require.Equal(t, []string{before}, retained)
	require.NotEqual(t, before, active)

	_, err = a.prune(t.Context(), false)
	require.ErrorContains(t, err, "lacks "+active)
	_, retained = f.table()
	require.Len(t, retained, 1)
	b.tellReplica(t.Context(), 0) // it finds the key where its configuration has it
	pruned, err := a.prune(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, pruned.Dropped, 1)
	require.Empty(t, pruned.Past)
}

// TestReplicaCounts: a replica that was not seen for an hour, and one that has ended, keep nobody from anything.
func TestReplicaCounts(t *testing.T) {
	f := newFleet(t)
	a, b := f.join(t.TempDir()), f.join(t.TempDir())
	f.later.Store(int64(seal.ReplicaCounts - time.Minute))
	a.tellReplica(t.Context(), 0)
	_, err := a.switchTo(t.Context(), f.to())
	require.ErrorContains(t, err, "seen 59 min ago")
	f.later.Store(int64(seal.ReplicaCounts + time.Minute))
	_, err = a.switchTo(t.Context(), f.to())
	require.NoError(t, err)

	b.tellReplica(t.Context(), 0)
	_, err = a.prune(t.Context(), false)
	require.ErrorContains(t, err, b.replica.folder)
	b.leave()
	require.Equal(t, []string{a.replica.row.ID}, f.identifiers())
	_, err = a.prune(t.Context(), false)
	require.NoError(t, err)

	f.later.Add(int64(7*24*time.Hour + time.Minute))
	c := f.join(t.TempDir())
	require.Equal(t, []string{c.replica.row.ID}, f.identifiers(), "a is forgotten")
}

// TestReplicaWish: a rotation that the configuration asks for is not done either, and the log and the status say why.
func TestReplicaWish(t *testing.T) {
	f := newFleet(t)
	a, b := f.join(t.TempDir(), f.first), f.join(t.TempDir())
	a.conf.Seal.MasterKeyFile = filepath.Join(t.TempDir(), "second.key")
	second, err := seal.CreateMasterKey(a.conf.Seal.MasterKeyFile, nil)
	require.NoError(t, err)
	before, _ := f.table()
	a.followWish(t.Context())
	active, _ := f.table()
	require.Equal(t, before, active)
	require.Contains(t, a.log.String(), b.replica.folder)
	require.Contains(t, a.wished[0], "lacks "+second.Reference())
	b.conf.Seal.Previous = append(b.conf.Seal.Previous, conf.Previous{Strategy: "software", MasterKeyFile: a.conf.Seal.MasterKeyFile})
	b.tellReplica(t.Context(), 0)
	a.followWish(t.Context())
	active, _ = f.table()
	require.Equal(t, second.Reference(), active)
	require.Empty(t, a.wished)
	require.NoError(t, a.audit.Close())
	events, err := os.ReadFile(a.events)
	require.NoError(t, err)
	require.Regexp(t, `(?s)"event":"seal rotate","by":"server","detail":"from [^"]*","result":"failed","reason":"refused, for a replica.*"event":"seal rotate".*"result":"Success"`, string(events))
}

// TestReplicaForged: what somebody else writes into a row is seen, and stands in the way of a change as a replica does.
func TestReplicaForged(t *testing.T) {
	f := newFleet(t)
	next := f.to()
	second, err := seal.CreateMasterKey(next.MasterKeyFile, nil)
	require.NoError(t, err)
	next.Generate = false
	a, b := f.join(t.TempDir()), f.join(t.TempDir())
	db, err := sql.Open("sqlite", "file:"+f.path)
	require.NoError(t, err)
	defer db.Close()
	for _, change := range []string{`protectors = '` + second.Reference() + `'`, `host = 'elsewhere'`, `folder = '/'`, `started = started + 1`, `seen = seen + 1`, `mac = X'00'`} {
		_, err = db.Exec(`UPDATE replicas SET `+change+` WHERE id = $1`, b.replica.row.ID)
		require.NoError(t, err)
		_, err = a.switchTo(t.Context(), next)
		require.ErrorContains(t, err, "something else than this program changed", change)
		b.tellReplica(t.Context(), 0)
		_, err = a.switchTo(t.Context(), next)
		require.ErrorContains(t, err, "lacks "+second.Reference(), change)
	}
}

// TestReplicaCopied: a copy of a data folder gets an identifier of its own; of two in folders that are called the same, the one that was there first
// does.
func TestReplicaCopied(t *testing.T) {
	f := newFleet(t)
	a, copied := f.join(t.TempDir()), t.TempDir()
	id, err := os.ReadFile(filepath.Join(a.replica.folder, replicaFile))
	require.NoError(t, err)
	require.Equal(t, a.replica.row.ID+"\n", string(id))
	require.NoError(t, os.WriteFile(filepath.Join(copied, replicaFile), id, 0o600))
	c := f.join(copied)
	require.NotEqual(t, a.replica.row.ID, c.replica.row.ID)
	require.Contains(t, c.log.String(), "is a copy of another server's")
	kept, err := replicaID(copied)
	require.NoError(t, err)
	require.Equal(t, c.replica.row.ID, kept)
	require.ElementsMatch(t, []string{a.replica.row.ID, c.replica.row.ID}, f.identifiers())

	again := f.join(copied) // as a process that follows one that was killed
	require.Equal(t, kept, again.replica.row.ID)
	require.Empty(t, again.log.String())
	c.tellReplica(t.Context(), 0) // but it was not
	require.NotEqual(t, kept, c.replica.row.ID)
	require.ElementsMatch(t, []string{a.replica.row.ID, kept, c.replica.row.ID}, f.identifiers())
	require.NoError(t, os.WriteFile(filepath.Join(copied, replicaFile), []byte("mine"), 0o600))
	_, err = newReplica(copied)
	require.ErrorContains(t, err, "is no identifier of a replica")
}

// TestReplicaMoved: a data folder that was renamed keeps its identifier, once the server of before was not seen for an hour.
func TestReplicaMoved(t *testing.T) {
	f := newFleet(t)
	a, moved := f.join(t.TempDir()), t.TempDir()
	require.NoError(t, os.Rename(filepath.Join(a.replica.folder, replicaFile), filepath.Join(moved, replicaFile)))
	f.later.Store(int64(seal.ReplicaCounts))
	m := f.join(moved)
	require.Equal(t, a.replica.row.ID, m.replica.row.ID)
	require.Equal(t, []string{m.replica.row.ID}, f.identifiers())
}
