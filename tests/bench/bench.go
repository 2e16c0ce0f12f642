package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"time"

	"strongroom/kmip"
)

// A bench is what the measurements of a run share.
type bench struct {
	*options
	site   *site
	echo   *echoProcess
	token  *tokenFloor
	keys   *keys
	tls    *tls.Config
	memory string // a folder
	idle   *row   // looked at before the first request
	report report
	failed int
}

func newBench(ctx context.Context, o *options, s *site, echo *echoProcess, memory string) (*bench, error) {
	b := &bench{options: o, site: s, echo: echo, memory: memory, report: report{Time: time.Now(), Seconds: o.duration.Seconds()}}
	resident, err := s.process().memory("VmRSS")
	if err != nil {
		return nil, err
	}
	b.idle = &row{Name: "memory idle", Figure: megabytes(resident), Unit: "MB"}
	b.idle.judge(figureAtMost(60, "MB"))
	if b.tls, err = s.tls(); err != nil {
		return nil, err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if b.keys, err = makeKeys(ctx, c); err != nil {
		return nil, fmt.Errorf("making keys: %w", err)
	}
	b.token, err = newTokenFloor(ctx, s, b.keys.ciphertext)
	return b, err
}

// A trial is one load on the server.
type trial struct {
	name        string
	connections int
	depth       int
	mix         func(context.Context) ([]*exchange, error)
	floor       func(context.Context, *trial, []*exchange) (*outcome, error)
	floorName   string
	targets     []target
	token       *tokenUse // where the floor is the token's
}

// A tokenUse is what the token's floor does.
type tokenUse struct{ operation, label string }

// wrappedUse unwraps a key, uses it once, and destroys it.
const wrappedUse = "wrapped"

var useAES = &tokenUse{"gcm", aesLabel}

// alone is the mix of one exchange.
func alone(one func(context.Context) (*exchange, error)) func(context.Context) ([]*exchange, error) {
	return func(ctx context.Context) ([]*exchange, error) {
		x, err := one(ctx)
		return []*exchange{x}, err
	}
}

// shapes are the loads that each operation gets.
var shapes = []struct {
	name               string
	connections, depth int
}{
	{"1", 1, 1}, {"8", 8, 1}, {"32", 32, 1}, {"8x16", 8, 16},
}

// trials lists the loads.
func (b *bench) trials() []trial {
	var all []trial
	for _, op := range []struct {
		name     string
		exchange func(context.Context) (*exchange, error)
		token    *tokenUse           // nil: the echo is the floor
		targets  map[string][]target // by shape
	}{
		{"encrypt-db", b.encryptDatabase, nil, map[string][]target{"8": {ratioAtLeast(0.7)}}},
		{"get-db", b.keys.get, nil, nil},
		{"encrypt-hsm", b.encryptToken, useAES, map[string][]target{"8": {ratioAtLeast(0.6)}, "32": {ratioAtLeast(0.6)}}},
		{"decrypt-hsm-rsa", b.keys.decrypt, &tokenUse{"decrypt", rsaLabel}, map[string][]target{"8": {ratioAtLeast(0.9)}, "32": {ratioAtLeast(0.9)}}},
		{"sign-hsm-p256", b.keys.signECDSA, &tokenUse{"ecdsa", ecLabel}, map[string][]target{"8": {ratioAtLeast(0.9)}, "8x16": {ratioAtLeast(0.9)}}},
	} {
		for _, shape := range shapes {
			name, mix, targets := op.name+" "+shape.name, alone(op.exchange), op.targets[shape.name]
			if op.token != nil {
				all = append(all, b.onToken(name, shape.connections, shape.depth, mix, op.token, targets...))
			} else {
				all = append(all, trial{name: name, connections: shape.connections, depth: shape.depth, mix: mix, floor: b.echoes, floorName: "echo", targets: targets})
			}
		}
	}
	on8 := func(name string, one func(context.Context) (*exchange, error), floor func(context.Context, *trial, []*exchange) (*outcome, error), floorName string, targets ...target) trial {
		return trial{name: name, connections: 8, depth: 1, mix: alone(one), floor: floor, floorName: floorName, targets: targets}
	}
	on32 := func(name string, mix func(context.Context) ([]*exchange, error), targets ...target) trial {
		return trial{name: name, connections: 32, depth: 1, mix: mix, targets: targets}
	}
	return append(all,
		b.onToken("sign-hsm-rsa 8", 8, 1, alone(b.keys.sign), &tokenUse{"sign", rsaLabel}, ratioAtLeast(0.9)),
		b.onToken("sign-hsm-wrapped 8", 8, 1, alone(b.keys.signWrapped), &tokenUse{wrappedUse, wrappingLabel}, ratioAtLeast(0.8)),
		on8("encrypt-db-wrapped 8", b.keys.encryptWrapped, b.unwrapped, "not wrapped", ratioAtLeast(0.95)),
		on8("sign-db-rsa 8", b.keys.signer(signRSA), b.rsaLoop, "crypto/rsa", ratioAtLeast(0.7)),
		on8("sign-db-p256 8", b.keys.signer(signP256), b.echoes, "echo"),
		on8("sign-db-ed25519 8", b.keys.signer(signEd25519), b.echoes, "echo"),
		on8("encrypt-db 8 batch-100", b.batch, b.echoes, "echo", figureAtLeast(500_000, "op/s")),
		on32("create-db 32", alone(b.keys.create), figureAtLeast(3_500, "op/s")),
		on32("register-db 32", alone(b.keys.register), figureAtLeast(3_500, "op/s")),
		on32("mixed 32", b.keys.mixed),
	)
}

// onToken is a load whose floor is the token's.
func (b *bench) onToken(name string, connections, depth int, mix func(context.Context) ([]*exchange, error), use *tokenUse, targets ...target) trial {
	return trial{name: name, connections: connections, depth: depth, mix: mix, floor: b.tokens, floorName: "token", token: use, targets: targets}
}

func (b *bench) encryptDatabase(ctx context.Context) (*exchange, error) {
	return b.keys.encrypt(ctx, b.keys.database, 1)
}

func (b *bench) getDatabase(ctx context.Context) (*exchange, error) { return b.keys.get(ctx) }

func (b *bench) createDatabase(ctx context.Context) (*exchange, error) { return b.keys.create(ctx) }

func (b *bench) encryptToken(ctx context.Context) (*exchange, error) {
	return b.keys.encrypt(ctx, b.keys.aes, 1)
}

func (b *bench) batch(ctx context.Context) (*exchange, error) {
	return b.keys.encrypt(ctx, b.keys.database, 100)
}

// all makes every measurement that is asked for, and prints it at once.
func (b *bench) all(ctx context.Context) error {
	b.report.Machine.print(os.Stdout)
	head(os.Stdout)
	if b.only.MatchString(b.idle.Name) {
		b.add(b.idle)
	}
	for _, t := range b.trials() {
		if err := b.one(ctx, t.name, func() (*row, error) { return b.try(ctx, &t) }); err != nil {
			return err
		}
	}
	if err := b.tokensApart(ctx); err != nil {
		return err
	}
	if err := b.files(ctx); err != nil {
		return err
	}
	if err := b.one(ctx, "decode-encrypt", b.decoding); err != nil {
		return err
	}
	if err := b.locates(ctx); err != nil {
		return err
	}
	return b.end(ctx)
}

// one makes a measurement. One that does not succeed is told of, and the others go on.
func (b *bench) one(ctx context.Context, name string, measure func() (*row, error)) error {
	if !b.only.MatchString(name) {
		return nil
	}
	r, err := measure()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		b.failed++
		fmt.Printf("%s: %v\n", name, err)
		r = &row{Error: err.Error()}
		b.report.Rows = append(b.report.Rows, r)
	} else {
		r.Name = name
		b.add(r)
	}
	r.Name = name
	return nil
}

