package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"strongroom/authz"
	"strongroom/cache"
	"strongroom/conf"
	"strongroom/hsm"
	"strongroom/kmip"
	"strongroom/kmip/server"
	"strongroom/kmip/ttlv"
	"strongroom/store"
	"strongroom/store/entropy"
)

// drainTime is how long requests that have begun may take when the server stops.
const drainTime = 15 * time.Second

// serveSwitches are the settings that serve takes on its command line too.
type serveSwitches struct {
	listen, keyEncryptionKey string
	hsmAdmin                 []string
	maxAge                   float64
}

// serveCommand runs the server.
func serveCommand() *cobra.Command {
	var s serveSwitches
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer KMIP until told to stop",
		Long: `Answer KMIP until SIGTERM or SIGINT; requests that have begun are finished first. SIGHUP reads the certificates, the
revocation list, the passwords, hsm_admin, admin, create, monitors and [certify] again, tries PINs again that were refused, and reopens the audit log.

A configuration that is not safe, a private key that others may read for one, is refused.`,
		Example: `  strongroomd serve --config /etc/strongroom/strongroom.toml
  strongroomd serve --config site/strongroom.toml --key-encryption-key hsm::4::master_kek --unwrapped-cache-max-age 5`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			load := func() (*conf.Config, error) {
				c, err := loadConfig(cmd)
				if err != nil {
					return nil, err
				}
				return c, s.apply(cmd, c)
			}
			return serve(cmd.Context(), load, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.listen, "listen", "", "`ADDR` (host:port) to listen on, in place of kmip.listen")
	f.StringSliceVar(&s.hsmAdmin, "hsm-admin", nil, "`IDENTITY` that owns the HSM keys, in place of hsm_admin; may be repeated")
	f.StringVar(&s.keyEncryptionKey, "key-encryption-key", "", "`ID` of the key that wraps every new database key, in place of key_encryption_key")
	f.Float64Var(&s.maxAge, "unwrapped-cache-max-age", 0, "`MINUTES` without use for which an unwrapped key stays in memory, in place of unwrapped_cache_max_age")
	return cmd
}

// apply puts the switches that were given in place of what the file says, and checks the whole again.
func (s *serveSwitches) apply(cmd *cobra.Command, c *conf.Config) error {
	given := cmd.Flags().Changed
	if given("listen") {
		c.KMIP.Listen = s.listen
	}
	if given("hsm-admin") {
		c.HSMAdmin = s.hsmAdmin
	}
	if given("key-encryption-key") {
		c.KeyEncryptionKey = s.keyEncryptionKey
	}
	if given("unwrapped-cache-max-age") {
		c.UnwrappedCacheMaxAge = s.maxAge
	}
	return c.Check()
}

