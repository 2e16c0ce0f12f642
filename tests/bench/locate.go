package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store"
	"strongroom/store/seal"
)

// sizes are the databases that are searched: how many keys they have, each those of the one before.
var sizes = []struct {
	name string
	keys int
}{{"1e3", 1_000}, {"1e5", 100_000}, {"1e6", 1_000_000}}

// ofGroup is how many keys are in one Object Group, and on a page.
const ofGroup = 16

// asked is how many different searches of a kind there are.
const asked = 256

// A question is a kind of search: what Locate is asked, what it must find, and the same of a bare table.
type question struct {
	name   string
	locate func(number int) *kmip.LocateRequest
	found  func(number, keys int) []int
	sql    string
	arg    func(number int) any
}

var questions = []question{
	{
		"locate-name",
		func(n int) *kmip.LocateRequest {
			return &kmip.LocateRequest{Attributes: kmip.Attributes{name(nameOf(n))}}
		},
		func(n, _ int) []int { return []int{n} },
		`SELECT uid FROM bare WHERE name = $1`, func(n int) any { return nameOf(n) },
	},
	{
		"locate-group",
		func(n int) *kmip.LocateRequest {
			return &kmip.LocateRequest{MaximumItems: new(int32(ofGroup)), Attributes: kmip.Attributes{{Tag: ttlv.TagObjectGroup, Value: groupOf(n)}}}
		},
		func(n, _ int) []int { return downFrom(n/ofGroup*ofGroup + ofGroup - 1) },
		`SELECT uid FROM bare WHERE grp = $1 ORDER BY id DESC LIMIT 16`, func(n int) any { return groupOf(n) },
	},
	{
		"locate-page",
		func(int) *kmip.LocateRequest {
			return &kmip.LocateRequest{MaximumItems: new(int32(ofGroup)), Attributes: kmip.Attributes{
				{Tag: ttlv.TagObjectType, Value: kmip.ObjectTypeSymmetricKey}, {Tag: ttlv.TagState, Value: kmip.StateActive},
			}}
		},
		func(_, keys int) []int { return downFrom(keys - 1) },
		`SELECT uid FROM bare WHERE type = $1 ORDER BY id DESC LIMIT 16`, func(int) any { return int64(kmip.ObjectTypeSymmetricKey) },
	},
}

func downFrom(n int) (all []int) {
	for i := range ofGroup {
		all = append(all, n-i)
	}
	return all
}

// The key of a number, from 0 on.
func nameOf(n int) string  { return fmt.Sprintf("key-%07d", n) }
func groupOf(n int) string { return fmt.Sprintf("group-%07d", n/ofGroup) }
func uidOf(n int) string {
	return fmt.Sprintf("%08x-0000-4000-8000-%012d", uint32(n)*2654435761, n) // not in the order of creation
}

// locates measures searches, on a server of their own whose database grows between them.
func (b *bench) locates(ctx context.Context) (err error) {
	var h *herd
	defer func() {
		if h != nil {
			err = errors.Join(err, h.remove())
		}
	}()
	for _, size := range sizes {
		any := false
		for _, q := range questions {
			any = any || b.only.MatchString(q.name+" "+size.name)
		}
		if !any {
			continue
		}
		if h == nil {
			if h, err = newHerd(ctx, b); err != nil {
				return fmt.Errorf("making a site to search: %w", err)
			}
		}
		if err := h.measure(ctx, size.name, size.keys); err != nil {
			return err
		}
	}
	return nil
}

// A herd is a site with many keys, and a bare table of the same.
type herd struct {
	run  *bench // that the figures are for
	own  bench  // on the herd's site
	made int    // keys
	dir  string // on the disk
	bare *bareTable
}

func newHerd(ctx context.Context, b *bench) (*herd, error) {
	disk := filepath.Join(filepath.Dir(b.site.bin), "herd")
	memory := filepath.Join(b.memory, "herd")
	for _, dir := range []string{disk, memory} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
	}
	h := &herd{run: b, own: *b, dir: disk}
	var err error
	if h.own.site, err = newSite(ctx, memory, disk); err != nil {
		return nil, err
	}
	if h.own.tls, err = h.own.site.tls(); err != nil {
		return nil, err
	}
	h.bare, err = newBareTable(ctx, filepath.Join(disk, "bare.db"))
	return h, err
}

