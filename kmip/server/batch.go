package server

import (
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A batch is how far a request has come with its items.
type batch struct {
	first    int           // where in the encoder the answers begin
	most     int           // where they must have ended, by the Maximum Response Size; 0 is no limit
	answers  int           // how many there are
	target   string        // the object of an operation that is repeated for several
	more     bool          // it will be repeated again
	faults   map[int]error // of the items that could not be decoded
	done     []performed   // in a batch that may be undone
	withheld []output      // of operations that were Ephemeral

	job    *job  // that the request belongs to; nil of one that is answered at once
	of     []int // of a job: the items that the answers belong to which it has not got yet
	handed int   // where these answers begin
}

// A performed operation may be undone.
type performed struct {
	call
	item   int
	status int // where in the encoder its Result Status stands
}

// respond performs the operations in order and answers each, or promises to.
func (r *Request) respond(msg []byte) {
	r.encoder.Reset(r.encoder.Bytes(), r.version)
	r.encoder.BeStrict()
	start := len(r.encoder.Bytes())
	message := r.encoder.Begin(ttlv.TagResponseMessage)
	count := r.begin(r.version, r.now, r.hashed, r.correlation(), len(r.items))
	r.batch.first = len(r.encoder.Bytes())
	r.batch.handed = r.batch.first
	if most := r.header.MaximumResponseSize; most != nil {
		r.batch.most = start + int(*most)
	}
	if i, err := r.critical(); err != nil {
		r.refuseItem(i, err)
	} else if !r.answeredLater(msg) {
		r.perform()
	}
	if r.batch.answers != len(r.items) {
		r.recount(count, r.batch.answers)
	}
	r.encoder.End(message)
	for i := range r.items {
		r.items[i] = kmip.RequestBatchItem{}
	}
	r.forget()
}

// critical finds an extension of the message that must be understood, and is not: the whole message is refused then, before
// anything of it is done. KMIP 2.1 §9.13.
func (r *Request) critical() (int, error) {
	for i := range r.items {
		for _, e := range r.items[i].MessageExtension {
			if e.CriticalityIndicator {
				return i, kmip.Errorf(kmip.ResultReasonUnknownMessageExtension, "the message extension of %q is not supported", e.VendorIdentification)
			}
		}
	}
	return 0, nil
}

// perform goes through the items. A failure ends the batch unless it says Continue. The answers of a job are out as soon as
// nothing can undo them.
func (r *Request) perform() {
	for i := range r.items {
		goesOn := r.turn(i)
		if r.batch.job != nil && !r.undoes() {
			r.distribute()
		}
		if !goesOn {
			break
		}
	}
	if r.batch.job != nil {
		r.distribute()
	}
}

// turn performs an item, for each of the objects that it stands for, and says whether the batch goes on.
func (r *Request) turn(i int) bool {
	if j := r.batch.job; j != nil {
		if err := r.server.promises.begin(j.promises[i]); err != nil {
			return r.settle(i, err)
		}
	}
	err := r.attempt(i)
	if err != nil {
		if names := severalIn(err); names != nil {
			return r.repeat(i, names)
		}
	}
	return r.settle(i, err)
}

// settle answers an item that failed.
func (r *Request) settle(i int, err error) bool {
	if err == nil {
		return true
	}
	option := r.header.BatchErrorContinuationOption
	if option == kmip.BatchErrorContinuationOptionUndo {
		r.takeBack()
	}
	r.refuseItem(i, err)
	return option == kmip.BatchErrorContinuationOptionContinue
}

func (r *Request) refuseItem(i int, err error) {
	r.fail(r.version, &r.items[i], err, r.number)
	r.answered(i)
}

// answered notes that there is one more answer to an item.
func (r *Request) answered(i int) {
	r.batch.answers++
	if r.batch.job != nil {
		r.batch.of = append(r.batch.of, i)
	}
}

// attempt performs an item once. Nothing of an answer is left when it fails.
func (r *Request) attempt(i int) error {
	mark, before := len(r.encoder.Bytes()), len(r.batch.done)
	err := r.operate(i)
	if err == nil && len(r.ends) > 0 && i == len(r.items)-1 && !r.batch.more {
		err = r.finish()
	}
	if err == nil && r.over(0) {
		err = r.tooLarge()
	}
	if err != nil {
		r.encoder.Reset(r.encoder.Bytes()[:mark], r.version)
		r.batch.done = r.batch.done[:before]
		return err
	}
	r.answered(i)
	return nil
}

// over says whether the answer is larger than the client takes, once n more bytes are in it.
func (r *Request) over(n int) bool {
	return r.batch.most != 0 && len(r.encoder.Bytes())+n > r.batch.most
}

func (r *Request) tooLarge() error {
	return kmip.Errorf(kmip.ResultReasonResponseTooLarge, "the response is larger than the Maximum Response Size of %d bytes", *r.header.MaximumResponseSize)
}

// operate runs one operation and appends its answer.
func (r *Request) operate(i int) error {
	item, k := &r.items[i], &r.current
	*k = call{operation: item.Operation}
	op := r.server.lookup(item.Operation)
	var response any
	err := r.acceptable(op, i)
	if err == nil {
		response, err = r.call(op, item, k)
	}
	if err == nil {
		err = r.succeed(op, i, response)
	}
	if err != nil {
		r.charge.refund()
	}
	if err != nil && severalIn(err) != nil {
		return err // nothing was decided yet
	}
	end := r.record(k, r.began, err)
	r.performed(op, end.Sub(r.began), err)
	r.began = end
	return err
}