// serve wires the parts together, and runs until ctx ends.
func serve(ctx context.Context, load func() (*conf.Config, error), log *slog.Logger) (err error) {
	c, err := load()
	if err != nil {
		return err
	}
	if err := c.CheckSafe(); err != nil {
		return fmt.Errorf("the configuration is not safe:\n%w", err)
	}
	spareCollections()
	opened := cache.New(cache.Options{Idle: minutes(c.UnwrappedCacheMaxAge), Life: minutes(c.UnwrappedCacheMaxLife), Size: c.UnwrappedCacheSize})
	defer opened.Close()
	backends, err := openStores(ctx, c, opened, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backends.close()) }()
	audit, err := server.OpenAudit(c.Audit.File, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, audit.Close()) }()

	sealer := newSealer(c, backends, log)
	sealer.audit, sealer.purge = audit, opened.Purge
	if sealer.replica, err = newReplica(c.DataDir); err != nil {
		return err
	}
	defer sealer.leave()
	if err := sealer.start(ctx); err != nil {
		return err
	}
	keys, err := openKeyring(ctx, c, backends.store.Root(), log)
	if err != nil {
		return err
	}
	defer keys.close()
	sealer.keys = keys
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer sealer.wait()
	defer end()
	sealer.wg.Go(func() { sealer.run(life) })
	sealer.wg.Go(func() { sealer.watch(life) })

	acts := &operatorLog{audit, log}
	answers := keys.answers(acts)
	answers["POST /cache/purge"] = purge(opened, acts)
	answers["GET /store/verify"] = verifies(backends.store, acts)
	answers["POST /hsm/rewrap"] = backends.rewraps(acts)
	answers["POST /hsm/generated"] = acts.generated()
	numbers := &metrics{backends: backends, opened: opened, audit: audit, sealer: sealer, keys: keys}
	scrape := numbers.handler(log)
	answers["GET /metrics"] = scrape.ServeHTTP
	maps.Copy(answers, sealer.answers(life))
	if backends.hsm != nil {
		answerEstate(answers, backends.hsm, acts)
	}
	maps.Copy(answers, packages(keys.configuration, backends.store, acts))
	operator, err := openAdmin(c.DataDir, answers, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, operator.close()) }()

	authority := new(atomic.Pointer[authz.Table])
	authority.Store(authorityOf(c))
	certification := new(atomic.Pointer[server.Certification])
	certification.Store(certificationOf(c))
	s := server.New(server.Config{
		Random: backends.random(c), SeedToken: backends.seedToken(c),
		Store: backends.store, HSM: backends.tokens(), HSMWrapping: c.HSMWrappingKey != "", Access: backends.store, Settings: backends.store, Rotation: backends.store, Authority: authority, Gate: keys.gate,
		Audit: audit, Limits: limitsOf(c), Seed: c.Entropy.Seed, Log: log, Version: version(),
		Certification: certification, Sealed: sealer.sealed, Reserved: sealer.reserves, Metrics: scrape,
	})
	numbers.server.Store(s)
	listening, err := listen(c, s, log)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-hangup:
			reload(ctx, load, keys, authority, certification, backends, audit, log)
		case err := <-listening.ended:
			return err
		case <-ctx.Done():
			return stop(s, listening, log)
		}
	}
}

// spareCollections lets the heap grow to three times what lives before it is collected, unless GOGC says otherwise. What lives
// is mostly a few megabytes, and nearly all that a request allocates dies with it: collecting at twice that is done many times
// a second, under load, for nothing.
func spareCollections() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}

// stop ends the server in good order.
func stop(s *server.Server, l *listeners, log *slog.Logger) error {
	log.Info("stopping", "connections", s.Connections())
	l.close()
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		log.Warn("requests were cut off", "after", drainTime)
	}
	return l.wait()
}

// reload takes over what may change while serving. A configuration with a fault changes nothing.
func reload(ctx context.Context, load func() (*conf.Config, error), keys *keyring, authority *atomic.Pointer[authz.Table], certification *atomic.Pointer[server.Certification], b *backends, audit *server.Audit, log *slog.Logger) {
	if err := audit.Reopen(); err != nil {
		log.Error("reopening the audit log", "err", err)
	}
	c, err := load()
	if err == nil {
		err = c.CheckSafe()
	}
	if err == nil {
		err = keys.reload(ctx, c)
	}
	if err != nil {
		log.Error("the configuration was not read again: all stays as it was", "err", err)
		return
	}
	authority.Store(authorityOf(c))
	certification.Store(certificationOf(c))
	if b.hsm != nil {
		b.hsm.Reload()
	}
	log.Info("certificates, revocation list, passwords, hsm_admin, admin, create, monitors and [certify] were read again")
}

// backends are the two of them, opened.
type backends struct {
	store   *store.Store
	hsm     *hsm.HSM        // nil without a module
	entropy *entropy.Source // nil without augmentation
}

// tokens is the HSM as a backend; nil without one.
func (b *backends) tokens() kmip.Backend {
	if b.hsm == nil {
		return nil
	}
	return b.hsm
}

func (b *backends) close() error {
	if b.entropy != nil {
		b.entropy.Close()
	}
	if b.hsm != nil {
		b.hsm.Close()
	}
	return b.store.Close()
}

// openStores opens the database, sealed, and the tokens.
func openStores(ctx context.Context, c *conf.Config, opened kmip.Cache, log *slog.Logger) (_ *backends, err error) {
	if err := checkWrappingKey(c); err != nil {
		return nil, err
	}
	b := new(backends)
	b.mix(c, log)
	if b.store, err = store.Open(ctx, c.Store.URL, store.Options{Cache: opened, KeyEncryptionKey: c.KeyEncryptionKey, Protector: b.protector, Random: b.random(c), IVs: b.ivs(c), Log: log,
		Token: b.wrapping(c), HSMWrappingKey: c.HSMWrappingKey}); err != nil {
		return nil, err
	}
	if len(c.HSM) > 0 {
		if b.hsm, err = hsm.Open(ctx, b.inTokens(c, modulesOf(c)), b.store, log); err != nil {
			return nil, errors.Join(err, b.store.Close())
		}
	}
	return b, nil
}

