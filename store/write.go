package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// The writer is one goroutine with one connection. It takes the changes that wait, makes them in one transaction, and
// answers them all once that is on disk: many callers share one wait for the disk.
const (
	waiting  = 1024 // changes that may wait
	together = 512  // changes in one transaction
)

// A change is a write of one caller. Apply may run more than once and so only talks to the database; it refuses (see
// refuse) before it has written anything, or not at all. After runs once the change is on disk, before it is answered, in
// the order of the commits.
type change struct {
	ctx   context.Context
	apply func(*batch) error
	after func()

	err  error
	done chan struct{}
}

// refusal is an error of one change that leaves the others of its transaction alone.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// refuse ends a change that has written nothing.
func refuse(err error) error { return refusal{err} }

// errClosed answers writes after Close.
var errClosed = errors.New("the store is closed")

type writer struct {
	db         *sql.DB
	erase      func(*sql.DB) (done bool) // removes what was deleted from the files that the database has beside itself
	erasing    bool                      // something was deleted since; only the goroutine uses it
	statements map[string]*sql.Stmt      // by text; only the goroutine uses it
	made       made                      // only the goroutine uses it
	counts     commits
	queue      chan *change
	quit       chan struct{} // closed by close
	ended      chan struct{} // closed when the goroutine is gone
}

// made are the number and the date of the object that was made last, in microseconds since 1970. Both only grow.
type made struct{ id, date int64 }

const selectMade = `SELECT COALESCE(MAX(id), 0), COALESCE(MAX(initial_date), 0) FROM (SELECT id, initial_date FROM objects ORDER BY id DESC LIMIT 1) AS o`

// newWriter starts the goroutine on a pool of one connection, with the statements that are worth preparing.
func newWriter(ctx context.Context, db *sql.DB, erase func(*sql.DB) bool, texts []string) (*writer, error) {
	w := &writer{
		db:         db,
		erase:      erase,
		statements: map[string]*sql.Stmt{},
		queue:      make(chan *change, waiting),
		quit:       make(chan struct{}),
		ended:      make(chan struct{}),
	}
	for _, text := range texts {
		s, err := db.PrepareContext(ctx, text)
		if err != nil {
			return nil, fmt.Errorf("preparing %q: %w", text, err)
		}
		w.statements[text] = s
	}
	if err := db.QueryRowContext(ctx, selectMade).Scan(&w.made.id, &w.made.date); err != nil {
		return nil, fmt.Errorf("reading the newest object: %w", err)
	}
	go w.run()
	return w, nil
}

// close lets the goroutine finish what it began, once. Changes still waiting are refused.
func (w *writer) close() error {
	close(w.quit)
	<-w.ended
	return w.db.Close()
}

// write hands a change to the goroutine and waits for its end. Once a change was taken its outcome is waited for even when
// ctx ends, for it may be on disk.
func (w *writer) write(ctx context.Context, apply func(*batch) error, after func()) error {
	c := &change{ctx: ctx, apply: apply, after: after, done: make(chan struct{})}
	select {
	case w.queue <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return errClosed
	}
	select {
	case <-c.done:
		return c.err
	case <-w.ended:
	}
	select {
	case <-c.done:
		return c.err
	default:
		return errClosed
	}
}

// eraseAfter is how long deleted material may stay in the write-ahead log.
const eraseAfter = time.Second

func (w *writer) run() {
	defer close(w.ended)
	var erase <-chan time.Time
	for {
		select {
		case <-w.quit:
			return
		case c := <-w.queue:
			w.commit(c)
		case <-erase:
			erase, w.erasing = nil, !w.erase(w.db)
		}
		if w.erasing && erase == nil {
			erase = time.After(eraseAfter)
		}
	}
}

// commit makes first and those that wait behind it in one transaction. When that fails for another reason than a refusal,
// nobody can say which change was at fault: each is then tried alone.
func (w *writer) commit(first *change) {
	changes, err := w.transaction(first, true)
	if err != nil && len(changes) == 1 {
		first.err = err
	}
	if err != nil && len(changes) > 1 {
		for _, c := range changes {
			if _, err := w.transaction(c, false); err != nil {
				c.err = err
			} else {
				c.finish()
			}
			close(c.done)
		}
		return
	}
	for _, c := range changes {
		if err == nil {
			c.finish()
		}
		close(c.done)
	}
}

// finish brings the memory up to date with a change that is on disk.
func (c *change) finish() {
	if c.err == nil && c.after != nil {
		c.after()
	}
}

// transaction makes first, and others too when they wait. It lists the changes it took; refusals are in them.
func (w *writer) transaction(first *change, others bool) (changes []*change, err error) {
	changes = append(changes, first)
	began := time.Now()
	defer func() { w.counts.add(len(changes), time.Since(began), err) }()
	tx, err := w.db.Begin()
	if err != nil {
		return changes, fmt.Errorf("beginning a transaction: %w", err)
	}
	b := &batch{w: w, tx: tx, statements: make(map[string]*sql.Stmt, 8), tallies: make(map[listID]*tally)}
	if err := b.make(first); err != nil {
		return changes, errors.Join(err, tx.Rollback())
	}
	for others && len(changes) < together {
		select {
		case c := <-w.queue:
			changes = append(changes, c)
			if err := b.make(c); err != nil {
				return changes, errors.Join(err, tx.Rollback())
			}
			continue
		default:
		}
		break
	}
	if err := b.count(); err != nil {
		return changes, errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		w.db.Exec("ROLLBACK") // a transaction that could not be committed may still be open
		return changes, fmt.Errorf("committing: %w", err)
	}
	return changes, nil
}

// A batch is one transaction of the writer.
type batch struct {
	w          *writer
	tx         *sql.Tx
	statements map[string]*sql.Stmt
	tallies    map[listID]*tally
	args       []any // of insertEntries, used again
}

// next are the number and the date of a new object, which is asked to be of a date.
func (b *batch) next(date int64) made {
	m := &b.w.made
	m.id, m.date = m.id+1, max(m.date, date)
	return *m
}

// make applies a change whose caller still waits. Its error is a failure of the whole transaction.
func (b *batch) make(c *change) error {
	if c.err = c.ctx.Err(); c.err != nil {
		return nil
	}
	err := c.apply(b)
	if r, ok := err.(refusal); ok {
		c.err = r.error
		return nil
	}
	return err
}

// statement is the prepared form of a text in this transaction, nil for a text that is not prepared.
func (b *batch) statement(text string) *sql.Stmt {
	s := b.statements[text]
	if s == nil && b.w.statements[text] != nil {
		s = b.tx.Stmt(b.w.statements[text])
		b.statements[text] = s
	}
	return s
}

// exec runs a statement and tells how many rows it changed.
func (b *batch) exec(text string, args ...any) (int64, error) {
	var result sql.Result
	var err error
	if s := b.statement(text); s != nil {
		result, err = s.Exec(args...)
	} else {
		result, err = b.tx.Exec(text, args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row runs a query for one row.
func (b *batch) row(text string, args []any, into ...any) error {
	if s := b.statement(text); s != nil {
		return s.QueryRow(args...).Scan(into...)
	}
	return b.tx.QueryRow(text, args...).Scan(into...)
}
