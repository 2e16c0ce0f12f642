package store

import (
	"context"
	"fmt"
	"time"

	"strongroom/kmip"
)

var _ kmip.Rotating = (*Store)(nil)

// rotations is the list of the keys that are to be rotated, by the dates at which they are.
var rotations = list(ofRotation, "", 0, nil)

const selectDue = `SELECT o.uid FROM entries e JOIN objects o ON o.id = e.object WHERE e.list = $1 AND e.at <= $2 ORDER BY e.at, e.object LIMIT $3`

// rotation is an object's place in the list.
func rotation(a kmip.Attributes) (entry, bool) {
	due, ok := a.RotationDue()
	return entry{rotations, due.Unix()}, ok && a.InStorage(kmip.StorageStatusMaskOnLineStorage|kmip.StorageStatusMaskArchivalStorage)
}

// Due lists keys that are to be rotated by now.
func (s *Store) Due(ctx context.Context, now time.Time, most int) ([]string, error) {
	rows, err := s.reads.due.QueryContext(ctx, rotations[:], now.Unix(), most)
	if err != nil {
		return nil, fmt.Errorf("looking for keys to rotate: %w", err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var uid string
		if err := rows.Scan(&uid); err != nil {
			return nil, fmt.Errorf("looking for keys to rotate: %w", err)
		}
		all = append(all, uid)
	}
	return all, rows.Err()
}