// openBackends opens the database and the tokens, and the root key with what the configuration has.
func openBackends(ctx context.Context, c *conf.Config, opened kmip.Cache, log *slog.Logger) (*backends, error) {
	b, err := openStores(ctx, c, opened, log)
	if err != nil {
		return nil, err
	}
	if err := unsealHere(ctx, c, b, ""); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// protector resolves the identifier of a key that wraps others at rest. Who may wrap with it was decided at the door, when
// the object was made; to open rows, the server needs nobody's grant.
func (b *backends) protector(ctx context.Context, uid string) (kmip.Key, kmip.Attributes, error) {
	var backend kmip.Backend = b.store
	_, _, token, err := kmip.HSMKey(uid)
	if err != nil {
		return nil, nil, err
	}
	if token {
		if b.hsm == nil {
			return nil, nil, kmip.Errorf(kmip.ResultReasonGeneralFailure, "the wrapping key %q: no HSM is configured", uid)
		}
		backend = b.hsm
	}
	o, err := backend.Object(ctx, uid)
	if err != nil {
		return nil, nil, err
	}
	if o.Key == nil {
		return nil, nil, kmip.Errorf(kmip.ResultReasonWrappingObjectDestroyed, "the wrapping key %q is no key, or is destroyed", uid)
	}
	return o.Key, o.Attributes, nil
}

func modulesOf(c *conf.Config) []hsm.Module {
	var modules []hsm.Module
	for _, h := range c.HSM {
		m := hsm.Module{
			Library: h.Library, Env: h.Env, Parameters: h.Parameters, Isolation: h.Isolation, CallLimit: h.CallLimit,
			CallsAtOnce: h.CallsAtOnce, Worker: workerOf(c.File(), h.Library),
		}
		for _, s := range h.Slots {
			m.Slots = append(m.Slots, hsm.Slot{
				Number: s.Number, TokenLabel: s.TokenLabel, TokenSerial: s.TokenSerial, SlotID: s.SlotID, SlotIndex: s.SlotIndex,
				PIN: s.PIN, MaxSessions: s.MaxSessions, WrappedHandles: s.WrappedHandles, WrappedHandleAge: s.WrappedHandleAge,
			})
		}
		modules = append(modules, m)
	}
	return modules
}

func authorityOf(c *conf.Config) *authz.Table {
	t := &authz.Table{HSMAdmin: c.HSMAdmin, Create: c.Create, Govern: c.Admin, Monitor: c.HTTP.Monitors, SlotAdmin: map[uint32][]string{}}
	for _, h := range c.HSM {
		for _, s := range h.Slots {
			if len(s.Admins) > 0 {
				t.SlotAdmin[s.Number] = s.Admins
			}
		}
	}
	return t
}

func limitsOf(c *conf.Config) server.Limits {
	l := c.Limits
	return server.Limits{
		Message:    ttlv.Limits{Size: l.MessageSize, Depth: l.MessageDepth, Items: l.MessageItems},
		BatchCount: l.BatchCount, Connections: l.Connections, ConnectionsPerIdentity: l.ConnectionsPerIdentity,
		RequestsInFlight: l.RequestsInFlight, RequestsPerSecond: l.RequestsPerSecond,
		HandshakeTimeout: l.HandshakeTimeout, ReadTimeout: l.ReadTimeout, WriteTimeout: l.WriteTimeout,
		IdleTimeout: l.IdleTimeout, OperationTimeout: l.OperationTimeout,
		AsynchronousOperations: l.AsynchronousOperations, AsynchronousPerIdentity: l.AsynchronousPerIdentity,
		AsynchronousBytes: l.AsynchronousBytes, AsynchronousBytesPerIdentity: l.AsynchronousBytesPerIdentity, AsynchronousKeep: l.AsynchronousKeep,
	}
}

func minutes(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
