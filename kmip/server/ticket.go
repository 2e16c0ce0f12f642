package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"slices"
	"sync"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Bounds of tickets, which live in memory: a server that starts again knows none.
const (
	mostTickets   = 65_536
	mostOfOne     = 256 // identity
	ticketSize    = 32  // bytes
	usualLease    = time.Hour
	longestLease  = 24 * time.Hour
	mostRights    = 64
	mostInARight  = 1024 // identifiers, groups, operations
	unlimitedUses = -1
)

// A ticket stands for a login: who has it is authenticated as who logged in. That of Login serves its own identity alone; that of
// Delegated Login whoever presents it, who then acts for the one who gave it, within the rights.
type ticket struct {
	identity   string // who logged in
	delegated  bool
	rights     []*right
	expires    time.Time
	state      *tls.ConnectionState // of the one who logged in
	generation uint64               // of the gate, when that was last found good

	mu       sync.Mutex
	requests int64 // left; unlimitedUses without a bound
	uses     int64 // operations left, likewise
}

// A right is one of a delegated ticket. What is nil restricts nothing.
type right struct {
	operations []kmip.Operation
	objects    []string
	groups     *kmip.ObjectGroups
	uses       int64 // left, guarded by the ticket's mutex
}

// tickets are those of a server, by the SHA-256 of their values.
type tickets struct {
	mu   sync.Mutex
	all  map[[32]byte]*ticket
	held map[string]int // by identity
}

// add keeps a ticket and gives it a value, from crypto/rand.
func (s *tickets) add(t *ticket, now time.Time) (kmip.Ticket, error) {
	value := make([]byte, ticketSize)
	rand.Read(value)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= mostTickets || s.held[t.identity] >= mostOfOne {
		s.sweep(now)
	}
	if len(s.all) >= mostTickets || s.held[t.identity] >= mostOfOne {
		return kmip.Ticket{}, kmip.Errorf(kmip.ResultReasonServerLimitExceeded, "%q has %d tickets, of %d in all: log out of some", t.identity, s.held[t.identity], len(s.all))
	}
	s.put(sha256.Sum256(value), t)
	return kmip.Ticket{TicketType: kmip.TicketTypeLogin, TicketValue: value}, nil
}

func (s *tickets) put(digest [32]byte, t *ticket) {
	if s.all == nil {
		s.all, s.held = make(map[[32]byte]*ticket), make(map[string]int)
	}
	s.all[digest] = t
	s.held[t.identity]++
}

// sweep removes what has expired.
func (s *tickets) sweep(now time.Time) {
	for digest, t := range s.all {
		if !now.Before(t.expires) {
			s.remove(digest)
		}
	}
}

func (s *tickets) remove(digest [32]byte) *ticket {
	t := s.all[digest]
	if t == nil {
		return nil
	}
	delete(s.all, digest)
	if s.held[t.identity]--; s.held[t.identity] == 0 {
		delete(s.held, t.identity)
	}
	return t
}

// find is the ticket of a value, nil for one that is not there or has expired.
func (s *tickets) find(k *kmip.Ticket, now time.Time) (digest [32]byte, t *ticket) {
	digest = sha256.Sum256(k.TicketValue)
	s.mu.Lock()
	defer s.mu.Unlock()
	t = s.all[digest]
	if t == nil || k.TicketType != kmip.TicketTypeLogin {
		return digest, nil
	}
	if !now.Before(t.expires) {
		s.remove(digest)
		return digest, nil
	}
	return digest, t
}

// end removes a ticket.
func (s *tickets) end(digest [32]byte) *ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(digest)
}

// again puts back a ticket that was ended.
func (s *tickets) again(digest [32]byte, t *ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(digest, t)
}

func invalidTicket() error {
	return kmip.Errorf(kmip.ResultReasonInvalidTicket, "the ticket has ended, or is not one of yours")
}

