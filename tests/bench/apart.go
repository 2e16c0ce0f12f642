package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"strongroom/hsm"
	"strongroom/hsm/hsmtest"
	"strongroom/kmip"
	"strongroom/kmip/client"
)

// ecLabel is the label of a pair on P-256 in the token.
const ecLabel = "bench-ec"

// signECDSA is the exchange of Sign with a pair on P-256 in the token, which is made once.
func (k *keys) signECDSA(ctx context.Context) (_ *exchange, err error) {
	if k.ecdsa == nil {
		s := signP256
		s.name = kmip.HSMIdentifier(slot, ecLabel)
		k.ecdsa, err = k.signer(s)(ctx)
	}
	return k.ecdsa, err
}

// encryptWrapped is the exchange of Encrypt with a key of the database that one of the token protects there.
func (k *keys) encryptWrapped(ctx context.Context) (*exchange, error) {
	q := newAES("")
	q.Attributes = q.Attributes.PlusVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID, string(k.aes))
	made, err := client.Do[kmip.CreateResponse](ctx, k.client, kmip.OperationCreate, q)
	if err != nil {
		return nil, err
	}
	return k.encrypt(ctx, made.UniqueIdentifier, 1)
}

// signWrapped is the exchange of Sign with a pair that the token wrapped.
func (b *bench) signWrapped(ctx context.Context) (*exchange, error) { return b.keys.signWrapped(ctx) }

// unwrapped is the floor of that: the same load with the ordinary key of the database.
func (b *bench) unwrapped(ctx context.Context, t *trial, _ []*exchange) (*outcome, error) {
	return b.sameLoad(ctx, t, b.encryptDatabase)
}

// sameLoad puts a trial's load on the server with another exchange, as a floor.
func (b *bench) sameLoad(ctx context.Context, t *trial, one func(context.Context) (*exchange, error)) (*outcome, error) {
	x, err := one(ctx)
	if err != nil {
		return nil, err
	}
	l := b.load(t, []*exchange{x})
	l.warmUp, l.duration = b.warmUp/turns, b.duration/(2*turns)
	return l.run(ctx)
}

// An apart is a measurement on a server of its own, whose module or token is another.
type apart struct {
	name    string // also of its rows, which have the connections behind it
	at      []int  // connections
	load    func(*bench, context.Context) (*exchange, error)
	prepare func(ctx context.Context, b *bench, folder string) (end func() error, err error)
	token   *tokenUse // what the floor does with the server's own token, which is driven directly; nil: the floor is the same load on the run's server
	floors  string
	judge   func(*row)
}

var aparts = []apart{
	// A device in a network: each call of the module takes a millisecond more, for the server and for the floor. It runs in the server's own
	// process, as driving it directly does, and then as it is by default.
	{"encrypt-hsm-network", []int{1, 16, 64}, (*bench).encryptToken, networked("none"), useAES, "token", func(r *row) { r.judge(ratioAtLeast(0.95)) }},
	{"encrypt-hsm-network-worker", []int{16}, (*bench).encryptToken, networked("process"), useAES, "token", func(*row) {}},
	// The same with calls that a worker's crew leaves to Go: a key that the token wrapped is unwrapped, used and destroyed.
	{"sign-hsm-wrapped-network", []int{16}, (*bench).signWrapped, networked("process"), &tokenUse{wrappedUse, wrappingLabel}, "token", func(*row) {}},
	// What else is in the token does not matter: the floor is the same server with a token of a few keys.
	{"encrypt-hsm-10000", []int{8}, (*bench).encryptToken, crowded, nil, "few keys", func(r *row) { r.judge(ratioAtLeast(0.95)) }},
	// The module in a worker process: the floor is the same server with it in its own.
	{"encrypt-hsm-worker", []int{8}, (*bench).encryptToken, inWorker, nil, "in process", func(*row) {}},
	// Every row under a key of the token: the floor is the same server with its rows under the root key alone.
	{"encrypt-db-kek", []int{8}, (*bench).encryptDatabase, protected, nil, "root key", func(r *row) { r.judge(ratioAtLeast(0.95)) }},
	{"get-db-kek", []int{8}, (*bench).getDatabase, protected, nil, "root key", func(r *row) { r.judge(ratioAtLeast(0.95)) }},
	{"create-db-kek", []int{32}, (*bench).createDatabase, protected, nil, "root key", func(r *row) { r.judge(figureAtLeast(3_500, "op/s")) }},
}

