package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"strongroom/store/seal"
)

// ErrReplicaTaken says that another server than the one that asks has its replica's identifier: one of two data folders is a copy of
// the other.
var ErrReplicaTaken = errors.New("another server has this replica's identifier")

// replicasKept is after how long a replica that was not seen is forgotten.
const replicasKept = 7 * 24 * time.Hour

const (
	selectReplicas = `SELECT id, host, folder, started, seen, protectors, mac FROM replicas`
	putReplica     = `INSERT INTO replicas (id, host, folder, started, seen, protectors, mac) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET host = excluded.host, folder = excluded.folder, started = excluded.started, seen = excluded.seen,
		protectors = excluded.protectors, mac = excluded.mac`
	dropReplica    = `DELETE FROM replicas WHERE id = $1 AND host = $2 AND folder = $3 AND started <= $4`
	forgetReplicas = `DELETE FROM replicas WHERE seen < $1`
)

// PutReplica keeps what a server says of itself, as seen now, and forgets those that were not seen for a week. The root key is needed.
// The error is ErrReplicaTaken where the identifier is another server's that was seen lately, or a later process's of the same name.
func (s *Store) PutReplica(ctx context.Context, r *seal.Replica) error {
	key, err := s.root.ReplicaKey()
	if err != nil {
		return err
	}
	defer clear(key)
	row := *r
	row.Seen = s.now().UTC().Truncate(time.Microsecond)
	row.Sign(key)
	protectors := strings.Join(row.Protectors, "\n")
	err = s.writer.write(ctx, func(b *batch) error {
		var there seal.Replica
		err := s.scanReplica(&there, func(into ...any) error { return b.row(selectReplicas+` WHERE id = $1`, []any{row.ID}, into...) })
		if err != nil && !isNoRows(err) {
			return err
		}
		if err == nil && there.Authentic(key) && taken(&there, &row) {
			return refuse(ErrReplicaTaken)
		}
		if _, err := b.exec(forgetReplicas, micros(row.Seen.Add(-replicasKept))); err != nil {
			return err
		}
		_, err = b.exec(putReplica, row.ID, row.Host, row.Folder, micros(row.Started), micros(row.Seen), protectors, row.MAC)
		return err
	}, nil)
	if err != nil {
		return fmt.Errorf("keeping what this replica can open: %w", err)
	}
	return nil
}

// taken says whether the row that is there is another server's than mine. Of two processes in one place the later has the row: the
// one before has ended, or its place is a copy that is called the same.
func taken(there, mine *seal.Replica) bool {
	if there.Host == mine.Host && there.Folder == mine.Folder {
		return there.Started.After(mine.Started)
	}
	return there.Counts()
}

// DropReplica forgets what a server said of itself, and what the processes before it in its place did.
func (s *Store) DropReplica(ctx context.Context, r *seal.Replica) error {
	return s.writer.write(ctx, func(b *batch) error {
		_, err := b.exec(dropReplica, r.ID, r.Host, r.Folder, micros(r.Started))
		return err
	}, nil)
}

// Replicas are the servers of the root key that said of themselves what they can open, by host and folder. While the root key is in memory it is
// told of each whether it is authentic.
func (s *Store) Replicas(ctx context.Context) (all []seal.Replica, err error) {
	key, err := s.root.ReplicaKey()
	if err != nil && !errors.Is(err, seal.ErrSealed) {
		return nil, err
	}
	defer clear(key)
	rows, err := s.readers.QueryContext(ctx, selectReplicas+` ORDER BY host, folder, id`)
	if err != nil {
		return nil, fmt.Errorf("reading the replicas: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r seal.Replica
		if err := s.scanReplica(&r, rows.Scan); err != nil {
			return nil, fmt.Errorf("reading the replicas: %w", err)
		}
		r.Forged = key != nil && !r.Authentic(key)
		all = append(all, r)
	}
	return all, rows.Err()
}

func (s *Store) scanReplica(r *seal.Replica, scan func(...any) error) error {
	var started, seen int64
	var protectors string
	if err := scan(&r.ID, &r.Host, &r.Folder, &started, &seen, &protectors, &r.MAC); err != nil {
		return err
	}
	r.Started, r.Seen = time.UnixMicro(started).UTC(), time.UnixMicro(seen).UTC()
	r.Age = max(0, s.now().Sub(r.Seen))
	r.Protectors = strings.FieldsFunc(protectors, func(c rune) bool { return c == '\n' })
	return nil
}