// present authenticates a request by a ticket, and counts the request. The certificate of who logged in must still be good.
func (r *Request) present(k *kmip.Ticket) error {
	digest, t := r.server.tickets.find(k, r.now)
	if t == nil || !t.delegated && t.identity != r.conn.identity {
		return invalidTicket()
	}
	if r.ticket != nil {
		return kmip.Errorf(kmip.ResultReasonInvalidField, "the request has more than one ticket")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if generation := r.server.Gate.generation.Load(); t.generation != generation {
		if identity, err := r.server.Gate.Identify(t.state); err != nil || identity != t.identity {
			r.server.tickets.end(digest)
			return invalidTicket()
		}
		t.generation = generation
	}
	if t.requests == 0 {
		r.server.tickets.end(digest)
		return invalidTicket()
	}
	if t.requests > 0 {
		t.requests--
	}
	r.ticket, r.identity = t, t.identity
	return nil
}

// login answers Login. KMIP 2.1 §6.1.30.
func (r *Request) login(_ *call, q *kmip.LoginRequest) (*kmip.LoginResponse, error) {
	t, err := r.newTicket(q.LeaseTime, q.RequestCount, q.UsageLimits)
	if err != nil {
		return nil, err
	}
	k, err := r.issue(t)
	if err != nil {
		return nil, err
	}
	return &kmip.LoginResponse{Ticket: k}, nil
}

// delegatedLogin answers Delegated Login. KMIP 2.1 §6.1.12.
func (r *Request) delegatedLogin(_ *call, q *kmip.DelegatedLoginRequest) (*kmip.DelegatedLoginResponse, error) {
	t, err := r.newTicket(q.LeaseTime, q.RequestCount, q.UsageLimits)
	if err != nil {
		return nil, err
	}
	t.delegated = true
	if n := len(q.Rights.Right); n == 0 || n > mostRights {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the request has %d rights, must be 1 to %d", n, mostRights)
	}
	for i := range q.Rights.Right {
		granted, err := newRight(&q.Rights.Right[i])
		if err != nil {
			return nil, err
		}
		t.rights = append(t.rights, granted)
	}
	k, err := r.issue(t)
	if err != nil {
		return nil, err
	}
	return &kmip.DelegatedLoginResponse{Ticket: k}, nil
}

// issue keeps a ticket until it ends; a batch that is undone takes it back.
func (r *Request) issue(t *ticket) (kmip.Ticket, error) {
	k, err := r.server.tickets.add(t, r.now)
	if err == nil {
		digest := sha256.Sum256(k.TicketValue)
		r.onUndo(func(context.Context) error { r.server.tickets.end(digest); return nil })
	}
	return k, err
}

// logout answers Logout. KMIP 2.1 §6.1.31. Who logged in ends a ticket, or the holder of one that was delegated.
func (r *Request) logout(_ *call, q *kmip.LogoutRequest) (*kmip.LogoutResponse, error) {
	digest, t := r.server.tickets.find(&q.Ticket, r.now)
	if t == nil || t.identity != r.identity || r.ticket.confines() && t != r.ticket {
		return nil, invalidTicket()
	}
	if r.server.tickets.end(digest) == nil {
		return nil, invalidTicket()
	}
	r.onUndo(func(context.Context) error { r.server.tickets.again(digest, t); return nil })
	return &kmip.LogoutResponse{}, nil
}

// newTicket is a ticket of the caller, who must not have come with one: tickets are not made of tickets, which would outlive
// their bounds.
func (r *Request) newTicket(lease ttlv.Raw, requests *int32, limits *kmip.UsageLimits) (*ticket, error) {
	if r.ticket != nil {
		return nil, kmip.Errorf(kmip.ResultReasonPermissionDenied, "who comes with a ticket gets no other")
	}
	t := &ticket{identity: r.identity, state: r.state, generation: r.generation, requests: unlimitedUses}
	var err error
	if t.expires, err = r.leaseEnd(lease); err != nil {
		return nil, err
	}
	if end := r.state.PeerCertificates[0].NotAfter; end.Before(t.expires) {
		t.expires = end
	}
	if requests != nil {
		if *requests <= 0 {
			return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the Request Count is %d, must be positive", *requests)
		}
		t.requests = int64(*requests)
	}
	t.uses, err = usesOf(limits)
	return t, err
}

// leaseEnd is when a ticket expires: after an interval, or at a time.
func (r *Request) leaseEnd(lease ttlv.Raw) (time.Time, error) {
	if lease == nil {
		return r.now.Add(usualLease), nil
	}
	item, err := r.decoder.Open(lease)
	if err != nil {
		return time.Time{}, r.invalid(err)
	}
	var end time.Time
	switch item.Type {
	case ttlv.TypeInterval:
		var span ttlv.Interval
		span, err = item.Interval()
		end = r.now.Add(time.Duration(span) * time.Second)
	case ttlv.TypeDateTime:
		end, err = item.Time()
	default:
		return end, kmip.Errorf(kmip.ResultReasonInvalidField, "the Lease Time of a ticket is an Interval or a Date-Time, not a %v", item.Type)
	}
	if err != nil {
		return end, r.invalid(err)
	}
	if !r.now.Before(end) || end.Sub(r.now) > longestLease {
		return end, kmip.Errorf(kmip.ResultReasonInvalidField, "the Lease Time of a ticket ends within %v from now", longestLease)
	}
	return end, nil
}

// usesOf is how many operations Usage Limits allow. Those of a ticket count operations (KMIP 2.1 §7.40), so their unit is the
// object.
func usesOf(limits *kmip.UsageLimits) (int64, error) {
	if limits == nil {
		return unlimitedUses, nil
	}
	l, err := unused(*limits)
	if err == nil && l.UsageLimitsUnit != kmip.UsageLimitsUnitObject {
		err = kmip.Errorf(kmip.ResultReasonInvalidField, "the Usage Limits of a ticket count operations: their unit is Object, not %v", l.UsageLimitsUnit)
	}
	return l.UsageLimitsTotal, err
}

// newRight is a right of a request. It borrows nothing of it.
func newRight(q *kmip.Right) (*right, error) {
	g, listed := new(right), 0
	var err error
	if g.uses, err = usesOf(q.UsageLimits); err != nil {
		return nil, err
	}
	if q.Operations != nil {
		g.operations = append([]kmip.Operation{}, q.Operations.Operation...)
	}
	if q.Objects != nil {
		g.objects = []string{}
		for _, uid := range q.Objects.UniqueIdentifier {
			if !uid.Plain() {
				return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the Objects of a right are identifiers as text")
			}
			g.objects = append(g.objects, string(uid))
		}
	}
	if q.ObjectGroups != nil {
		g.groups = &kmip.ObjectGroups{ObjectGroup: slices.Clone(q.ObjectGroups.ObjectGroup)}
		listed = len(g.groups.ObjectGroup)
	}
	if n := max(len(g.operations), len(g.objects), listed); n > mostInARight {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "a right lists %d of a kind, at most %d are taken", n, mostInARight)
	}
	return g, nil
}