// onServer puts the same load on the run's own server.
func (a *apart) onServer(run *bench) func(context.Context, *trial, []*exchange) (*outcome, error) {
	return func(ctx context.Context, t *trial, _ []*exchange) (*outcome, error) {
		return run.sameLoad(ctx, t, func(ctx context.Context) (*exchange, error) { return a.load(run, ctx) })
	}
}

// workerCall measures what a call of the module costs more in a worker process, with as many at once as the other rows have: by
// the operator's own measurement of a token, which has nothing but the hsm package around it, in turns.
func (b *bench) workerCall(ctx context.Context) (*row, error) {
	config := filepath.Join(b.site.dir, "strongroom.toml")
	text, err := os.ReadFile(config)
	if err != nil {
		return nil, err
	}
	worker := filepath.Join(b.site.dir, "worker.toml")
	if err := os.WriteFile(worker, []byte(isolated(string(text), "process")), 0o600); err != nil {
		return nil, err
	}
	defer os.Remove(worker)
	r := &row{Unit: "µs more", FloorName: "in process"}
	var rates []float64
	for range turns {
		for _, at := range []struct {
			config string
			rates  *[]float64
		}{{config, &r.Floors}, {worker, &rates}} {
			rate, err := quietly(r, func() (float64, error) { return b.hsmBench(ctx, at.config) })
			if err != nil {
				return nil, err
			}
			*at.rates = append(*at.rates, rate)
		}
	}
	r.Figure = 1e6/(&row{Floors: rates}).floor() - 1e6/r.floor()
	r.judge(figureAtMost(15, "µs more"))
	return r, nil
}

// hsmBench is how many encryptions in a second the operator's command measures, with 8 sessions at work.
func (b *bench) hsmBench(ctx context.Context, config string) (float64, error) {
	output, err := b.site.strongroomd(ctx, "hsm", "bench", "--slot", strconv.Itoa(slot), "--only", "encrypt CKM_AES_GCM", "--json",
		"--sessions", "8", "--duration", (b.duration / (2 * turns)).String(), "--config", config)
	if err != nil {
		return 0, err
	}
	var all []hsm.Figure // the last has the most sessions
	if err := json.Unmarshal(output[bytes.IndexByte(output, '['):], &all); err != nil {
		return 0, err
	}
	return all[len(all)-1].PerSecond, nil
}

