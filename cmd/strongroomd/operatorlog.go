package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"

	"strongroom/conf"
	"strongroom/kmip/server"
)

// An operatorLog tells what operators do, in the audit log and in the log.
type operatorLog struct {
	audit *server.Audit
	log   *slog.Logger
}

// note writes the lines of one act, by whom it was; detail may be empty.
func (o *operatorLog) note(act, by, detail string, err error) {
	said := []any{"by", by}
	if detail != "" {
		said = append(said, "detail", detail)
	}
	if err != nil {
		o.log.Warn(act+" was refused", append(said, "err", err)...)
	} else {
		o.log.Info(act, said...)
	}
	o.audit.Act(server.Act{Name: act, By: by, Detail: detail, Err: err})
}

// noting has f tell what it does in the audit log of a configuration that no server runs on.
func noting(c *conf.Config, f func(*operatorLog) error) (err error) {
	log := slog.New(slog.DiscardHandler)
	audit, err := server.OpenAudit(c.Audit.File, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, audit.Close()) }()
	return f(&operatorLog{audit, log})
}

// noteHere writes the line of an act of this program.
func noteHere(c *conf.Config, act, detail string, done error) error {
	return noting(c, func(o *operatorLog) error {
		o.note(act, thisUser(), detail, done)
		return nil
	})
}

// thisUser is by whom an act is while no server runs.
func thisUser() string { return fmt.Sprintf("uid %d", os.Getuid()) }

// answer does an act for a request at the admin socket, notes it, unless it has no name, and answers.
func (o *operatorLog) answer(act string, f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		v, err := f(q)
		if act != "" {
			o.note(act, operatorOf(q), "", err)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		reply(w, v)
	}
}

// stream does an act whose answer is long, notes it, and ends the connection where it does not come to its end.
func (o *operatorLog) stream(act string, f func(*http.Request, io.Writer) error) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		out := &counting{w: w}
		err := f(q, out)
		o.note(act, operatorOf(q), "", err)
		switch {
		case err == nil:
		case out.n == 0:
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		default:
			panic(http.ErrAbortHandler) // so that the other end does not take it for the whole
		}
	}
}

// counting counts what is written.
type counting struct {
	w io.Writer
	n int64
}

// Write writes and counts.
func (c *counting) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