// names says whether a right is to an operation.
func (g *right) names(op kmip.Operation) bool {
	return g.operations == nil || slices.Contains(g.operations, op)
}

// covers says whether a right is to an object of that name and those attributes.
func (g *right) covers(uid string, a kmip.Attributes) bool {
	if g.objects != nil && !slices.Contains(g.objects, uid) {
		return false
	}
	return g.groups == nil || g.groups.Have(a)
}

// everywhere says whether a right does not look at the object.
func (g *right) everywhere() bool { return g.objects == nil && g.groups == nil }

// confines says whether a ticket has rights of its own. A nil ticket, and that of Login, has those of the identity.
func (t *ticket) confines() bool { return t != nil && t.delegated }

// allows says whether a ticket is good for an operation on an object.
func (t *ticket) allows(op kmip.Operation, uid string, a kmip.Attributes) bool {
	return !t.confines() || slices.ContainsFunc(t.rights, func(g *right) bool { return g.names(op) && g.covers(uid, a) })
}

// mayTry refuses an operation that no right of a ticket names: Requests using the ticket MUST only be permitted to perform the
// operations specified in the Rights section (KMIP 2.1 §6.1.12). One that is on no object takes a right that names it, or that
// restricts nothing.
func (t *ticket) mayTry(op *operation) error {
	if !t.confines() || slices.ContainsFunc(t.rights, func(g *right) bool {
		return g.names(op.Operation) && (op.targeted || g.operations != nil || g.everywhere())
	}) {
		return nil
	}
	return kmip.Errorf(kmip.ResultReasonPermissionDenied, "the ticket has no right to %v", op.Operation)
}

