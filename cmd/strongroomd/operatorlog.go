package main

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/server"
)

// operator is who audit lines name for what is done at the admin socket, or while no server runs.
const operator = "operator"

// An operatorLog tells what operators do, in the audit log and in the log.
type operatorLog struct {
	audit *server.Audit
	log   *slog.Logger
}

// note writes the lines of one act.
func (o *operatorLog) note(act string, began time.Time, err error) {
	e := server.Event{Time: began, Identity: operator, Act: act, Result: kmip.ResultStatusSuccess, Duration: time.Since(began)}
	if err != nil {
		e.Result, e.Reason = kmip.ResultStatusOperationFailed, kmip.ResultReasonGeneralFailure
		var known *kmip.Error
		if errors.As(err, &known) {
			e.Reason = known.Reason
		}
		o.log.Warn(act+" was refused", "err", err)
	} else {
		o.log.Info(act + ", by the operator")
	}
	s := o.audit.Stream()
	s.Write(&e)
	s.Close()
}

// answer does an act for a request at the admin socket, notes it, and answers.
func (o *operatorLog) answer(act string, f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		began := time.Now()
		v, err := f(q)
		o.note(act, began, err)
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		reply(w, v)
	}
}
