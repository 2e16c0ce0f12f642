package main

import (
	"context"
	"database/sql"
	"net/url"
	"sync/atomic"
	"time"

	"strongroom/kmip"

	_ "modernc.org/sqlite" // the driver that the server has
)

// A bareTable is the floor of searches: a table that has nothing but what they ask for, with an index for each question, in
// SQLite by the driver that the server has. No KMIP, no TLS, nobody who may not see a row.
type bareTable struct {
	db   *sql.DB
	rows int
}

func newBareTable(ctx context.Context, path string) (*bareTable, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=cache_size(-16000)")
	if err != nil {
		return nil, err
	}
	for _, text := range []string{
		`CREATE TABLE bare (id INTEGER PRIMARY KEY, uid TEXT NOT NULL, name TEXT NOT NULL, grp TEXT NOT NULL, type BIGINT NOT NULL)`,
		`CREATE INDEX bare_by_name ON bare (name)`,
		`CREATE INDEX bare_by_group ON bare (grp, id)`,
		`CREATE INDEX bare_by_type ON bare (type, id)`,
	} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return nil, err
		}
	}
	return &bareTable{db: db}, nil
}

// fill brings the table to so many rows.
func (t *bareTable) fill(ctx context.Context, rows int) error {
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	insert, err := tx.PrepareContext(ctx, `INSERT INTO bare (id, uid, name, grp, type) VALUES ($1, $2, $3, $4, $5)`)
	if err != nil {
		return err
	}
	for ; t.rows < rows; t.rows++ {
		if _, err := insert.ExecContext(ctx, t.rows+1, uidOf(t.rows), nameOf(t.rows), groupOf(t.rows), int64(kmip.ObjectTypeSymmetricKey)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// ask asks a question again and again on as many goroutines as there are connections.
func (t *bareTable) ask(ctx context.Context, q *question, many, connections int, d time.Duration) (*outcome, error) {
	t.db.SetMaxOpenConns(connections)
	t.db.SetMaxIdleConns(connections)
	statement, err := t.db.PrepareContext(ctx, q.sql)
	if err != nil {
		return nil, err
	}
	defer statement.Close()
	var turn atomic.Int64
	return spin(ctx, connections, d, func() error {
		rows, err := statement.QueryContext(ctx, q.arg(number(int(turn.Add(1)), many)))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var uid string
			if err := rows.Scan(&uid); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}