// add takes a row and prints it.
func (b *bench) add(r *row) {
	b.report.Rows = append(b.report.Rows, r)
	r.print(os.Stdout)
}

// turns is how often a load and its floor take turns: what a shared machine gives changes from second to second.
const turns = 3

// try puts a load on the server in turns with its floor, which is before and behind each.
func (b *bench) try(ctx context.Context, t *trial) (*row, error) {
	x, err := t.mix(ctx)
	if err != nil {
		return nil, err
	}
	r := &row{FloorName: t.floorName}
	if err := b.floor(ctx, t, x, r); err != nil {
		return nil, err
	}
	if t.token != nil && t.token.operation != wrappedUse && t.depth == 1 {
		if err := b.plain(ctx, t, x, r); err != nil {
			return nil, err
		}
	}
	o := new(outcome)
	for range turns {
		l := b.load(t, x)
		l.warmUp, l.duration = b.warmUp/turns, b.duration/turns
		part, err := quietly(r, func() (*outcome, error) { return l.run(ctx) })
		if err != nil {
			return nil, err
		}
		o.add(part)
		if err := b.floor(ctx, t, x, r); err != nil {
			return nil, err
		}
	}
	resident, err := b.site.process().memory("VmRSS")
	if err != nil {
		return nil, err
	}
	r.Memory = megabytes(resident)
	r.measured(o)
	r.judge(t.targets...)
	return r, nil
}

