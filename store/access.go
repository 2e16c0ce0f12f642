package store

import (
	"context"
	"fmt"

	"strongroom/kmip"
)

const (
	selectOwned    = `SELECT uid FROM objects WHERE owner = $1 AND destroyed = 0 ORDER BY id DESC`
	selectObtained = `SELECT g.uid, g.operation FROM grants g LEFT JOIN objects o ON o.uid = g.uid
		WHERE g.grantee IN ($1, '*') AND (o.owner IS NULL OR o.owner <> $1)
		GROUP BY g.uid, g.operation ORDER BY g.uid, g.operation`
)

// Owned lists the objects that identity owns, newest first, destroyed ones not.
func (s *Store) Owned(ctx context.Context, identity string) ([]string, error) {
	rows, err := s.reads.owned.QueryContext(ctx, identity)
	if err != nil {
		return nil, fmt.Errorf("listing what %q owns: %w", identity, err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var uid string
		if err := rows.Scan(&uid); err != nil {
			return nil, fmt.Errorf("listing what %q owns: %w", identity, err)
		}
		all = append(all, uid)
	}
	return all, rows.Err()
}

// Obtained lists the objects of others, keys in tokens included, that identity was granted operations on, by name or with
// everyone.
func (s *Store) Obtained(ctx context.Context, identity string) ([]kmip.Granted, error) {
	rows, err := s.reads.obtained.QueryContext(ctx, identity)
	if err != nil {
		return nil, fmt.Errorf("listing what %q was granted: %w", identity, err)
	}
	defer rows.Close()
	var all []kmip.Granted
	for rows.Next() {
		var uid string
		var operation int64
		if err := rows.Scan(&uid, &operation); err != nil {
			return nil, fmt.Errorf("listing what %q was granted: %w", identity, err)
		}
		if len(all) == 0 || all[len(all)-1].UniqueIdentifier != uid {
			all = append(all, kmip.Granted{UniqueIdentifier: uid})
		}
		last := &all[len(all)-1]
		last.Operations = append(last.Operations, kmip.Operation(operation))
	}
	return all, rows.Err()
}