// admitTicket begins an operation with the ticket of the request.
func (r *Request) admitTicket(op *operation) error {
	if err := r.ticket.mayTry(op); err != nil {
		return err
	}
	if err := r.charge.begin(r.ticket); err != nil || op.targeted {
		return err
	}
	return r.charge.free(op.Operation)
}

// mayMake refuses a new object that no right of the ticket covers.
func (r *Request) mayMake(uid string, given kmip.Attributes) error {
	op := r.current.operation
	if !r.ticket.allows(op, uid, given) {
		return kmip.Errorf(kmip.ResultReasonPermissionDenied, "the ticket has no right to %v of %q", op, uid)
	}
	if r.ticket == nil {
		return nil
	}
	return r.charge.right(op, uid, given)
}

// delegator is who gave the ticket with which somebody else came, for the audit; "" where the caller acts as itself.
func (r *Request) delegator() string {
	if r.identity == r.conn.identity {
		return ""
	}
	return r.identity
}

// covered leaves of a list what the caller's ticket covers.
func covered[T any](r *Request, list []T, uid func(T) string) []T {
	if !r.ticket.confines() {
		return list
	}
	return slices.DeleteFunc(list, func(x T) bool {
		name := uid(x)
		backend, err := r.backend(name)
		if err != nil {
			return true
		}
		o, err := backend.Object(r.ctx, name)
		return err != nil || !r.ticket.allows(r.current.operation, name, o.Attributes)
	})
}

// A charge is what an operation took of the limits of a ticket, to be given back if it fails.
type charge struct {
	ticket *ticket
	whole  bool // of the Usage Limits of the ticket itself
	rights []*right
}

// begin takes one operation of a ticket's own limits.
func (c *charge) begin(t *ticket) error {
	*c = charge{ticket: t, rights: c.rights[:0]}
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !take(&t.uses) {
		return spent()
	}
	c.whole = true
	return nil
}

// take takes one of what is left.
func take(left *int64) bool {
	if *left == 0 {
		return false
	}
	if *left > 0 {
		*left--
	}
	return true
}

func spent() error {
	return kmip.Errorf(kmip.ResultReasonPermissionDenied, "the Usage Limits of the ticket do not allow that any more")
}

// right takes one of a right that is good for an operation on an object, unless the operation at hand has taken of it before.
func (c *charge) right(op kmip.Operation, uid string, a kmip.Attributes) error {
	return c.take(func(g *right) bool { return g.names(op) && g.covers(uid, a) })
}

// free takes one of a right for an operation that is on no object.
func (c *charge) free(op kmip.Operation) error {
	return c.take(func(g *right) bool { return g.names(op) })
}

func (c *charge) take(good func(*right) bool) error {
	t := c.ticket
	if !t.confines() || slices.ContainsFunc(c.rights, good) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.rights {
		if good(g) && take(&g.uses) {
			c.rights = append(c.rights, g)
			return nil
		}
	}
	return spent()
}

// refund gives back what a failed operation took.
func (c *charge) refund() {
	if c.ticket == nil {
		return
	}
	c.ticket.mu.Lock()
	defer c.ticket.mu.Unlock()
	if c.whole && c.ticket.uses >= 0 {
		c.ticket.uses++
	}
	for _, g := range c.rights {
		if g.uses >= 0 {
			g.uses++
		}
	}
	c.whole, c.rights = false, c.rights[:0]
}
