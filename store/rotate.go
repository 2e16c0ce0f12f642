package store

import (
	"context"
	"fmt"
	"time"

	"strongroom/kmip"
)

var _ kmip.Rotating = (*Store)(nil)

// selectDue reads the words that say when keys are to be rotated, in their order. The least value keeps other words out of the
// range.
const selectDue = `SELECT uid FROM words WHERE value >= '00000000000000000000' AND value <= $1 AND kind = 3 ORDER BY value, uid LIMIT $2`

// rotation is the word by which a key is found when it is to be rotated.
func rotation(a kmip.Attributes) (word, bool) {
	due, ok := a.RotationDue()
	if !ok || due.Unix() < 0 {
		return word{}, false
	}
	return word{wordRotation, instant(due)}, true
}

// instant is a time as text that sorts as times do.
func instant(t time.Time) string { return fmt.Sprintf("%020d", t.Unix()) }

// Due lists keys that are to be rotated by now.
func (s *Store) Due(ctx context.Context, now time.Time, most int) ([]string, error) {
	rows, err := s.reads.due.QueryContext(ctx, instant(now), most)
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