func (h *herd) remove() error {
	return errors.Join(h.bare.db.Close(), os.RemoveAll(h.dir))
}

// measure asks all questions of a database of so many keys.
func (h *herd) measure(ctx context.Context, size string, many int) (err error) {
	began := time.Now()
	if err := h.fill(ctx, many); err != nil {
		return fmt.Errorf("filling the database: %w", err)
	}
	if err := h.bare.fill(ctx, many); err != nil {
		return fmt.Errorf("filling the bare table: %w", err)
	}
	fmt.Fprintf(os.Stderr, "%d keys are in the database, after %.0f s\n", many, time.Since(began).Seconds())
	if err := h.own.site.serve(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.own.site.stop()) }()
	c, err := h.own.site.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, q := range questions {
		t := trial{name: q.name + " " + size, connections: 8, depth: 1, floorName: "SQLite"}
		t.mix = func(ctx context.Context) ([]*exchange, error) { return q.mix(ctx, &keys{client: c}, many) }
		t.floor = func(ctx context.Context, t *trial, _ []*exchange) (*outcome, error) {
			return h.bare.ask(ctx, &q, many, t.connections, h.own.duration/(2*turns))
		}
		if err := h.run.one(ctx, t.name, func() (*row, error) { return h.own.try(ctx, &t) }); err != nil {
			return err
		}
	}
	return nil
}

// number is the key that question i is about, the first of its group.
func number(i, many int) int {
	n := i % asked * (many / asked)
	return n - n%ofGroup
}

// mix are the exchanges of a question, each about another key.
func (q *question) mix(ctx context.Context, k *keys, many int) (mix []*exchange, err error) {
	for i := range asked {
		n := number(i, many)
		var want []kmip.UniqueIdentifier
		for _, f := range q.found(n, many) {
			want = append(want, kmip.UniqueIdentifier(uidOf(f)))
		}
		x, err := k.locate(ctx, q.locate(n), want...)
		if err != nil {
			return nil, err
		}
		mix = append(mix, x)
	}
	return mix, nil
}

// fill brings the database to so many keys, through the store itself, for the server is not running, many at once; only the
// newest page, which is the answer to a question, one by one behind all others.
func (h *herd) fill(ctx context.Context, many int) (err error) {
	master, err := seal.ReadMasterKey(filepath.Join(h.own.site.dir, "master.key"), nil)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, "sqlite:"+filepath.Join(h.own.site.data, "strongroom.db"), store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Root().Unseal(ctx, master); err != nil {
		return err
	}
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	next := make(chan int, 1)
	for range 256 {
		wg.Go(func() {
			for n := range next {
				if err := s.Generate(ctx, keyOf(n)); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	for ; h.made < many-ofGroup && failed.Load() == nil; h.made++ {
		next <- h.made
	}
	close(next)
	wg.Wait()
	if e := failed.Load(); e != nil {
		return *e
	}
	for ; h.made < many; h.made++ {
		if err := s.Generate(ctx, keyOf(h.made)); err != nil {
			return err
		}
	}
	return nil
}

// keyOf is the key of a number as the server would make it.
func keyOf(n int) *kmip.Object {
	now := time.Now().Truncate(time.Second)
	return &kmip.Object{UniqueIdentifier: uidOf(n), Owners: []string{"admin"}, Attributes: kmip.Attributes{
		{Tag: ttlv.TagUniqueIdentifier, Value: uidOf(n)},
		name(nameOf(n)),
		{Tag: ttlv.TagObjectGroup, Value: groupOf(n)},
		{Tag: ttlv.TagObjectType, Value: kmip.ObjectTypeSymmetricKey},
		{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmAES},
		{Tag: ttlv.TagCryptographicLength, Value: int32(256)},
		{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskDecrypt},
		{Tag: ttlv.TagState, Value: kmip.StateActive},
		{Tag: ttlv.TagInitialDate, Value: now},
		{Tag: ttlv.TagActivationDate, Value: now.Add(-time.Hour)},
		{Tag: ttlv.TagLastChangeDate, Value: now},
		{Tag: ttlv.TagFresh, Value: true},
		{Tag: ttlv.TagSensitive, Value: false},
		{Tag: ttlv.TagAlwaysSensitive, Value: false},
		{Tag: ttlv.TagExtractable, Value: true},
		{Tag: ttlv.TagNeverExtractable, Value: false},
	}}
}
