package server

import (
	"errors"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A need is what an operation asks of an object beside the right to it.
type need struct {
	states states
	usage  kmip.CryptographicUsageMask // one of these bits; 0 asks for none
	window window                      // of its dates
	right  kmip.Operation              // the right asked for, where it is not the operation itself

	archived bool // archived objects too: all others are to be recovered first (KMIP 2.1 §6.1)

	ofType map[kmip.ObjectType]need // the need in place of this one, of an object of that type
}

// A window is the part of a key's life in which it may be used for something. KMIP 2.1 §4.40, §4.41 and §4.57.
type window int

const (
	always           window = iota
	fromProcessStart        // to read what is protected
	untilProtectStop        // to apply protection: from the Process Start Date, too
)

// states is a set of states.
type states uint8

func in(list ...kmip.State) (s states) {
	for _, x := range list {
		s |= 1 << x
	}
	return s
}

func (s states) has(x kmip.State) bool { return x == 0 || s&(1<<x) != 0 }

// Sets of states (KMIP 2.1 §4.57). What a Compromised key protected may still be read by nobody through the server: its
// owner can, by taking the material out.
const (
	existing = states(1<<kmip.StatePreActive | 1<<kmip.StateActive | 1<<kmip.StateDeactivated | 1<<kmip.StateCompromised)
	anyState = existing | states(1<<kmip.StateDestroyed|1<<kmip.StateDestroyedCompromised)
)

// protect is the need of an operation that applies protection.
func protect(usage kmip.CryptographicUsageMask) need {
	return need{states: in(kmip.StateActive), usage: usage, window: untilProtectStop}
}

// process is the need of an operation that reads what was protected: a Deactivated key may.
func process(usage kmip.CryptographicUsageMask) need {
	return need{states: in(kmip.StateActive, kmip.StateDeactivated), usage: usage, window: fromProcessStart}
}

// openFor opens the object of an operation.
func (r *Request) openFor(k *call, uid kmip.UniqueIdentifier, n need) (*kmip.Object, error) {
	name, err := r.target(uid)
	if err != nil {
		return nil, err
	}
	k.uid = name
	if n.right == 0 {
		n.right = k.operation
	}
	r.need = n
	return r.admit(name, n)
}

// openSecond opens another object that an operation needs, a wrapping key for one, with the right that takes. The
// decision gets an audit line of its own.
func (r *Request) openSecond(uid kmip.UniqueIdentifier, n need) (*kmip.Object, error) {
	k := call{operation: n.right}
	began := time.Now()
	name, err := r.resolve(uid)
	var o *kmip.Object
	if err == nil {
		k.uid = name
		o, err = r.admitted(name, &n)
		k.operation = n.right
	}
	r.record(&k, began, err)
	return o, err
}

// admit is the door: the one way from an identifier to an object that may be operated on. It routes, looks the object up,
// authorizes, and checks state and usage mask, in this order, so that a stranger learns nothing of an object's state.
func (r *Request) admit(uid string, n need) (*kmip.Object, error) { return r.admitted(uid, &n) }

// admitted is admit, which tells the need that the object's type chose.
func (r *Request) admitted(uid string, n *need) (*kmip.Object, error) {
	o, err := r.permittedFor(uid, n)
	if err != nil {
		return nil, err
	}
	if r.server.Reserved != nil && r.server.Reserved(o) {
		return nil, kmip.Errorf(kmip.ResultReasonPermissionDenied, "object %q protects the server's root key, or did: no client uses it", uid)
	}
	if !n.archived && o.Attributes.Archived() {
		return nil, kmip.Errorf(kmip.ResultReasonObjectArchived, "object %q is archived: recover it first", uid)
	}
	state := o.State(r.now)
	if !n.states.has(state) {
		if state == kmip.StateDestroyed || state == kmip.StateDestroyedCompromised {
			return nil, kmip.Errorf(kmip.ResultReasonObjectDestroyed, "object %q is destroyed", uid)
		}
		return nil, kmip.Errorf(kmip.ResultReasonWrongKeyLifecycleState, "object %q is %v", uid, state)
	}
	if n.usage != 0 && o.Attributes.UsageMask()&n.usage == 0 {
		return nil, kmip.Errorf(kmip.ResultReasonIncompatibleCryptographicUsageMask, "the Cryptographic Usage Mask of %q has no %v", uid, n.usage)
	}
	if err := n.window.open(o, r.now); err != nil || r.ticket == nil {
		return o, err
	}
	return o, r.charge.right(n.right, uid, o.Attributes)
}

// permitted looks an object up and asks whether the caller has the right to it. Who has not hears the same as for an
// identifier that does not exist.
func (r *Request) permitted(uid string, right kmip.Operation) (*kmip.Object, error) {
	return r.permittedFor(uid, &need{right: right})
}

func (r *Request) permittedFor(uid string, n *need) (*kmip.Object, error) {
	backend, err := r.backend(uid)
	if err != nil {
		return nil, err
	}
	o, err := backend.Object(r.ctx, uid)
	if err != nil {
		return nil, r.conceal(uid, err)
	}
	if !r.hasType(o.ObjectType()) {
		return nil, kmip.NotFound(uid)
	}
	if special, ok := n.ofType[o.ObjectType()]; ok {
		*n = special
	}
	if !r.server.Authority.Load().Allow(r.identity, n.right, o) || !r.ticket.allows(n.right, uid, o.Attributes) {
		return nil, kmip.NotFound(uid)
	}
	return o, nil
}

// hasType says whether the version of the request has a type of objects. It knows of no others: a template is not there for a 2.x
// client.
func (r *Request) hasType(t kmip.ObjectType) bool {
	return t < kmip.ObjectTypeTemplate || ttlv.Defined(ttlv.TagObjectType, uint32(t), r.version)
}

// backend routes an identifier.
func (r *Request) backend(uid string) (kmip.Backend, error) {
	_, _, token, err := kmip.HSMKey(uid)
	switch {
	case err != nil:
		return nil, err
	case !token:
		return r.server.Store, nil
	case r.server.HSM == nil:
		return nil, kmip.NotFound(uid)
	}
	return r.server.HSM, nil
}

// conceal keeps from all but the administrators of HSM keys what an error in looking one up tells about it. That the
// token is away is nobody's secret.
func (r *Request) conceal(uid string, err error) error {
	if errors.Is(err, kmip.ErrNotFound) {
		return kmip.NotFound(uid)
	}
	slot, _, token, _ := kmip.HSMKey(uid)
	if kmip.ReasonOf(err) == kmip.ResultReasonGeneralFailure || token && r.server.Authority.Load().AdminOf(r.identity, slot) {
		return err
	}
	return kmip.NotFound(uid)
}

// open says whether a key is in the window at the time now. Dates are whole seconds: the largest one is beyond what a time.Time
// compares.
func (w window) open(o *kmip.Object, now time.Time) error {
	if w != always {
		if t, ok := kmip.Get[time.Time](o.Attributes, ttlv.TagProcessStartDate); ok && now.Unix() < t.Unix() {
			return kmip.Errorf(kmip.ResultReasonWrongKeyLifecycleState, "object %q may not be used before its Process Start Date", o.UniqueIdentifier)
		}
	}
	if w == untilProtectStop {
		if t, ok := kmip.Get[time.Time](o.Attributes, ttlv.TagProtectStopDate); ok && t.Unix() <= now.Unix() {
			return kmip.Errorf(kmip.ResultReasonWrongKeyLifecycleState, "object %q may not be used to protect after its Protect Stop Date", o.UniqueIdentifier)
		}
	}
	return nil
}

// record queues the audit line of a decision, before its answer is sent, and says when that was.
func (r *Request) record(k *call, began time.Time, err error) (end time.Time) {
	end = time.Now()
	r.ready = end
	e := Event{
		Time: r.now, Request: r.number, Identity: r.conn.identity, For: r.delegator(), Fingerprint: r.fingerprint,
		Operation: k.operation, UniqueIdentifier: k.uid, Correlation: r.header.ClientCorrelationValue, Result: kmip.ResultStatusSuccess, Duration: end.Sub(began),
	}
	if err != nil {
		e.Result, e.Reason = kmip.ResultStatusOperationFailed, kmip.ReasonOf(err)
	}
	r.audit.Write(&e)
	return end
}
