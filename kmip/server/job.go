package server

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A job is a message whose operations are performed in the background, in their order.
type job struct {
	conn     *conn // of its own
	message  []byte
	number   uint64
	version  ttlv.Version
	identity string // as whom, with what of credentials: see Request
	ticket   *ticket
	refusal  error
	account  *account
	promises []*promise
	ended    chan struct{} // closed when every promise is kept
}

// owner is who may ask for an answer: who asked for the operation, as whom.
type owner struct{ caller, identity string }

func (j *job) owner() owner { return owner{j.conn.identity, j.identity} }

// newJob makes a job of a message, and promises of its items.
func (r *Request) newJob(msg []byte) *job {
	c := r.conn
	d := &conn{
		server: c.server, raw: c.raw, tls: c.tls, identity: c.identity, fingerprint: c.fingerprint, state: c.state, generation: c.generation, tally: c.tally,
		ctx: r.server.promises.ctx, payloads: make([]any, len(c.payloads)),
	}
	j := &job{
		conn: d, message: append([]byte(nil), msg...), number: r.number, version: r.version,
		identity: r.identity, ticket: r.ticket, refusal: r.refusal, ended: make(chan struct{}), promises: make([]*promise, len(r.items)),
	}
	for i := range r.items {
		x := &promise{job: j, item: i, operation: r.items[i].Operation, asked: r.now, stage: kmip.ProcessingStageSubmitted}
		rand.Read(x.value[:]) // never fails: it ends the program instead
		j.promises[i] = x
	}
	return j
}

// run performs a job. What a bug leaves open fails.
func (j *job) run() {
	c := j.conn
	c.audit = c.server.Audit.Stream()
	defer c.audit.Close()
	defer j.close()
	defer c.recover()
	r := &c.request
	now := time.Now()
	*r = Request{conn: c, ctx: c.ctx, identity: j.identity, ticket: j.ticket, refusal: j.refusal, number: j.number, now: now, began: now, version: ttlv.V1_0}
	r.batch.job = j
	if c.generation != c.server.Gate.generation.Load() {
		if err := c.identify(); err != nil {
			r.refusal = kmip.Errorf(kmip.ResultReasonPermissionDenied, "the certificate of the operation is not accepted any more")
		}
	}
	if err := c.server.Gate.refusal(); err != nil {
		r.refusal = err
	}
	if err := r.decode(j.message); err != nil {
		c.server.Log.Error("a message could not be read again", "request", j.number, "err", err)
		return
	}
	r.header.MaximumResponseSize = nil // it is for the answer to this message, which has been given
	for i := range r.items {
		r.items[i].UniqueBatchItemID = nil
	}
	r.respond(nil)
}

// close keeps what promises are left, and frees what the job has. What had begun, and was not ended, has met a bug.
func (j *job) close() {
	p := j.conn.server.promises
	p.mu.Lock()
	failed := false // an operation before
	for _, x := range j.promises {
		switch x.stage {
		case kmip.ProcessingStageSubmitted:
			x.skipped = failed
			p.hold(x, j.refused(x, kmip.Errorf(kmip.ResultReasonGeneralFailure, "the operation was not performed, for one before it in the batch failed")), true)
		case kmip.ProcessingStageInProcess:
			p.hold(x, j.refused(x, errors.New("the operation was not ended")), true)
		}
		failed = failed || x.failed
	}
	p.count(j.account, 0, -len(j.message))
	p.mu.Unlock()
	clear(j.message)
	j.conn.wipe()
	close(j.ended)
}

// giveUp ends a job that has not begun.
func (j *job) giveUp(err error) {
	p := j.conn.server.promises
	r := &Request{conn: j.conn, identity: j.identity, number: j.number, now: time.Now()}
	r.audit = j.conn.server.Audit.Stream()
	defer r.audit.Close()
	p.mu.Lock()
	for _, x := range j.promises {
		if x.stage == kmip.ProcessingStageSubmitted {
			p.hold(x, j.refused(x, err), true)
			r.record(&call{operation: x.operation}, r.now, err)
		}
	}
	p.mu.Unlock()
	j.close()
}

// refused is the answer of an operation that was not performed.
func (j *job) refused(x *promise, err error) []byte {
	c := conn{server: j.conn.server, identity: j.conn.identity}
	c.encoder.Reset(nil, j.version)
	c.fail(j.version, &kmip.RequestBatchItem{Operation: x.operation}, err, j.number)
	return c.encoder.Bytes()
}

// distribute gives the promises of the job the answers that they have not got yet.
func (r *Request) distribute() {
	var d ttlv.Decoder
	rest := r.encoder.Bytes()[r.batch.handed:]
	d.Reset(r.version, &ttlv.Limits{Size: len(rest), Items: len(rest)}, true)
	for of := r.batch.of; len(of) > 0; {
		item, size, failed := of[0], 0, false
		for len(of) > 0 && of[0] == item {
			var answer kmip.ResponseBatchItem
			n := sizeOf(rest[size:])
			if err := d.Unmarshal(rest[size:size+n], ttlv.TagBatchItem, &answer); err != nil {
				panic("reading our own answer: " + err.Error())
			}
			failed = failed || answer.ResultStatus != kmip.ResultStatusSuccess
			size, of = size+n, of[1:]
		}
		r.server.promises.keep(r.batch.job.promises[item], rest[:size], failed)
		rest = rest[size:]
	}
	r.batch.of, r.batch.handed = r.batch.of[:0], len(r.encoder.Bytes())
}

// sizeOf is the size of the structure at the start of our own answers.
func sizeOf(answers []byte) int { return 8 + int(binary.BigEndian.Uint32(answers[4:])) }