// tokensApart makes those measurements that are asked for.
func (b *bench) tokensApart(ctx context.Context) error {
	if err := b.one(ctx, "hsm-worker-call 8", func() (*row, error) { return b.workerCall(ctx) }); err != nil {
		return err
	}
	for _, a := range aparts {
		var wanted []trial
		for _, n := range a.at {
			if t := (trial{name: fmt.Sprintf("%s %d", a.name, n), connections: n, depth: 1, floorName: a.floors}); b.only.MatchString(t.name) {
				wanted = append(wanted, t)
			}
		}
		if len(wanted) == 0 {
			continue
		}
		if err := b.apart(ctx, &a, wanted); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return nil
}

// apart makes a site, and measures on its server.
func (b *bench) apart(ctx context.Context, a *apart, trials []trial) (err error) {
	memory, disk := filepath.Join(b.memory, a.name), filepath.Join(filepath.Dir(b.site.bin), a.name)
	defer func() { err = errors.Join(err, os.RemoveAll(memory), os.RemoveAll(disk)) }()
	own := *b
	if own.site, err = b.site.another(ctx, memory, disk); err != nil {
		return err
	}
	end, err := a.prepare(ctx, &own, memory)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	defer func() { err = errors.Join(err, own.site.stop()) }()
	defer func() { own.keys.client.Close() }()
	for _, t := range trials {
		t.mix, t.floor = alone(func(ctx context.Context) (*exchange, error) { return a.load(&own, ctx) }), a.onServer(b)
		if t.token = a.token; t.token != nil {
			t.floor = own.tokens
		}
		err := b.one(ctx, t.name, func() (*row, error) {
			r, err := own.try(ctx, &t)
			if err == nil {
				a.judge(r)
			}
			return r, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// begin serves the site, and makes keys in its token.
func (b *bench) begin(ctx context.Context) error {
	if err := b.site.serve(ctx); err != nil {
		return err
	}
	var err error
	if b.tls, err = b.site.tls(); err != nil {
		return err
	}
	c, err := b.site.connect(ctx)
	if err != nil {
		return err
	}
	if b.keys, err = makeKeys(ctx, c); err != nil {
		return fmt.Errorf("making keys: %w", err)
	}
	return nil
}

// networked puts a shim before the module.
func networked(isolation string) func(ctx context.Context, b *bench, folder string) (end func() error, err error) {
	return func(ctx context.Context, b *bench, folder string) (end func() error, err error) {
		module, err := newTokenFloor(ctx, b.site, nil)
		if err != nil {
			return nil, err
		}
		shim, err := hsmtest.Make(folder, module.library)
		if err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, shim.Close())
			}
		}()
		shim.Delay(time.Millisecond, hsmtest.Functions...)
		env := ""
		for name, value := range shim.Env {
			env += fmt.Sprintf("%s = %q, ", name, value)
		}
		err = b.site.edit(func(text string) string {
			text = strings.Replace(text, module.library, shim.Library, 1)
			return isolated(strings.Replace(text, "{ SOFTHSM2_CONF", "{ "+env+"SOFTHSM2_CONF", 1), isolation)
		})
		if err != nil {
			return nil, err
		}
		if err := b.begin(ctx); err != nil {
			return nil, err
		}
		if b.token, err = newTokenFloor(ctx, b.site, b.keys.ciphertext); err != nil {
			return nil, err
		}
		for name, value := range shim.Env {
			b.token.env = append(b.token.env, name+"="+value)
		}
		return shim.Close, nil
	}
}

// crowded fills the token with keys.
func crowded(ctx context.Context, b *bench, _ string) (end func() error, err error) {
	if b.token, err = newTokenFloor(ctx, b.site, nil); err != nil {
		return nil, err
	}
	if _, err := b.token.run(ctx, "fill", "-", 10_000, 0, 0); err != nil {
		return nil, err
	}
	return func() error { return nil }, b.begin(ctx)
}

// protected puts every row under a key of the token.
func protected(ctx context.Context, b *bench, _ string) (end func() error, err error) {
	const label = "bench-kek"
	_, err = b.site.strongroomd(ctx, "hsm", "generate", "--slot", strconv.Itoa(slot), "--key-label", label, "--purpose", "data", "--config", filepath.Join(b.site.dir, "strongroom.toml"))
	if err != nil {
		return nil, err
	}
	err = b.site.edit(func(text string) string {
		return strings.Replace(text, `key_encryption_key      = ""`, fmt.Sprintf("key_encryption_key      = %q", kmip.HSMIdentifier(slot, label)), 1)
	})
	if err != nil {
		return nil, err
	}
	return func() error { return nil }, b.begin(ctx)
}

// inWorker has the module run in a worker process.
func inWorker(ctx context.Context, b *bench, _ string) (end func() error, err error) {
	if err = b.site.edit(func(text string) string { return isolated(text, "process") }); err != nil {
		return nil, err
	}
	return func() error { return nil }, b.begin(ctx)
}

// isolated is a configuration that says where its module runs.
func isolated(text, where string) string {
	return strings.Replace(text, "[[hsm]]\n", fmt.Sprintf("[[hsm]]\nisolation = %q\n", where), 1)
}
