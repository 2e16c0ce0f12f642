package store

import (
	"context"
	"fmt"
	"strings"

	"strongroom/kmip"
	"strongroom/store/seal"
)

var _ kmip.Settings = (*Store)(nil)

const (
	selectSetting = `SELECT envelope, revision FROM settings WHERE name = $1`
	insertSetting = `INSERT INTO settings (name, envelope, revision) VALUES ($1, $2, 1) ON CONFLICT (name) DO NOTHING`
	updateSetting = `UPDATE settings SET envelope = $1, revision = revision + 1 WHERE name = $2 AND revision = $3`
)

// A setting is a row in memory.
type setting struct {
	value    []byte // nil for none
	revision int64
}

// boundSetting is the context that the envelope of a setting is tied to.
func boundSetting(name string) []byte { return []byte("setting:" + name) }

// Setting is what is kept under a name, nil for nothing, and its revision. The value is shared and not to be changed.
func (s *Store) Setting(ctx context.Context, name string) (value []byte, revision int64, err error) {
	v, mark, ok := s.settings.get(name)
	if !ok {
		if v, err = s.readSetting(ctx, name); err != nil {
			return nil, 0, fmt.Errorf("reading the setting %q: %w", name, err)
		}
		s.settings.fill(strings.Clone(name), v, mark)
	}
	return v.value, v.revision, nil
}

func (s *Store) readSetting(ctx context.Context, name string) (*setting, error) {
	v := new(setting)
	var raw []byte
	err := s.reads.setting.QueryRowContext(ctx, name).Scan(&raw, &v.revision)
	if isNoRows(err) {
		return v, nil
	}
	if err != nil || raw == nil {
		return v, err
	}
	e, err := seal.Parse(raw)
	if err != nil {
		return nil, err
	}
	v.value, err = e.Open(ctx, s.find, seal.PurposeSetting, boundSetting(name))
	return v, err
}

// PutSetting keeps a value under a name, nil for none, if the revision is the stored one (0 where nothing was ever stored), and
// raises it; else the error is kmip.ErrConflict. Settings are under the root key.
func (s *Store) PutSetting(ctx context.Context, name string, value []byte, revision int64) error {
	name = strings.Clone(name)
	next := &setting{revision: revision + 1}
	var raw []byte
	if value != nil {
		next.value = append([]byte{}, value...)
		random, err := s.dataKeys(ctx, "", nil)
		if err != nil {
			return err
		}
		e, err := seal.Seal(ctx, random, s.root.Protector(), seal.Label{Purpose: seal.PurposeSetting, Generation: uint32(next.revision)}, boundSetting(name), value)
		if err != nil {
			return fmt.Errorf("keeping the setting %q: %w", name, err)
		}
		raw = e.Bytes()
	}
	write := func(b *batch) error {
		if revision == 0 {
			return b.one(insertSetting, name, raw)
		}
		return b.one(updateSetting, raw, name, revision)
	}
	return s.writer.write(ctx, write, func() { s.settings.put(name, next) })
}