// load is a trial's load on the server.
func (b *bench) load(t *trial, x []*exchange) *load {
	return &load{
		address: b.site.address, tls: b.tls, mix: x, connections: t.connections, depth: t.depth,
		warmUp: b.warmUp, duration: b.duration, process: b.site.process(),
	}
}

// floor measures a trial's floor, where it has one.
func (b *bench) floor(ctx context.Context, t *trial, x []*exchange, r *row) error {
	if t.floor == nil {
		return nil
	}
	o, err := quietly(r, func() (*outcome, error) { return t.floor(ctx, t, x) })
	if err != nil {
		return fmt.Errorf("the floor: %w", err)
	}
	r.Floors = append(r.Floors, o.rate())
	r.FloorCPU = max(r.FloorCPU, o.cpuPerOperation())
	return nil
}

// echoes is the floor of the echo: the trial's own load, on it.
func (b *bench) echoes(ctx context.Context, t *trial, x []*exchange) (*outcome, error) {
	return b.loadOn(b.echo, t, x, b.duration/(2*turns)).run(ctx)
}

// tokens is the floor of the token: a thread for each connection.
func (b *bench) tokens(ctx context.Context, t *trial, _ []*exchange) (*outcome, error) {
	return b.token.run(ctx, t.token.operation, t.token.label, t.connections, b.warmUp/turns, b.duration/(2*turns))
}

// files encrypts and decrypts a file with the command line.
func (b *bench) files(ctx context.Context) (err error) {
	memory, disk := b.memory, b.site.bin
	all := []struct {
		name, command string
		folder        string
	}{
		{"file-encrypt", "encrypt", memory}, {"file-decrypt", "decrypt", memory}, {"file-encrypt-null", "encrypt", disk},
	}
	files := map[string]*bulk{} // by folder
	for _, x := range all {
		if !b.only.MatchString(x.name) {
			continue
		}
		f := files[x.folder]
		if f == nil {
			if f, err = newBulk(b.site, x.folder, string(b.keys.database)); err != nil {
				return err
			}
			files[x.folder] = f
			defer func() { err = errors.Join(err, f.remove()) }()
		}
		if err := b.one(ctx, x.name, func() (*row, error) { return f.measure(ctx, x.command, x.folder == disk) }); err != nil {
			return err
		}
	}
	return nil
}

// decoding measures how long a request takes to decode.
func (b *bench) decoding() (*row, error) {
	request, err := message(kmip.OperationEncrypt, b.keys.encryptRequest(b.keys.database), 1)
	if err != nil {
		return nil, err
	}
	r, err := measureDecode(request)
	if err == nil {
		r.judge(figureAtMost(1000, "ns"))
	}
	return r, err
}

// end sums up.
func (b *bench) end(ctx context.Context) error {
	missed, all := b.report.missed()
	fmt.Printf("\n%d of %d targets met", all-missed, all)
	if b.failed > 0 {
		fmt.Printf(", %d measurements without a figure", b.failed)
	}
	fmt.Printf("; in full in %s\n", b.json)
	if err := b.report.write(b.json); err != nil {
		return err
	}
	if b.hold > 0 {
		fmt.Fprintf(os.Stderr, "the server goes on for %v: process %d, %s, %s\n", b.hold, b.site.process().pid, b.site.address, b.site.dir)
		select {
		case <-ctx.Done():
		case <-time.After(b.hold):
		}
	}
	if b.failed > 0 {
		return fmt.Errorf("%d measurements without a figure", b.failed)
	}
	return nil
}
