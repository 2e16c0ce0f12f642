package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"strongroom/conf"
	"strongroom/store"
	"strongroom/store/seal"
)

// serving says whether a server runs on a configuration: one whose socket is there and closed to the caller does.
func serving(c *conf.Config) bool {
	conn, err := net.Dial("unix", filepath.Join(c.DataDir, socketName))
	if err == nil {
		conn.Close()
		return true
	}
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED)
}

// hasDatabase refuses a configuration whose database was not made yet, where opening it would make it.
func hasDatabase(c *conf.Config) error {
	if _, err := os.Stat(c.Database()); err != nil {
		return fmt.Errorf("there is no database: %w", err)
	}
	return nil
}

// withRoot does an act with the root key while no server runs, and writes it into the audit log. Master is where the master key is,
// "" for what the configuration says.
func withRoot(ctx context.Context, c *conf.Config, master, act string, f func(*seal.Root) error) (err error) {
	return withStore(ctx, c, master, act, func(s *store.Store) error { return f(s.Root()) })
}

// withStore is withRoot for who needs the database, too.
func withStore(ctx context.Context, c *conf.Config, master, act string, f func(*store.Store) error) (err error) {
	if err := hasDatabase(c); err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	stores, err := openStores(ctx, c, nil, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stores.close()) }()
	if err := unsealHere(ctx, c, stores, master); err != nil {
		return err
	}
	return noting(c, func(o *operatorLog) error {
		err := f(stores.store)
		o.note(act, thisUser(), "", err)
		return err
	})
}

// unsealHere opens the root key of the database with a master key, or with what the configuration has.
func unsealHere(ctx context.Context, c *conf.Config, b *backends, master string) error {
	unseal, err := unsealer(c, b, master)
	if err != nil {
		return err
	}
	return unseal(ctx, b.store.Root())
}

// unsealer opens root keys with the master key at master, which is read once; without, with what the configuration has: its master key,
// or a key in a token.
func unsealer(c *conf.Config, b *backends, master string) (func(context.Context, *seal.Root) error, error) {
	if master == "" {
		here := newSealer(c, b, slog.New(slog.DiscardHandler))
		return func(ctx context.Context, root *seal.Root) error {
			return root.UnsealWith(ctx, here.find, here.masterKeys()...)
		}, here.readStdin()
	}
	key, err := seal.ReadMasterKey(master, os.Stdin)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, root *seal.Root) error { return root.Unseal(ctx, key) }, nil
}
