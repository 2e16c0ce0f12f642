package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"strongroom/store/crash"
	"strongroom/store/seal"
)

// slots keeps the table of root key slots in the database.
type slots struct{ store *Store }

// ReadSlots reads the table and its generation as they stand together: in the writer's transaction.
func (t slots) ReadSlots(ctx context.Context) (*seal.Table, error) {
	var table *seal.Table
	read := func(b *batch) error {
		table = new(seal.Table)
		var former string
		if err := b.row(`SELECT generation, rows, former, mac FROM root_key_table WHERE id = 1`, nil, &table.Generation, &table.Rows, &former, &table.MAC); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(former), &table.Former); err != nil {
			return fmt.Errorf("the protectors of before: %w", err)
		}
		rows, err := b.tx.Query(`SELECT id, generation, state, kind, protector, mechanism, envelope, created, verified FROM root_key_slots ORDER BY id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s seal.Slot
			var created, verified int64
			if err := rows.Scan(&s.ID, &s.Generation, &s.State, &s.Kind, &s.Protector, &s.Mechanism, &s.Envelope, &created, &verified); err != nil {
				return err
			}
			s.Created, s.Verified = time.UnixMicro(created).UTC(), time.UnixMicro(verified).UTC()
			table.Slots = append(table.Slots, s)
		}
		return rows.Err()
	}
	if err := t.store.writer.write(ctx, read, nil); err != nil {
		return nil, fmt.Errorf("reading the root key slots: %w", err)
	}
	return table, nil
}

// WriteSlots replaces the table if its generation is the one before.
func (t slots) WriteSlots(ctx context.Context, table *seal.Table) error {
	write := func(b *batch) error {
		if err := b.putTable(table, table.Generation-1); err != nil {
			return err
		}
		if _, err := b.exec(`DELETE FROM root_key_slots`); err != nil {
			return err
		}
		crash.At("slots-dropped")
		for i := range table.Slots {
			if err := b.insertSlot(&table.Slots[i]); err != nil {
				return err
			}
		}
		crash.At("slots-inserted")
		return nil
	}
	return t.store.writer.write(ctx, write, nil)
}

// putTable replaces what is kept of the table beside its slots, if the stored generation is before.
func (b *batch) putTable(table *seal.Table, before int64) error {
	former, err := json.Marshal(slices.Concat([]string{}, table.Former))
	if err != nil {
		return err
	}
	n, err := b.exec(`UPDATE root_key_table SET generation = $1, rows = $2, former = $3, mac = $4 WHERE id = 1 AND generation = $5`,
		table.Generation, table.Rows, string(former), table.MAC, before)
	if err == nil && n == 0 {
		err = refuse(seal.ErrTableChanged)
	}
	return err
}

func (b *batch) insertSlot(s *seal.Slot) error {
	_, err := b.exec(`INSERT INTO root_key_slots (id, generation, state, kind, protector, mechanism, envelope, created, verified)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		s.ID, s.Generation, string(s.State), s.Kind, s.Protector, int64(s.Mechanism), s.Envelope, micros(s.Created), micros(s.Verified))
	return err
}

// SlotVerified notes when a slot was last opened.
func (t slots) SlotVerified(ctx context.Context, id int64, at time.Time) error {
	return t.store.writer.write(ctx, func(b *batch) error {
		_, err := b.exec(`UPDATE root_key_slots SET verified = $1 WHERE id = $2`, micros(at), id)
		return err
	}, nil)
}
