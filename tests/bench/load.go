package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"strongroom/kmip/ttlv"
)

// A load is what clients do to a server, or to the echo in its place.
type load struct {
	address     string
	tls         *tls.Config
	mix         []*exchange // that each connection goes around, one of them after another
	connections int
	depth       int           // requests that each connection sends at once, before it waits for their answers
	warmUp      time.Duration // before the time that counts
	duration    time.Duration
	prime       bool    // the first message is the answer that the echo is to give
	process     process // of the server
}

// An outcome is what a load came to.
type outcome struct {
	operations int // answered in the time that counts
	duration   time.Duration
	latencies  []time.Duration // sorted; from a request's sending to its answer
	cpu        time.Duration   // that the server used
}

// rate is operations per second.
func (o *outcome) rate() float64 { return float64(o.operations) / o.duration.Seconds() }

// add takes in what came later.
func (o *outcome) add(later *outcome) {
	o.operations += later.operations
	o.duration += later.duration
	o.cpu += later.cpu
	o.latencies = append(o.latencies, later.latencies...)
	slices.Sort(o.latencies)
}

// cpuPerOperation is in microseconds, 0 where it is not known.
func (o *outcome) cpuPerOperation() float64 {
	if o.operations == 0 {
		return 0
	}
	return microseconds(o.cpu) / float64(o.operations)
}

// run puts the load on and waits for its end.
func (l *load) run(ctx context.Context) (*outcome, error) {
	clients, err := l.dial(ctx)
	defer func() {
		for _, c := range clients {
			c.conn.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	from, until := l.warmUp, l.warmUp+l.duration
	stop := context.AfterFunc(ctx, func() {
		for _, c := range clients {
			c.conn.SetDeadline(time.Unix(1, 0))
		}
	})
	defer stop()
	errs := make([]error, len(clients)+1)
	var wg sync.WaitGroup
	for i, c := range clients {
		c.start, c.from, c.until = start, from, until
		wg.Go(func() { errs[i] = c.run() })
	}
	var cpu time.Duration
	wg.Go(func() { cpu, errs[len(clients)] = l.process.cpuBetween(start.Add(from), start.Add(until)) })
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(context.Cause(ctx), err)
	}
	return l.outcome(clients, cpu), nil
}

func (l *load) outcome(clients []*loadClient, cpu time.Duration) *outcome {
	o := &outcome{duration: l.duration, cpu: cpu}
	var samples []*sample
	for _, c := range clients {
		o.operations += c.operations
		samples = append(samples, c.sample)
	}
	o.latencies = merge(samples)
	return o
}

// dial makes the connections, before any of them is used.
func (l *load) dial(ctx context.Context) ([]*loadClient, error) {
	clients := make([]*loadClient, 0, l.connections)
	for i := range l.connections {
		d := tls.Dialer{Config: l.tls}
		conn, err := d.DialContext(ctx, "tcp", l.address)
		if err != nil {
			return clients, fmt.Errorf("connecting: %w", err)
		}
		c := newLoadClient(conn.(*tls.Conn), l.mix, i*len(l.mix)/l.connections, l.depth)
		clients = append(clients, c)
		c.conn.SetDeadline(time.Now().Add(l.warmUp + l.duration + 30*time.Second))
		if l.prime {
			if _, err := conn.Write(l.mix[0].answer); err != nil {
				return clients, fmt.Errorf("telling the echo its answer: %w", err)
			}
		}
	}
	return clients, nil
}

// A loadClient is one connection of a load. It sends as many requests as are to be under way in one write, and again when
// all are answered.
type loadClient struct {
	conn     *tls.Conn
	mix      []*exchange
	send     int    // number in mix of the next request
	expect   int    // and of the next answer
	requests []byte // depth of them, one behind the other
	in       []byte // in[r:w] has come and was not looked at
	r, w     int
	depth    int
	underway int
	sent     time.Duration // when the requests under way were sent, since start

	start       time.Time
	from, until time.Duration // since start
	operations  int           // answered between from and until
	sample      *sample
}

// newLoadClient makes a connection that begins with number first of the mix.
func newLoadClient(conn *tls.Conn, mix []*exchange, first, depth int) *loadClient {
	c := &loadClient{conn: conn, mix: mix, send: first, expect: first, depth: depth, sample: newSample()}
	longest := 0
	for _, x := range mix {
		longest = max(longest, len(x.answer))
	}
	c.in = make([]byte, max(2*depth*longest, 32<<10))
	return c
}

// next is what is to be sent.
func (c *loadClient) next() []byte {
	if len(c.mix) == 1 && c.requests != nil {
		return c.requests
	}
	c.requests = c.requests[:0]
	for range c.depth {
		c.requests = append(c.requests, c.mix[c.send].request...)
		c.send = (c.send + 1) % len(c.mix)
	}
	return c.requests
}

// run sends and receives until the time is over and everything is answered.
func (c *loadClient) run() error {
	for now := time.Since(c.start); now < c.until; {
		if _, err := c.conn.Write(c.next()); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
		c.sent, c.underway = now, c.depth
		for c.underway > 0 {
			var err error
			if now, err = c.receive(); err != nil {
				return err
			}
		}
	}
	return nil
}

// receive reads once and takes all answers that are complete then.
func (c *loadClient) receive() (now time.Duration, err error) {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	if c.w == len(c.in) {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	}
	k, err := c.conn.Read(c.in[c.w:])
	now = time.Since(c.start)
	c.w += k
	if err != nil {
		return now, fmt.Errorf("receiving: %w", err)
	}
	for c.w-c.r >= 8 {
		size, err := ttlv.Length(c.in[c.r:c.w], nil)
		if err != nil {
			return now, err
		}
		if c.w-c.r < size {
			break
		}
		if err := c.take(c.in[c.r:c.r+size], now); err != nil {
			return now, err
		}
		c.r += size
	}
	return now, nil
}

// take takes one answer.
func (c *loadClient) take(answer []byte, now time.Duration) error {
	if c.underway == 0 {
		return errors.New("an answer to no request")
	}
	x := c.mix[c.expect]
	c.expect = (c.expect + 1) % len(c.mix)
	if err := x.check(answer); err != nil {
		return err
	}
	c.underway--
	if now >= c.from && now < c.until {
		c.operations += x.operations
		c.sample.add(now - c.sent)
	}
	return nil
}
