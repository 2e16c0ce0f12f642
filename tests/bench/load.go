package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"strongroom/kmip/ttlv"
)

// A load is what clients do to a server, or to the echo in its place.
type load struct {
	address     string
	tls         *tls.Config
	exchange    *exchange
	connections int
	depth       int           // requests under way on each connection at once
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
		o.operations += c.answered * l.exchange.operations
		samples = append(samples, c.sample)
	}
	o.latencies = merge(samples)
	return o
}

// dial makes the connections, before any of them is used.
func (l *load) dial(ctx context.Context) ([]*loadClient, error) {
	clients := make([]*loadClient, 0, l.connections)
	for range l.connections {
		d := tls.Dialer{Config: l.tls}
		conn, err := d.DialContext(ctx, "tcp", l.address)
		if err != nil {
			return clients, fmt.Errorf("connecting: %w", err)
		}
		c := newLoadClient(conn.(*tls.Conn), l.exchange, l.depth)
		clients = append(clients, c)
		c.conn.SetDeadline(time.Now().Add(l.warmUp + l.duration + 30*time.Second))
		if l.prime {
			if _, err := conn.Write(l.exchange.answer); err != nil {
				return clients, fmt.Errorf("telling the echo its answer: %w", err)
			}
		}
	}
	return clients, nil
}

// A loadClient is one connection of a load. It sends as many requests as answers have come, in one write.
type loadClient struct {
	conn     *tls.Conn
	exchange *exchange
	requests []byte // as many as may be under way, one behind the other
	in       []byte // in[r:w] has come and was not looked at
	r, w     int
	sent     []time.Duration // when the requests under way were sent: a ring
	oldest   int
	underway int

	start       time.Time
	from, until time.Duration // since start
	answered    int           // between from and until
	sample      *sample
}

func newLoadClient(conn *tls.Conn, x *exchange, depth int) *loadClient {
	c := &loadClient{conn: conn, exchange: x, sample: newSample(), sent: make([]time.Duration, depth)}
	for range depth {
		c.requests = append(c.requests, x.request...)
	}
	c.in = make([]byte, max(2*depth*len(x.answer), 32<<10))
	return c
}

// run sends and receives until the time is over and everything is answered.
func (c *loadClient) run() error {
	if err := c.send(len(c.sent), time.Since(c.start)); err != nil {
		return err
	}
	for c.underway > 0 {
		n, now, err := c.receive()
		if err != nil {
			return err
		}
		if now < c.until {
			if err := c.send(n, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// send sends n requests.
func (c *loadClient) send(n int, now time.Duration) error {
	if n == 0 {
		return nil
	}
	for i := range n {
		c.sent[(c.oldest+c.underway+i)%len(c.sent)] = now
	}
	c.underway += n
	if _, err := c.conn.Write(c.requests[:n*len(c.exchange.request)]); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// receive reads once and takes all answers that are complete then.
func (c *loadClient) receive() (n int, now time.Duration, err error) {
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
		return 0, now, fmt.Errorf("receiving: %w", err)
	}
	for c.w-c.r >= 8 {
		size, err := ttlv.Length(c.in[c.r:c.w], nil)
		if err != nil {
			return n, now, err
		}
		if c.w-c.r < size {
			break
		}
		if err := c.take(c.in[c.r:c.r+size], now); err != nil {
			return n, now, err
		}
		c.r += size
		n++
	}
	return n, now, nil
}

// take takes one answer, which is that to the oldest request.
func (c *loadClient) take(answer []byte, now time.Duration) error {
	if c.underway == 0 {
		return errors.New("an answer to no request")
	}
	if err := c.exchange.check(answer); err != nil {
		return err
	}
	sent := c.sent[c.oldest]
	c.oldest = (c.oldest + 1) % len(c.sent)
	c.underway--
	if now >= c.from && now < c.until {
		c.answered++
		c.sample.add(now - sent)
	}
	return nil
}
