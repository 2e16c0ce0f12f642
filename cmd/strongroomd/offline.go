package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"strongroom/conf"
	"strongroom/kmip/server"
	"strongroom/store"
	"strongroom/store/seal"
)

// serving says whether a server answers at the admin socket of the configuration.
func serving(c *conf.Config) bool {
	conn, err := net.Dial("unix", filepath.Join(c.DataDir, socketName))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// withRoot does an act with the root key while no server runs, and writes it into the audit log. Master is where the master key is,
// "" for what the configuration says.
func withRoot(ctx context.Context, c *conf.Config, master, act string, f func(*seal.Root) error) (err error) {
	return withStore(ctx, c, master, act, func(s *store.Store) error { return f(s.Root()) })
}

// withStore is withRoot for who needs the database, too.
func withStore(ctx context.Context, c *conf.Config, master, act string, f func(*store.Store) error) (err error) {
	if path, ok := strings.CutPrefix(c.Store.URL, "sqlite:"); ok {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("there is no database: %w", err)
		}
	}
	s, err := store.Open(ctx, c.Store.URL, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := unsealHere(ctx, c, s.Root(), master); err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	audit, err := server.OpenAudit(c.Audit.File, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, audit.Close()) }()
	began := time.Now()
	err = f(s)
	(&operatorLog{audit, log}).note(act, began, err)
	return err
}

// unsealHere opens the root key with a master key.
func unsealHere(ctx context.Context, c *conf.Config, root *seal.Root, master string) error {
	if master == "" {
		master = c.Seal.MasterKeyFile
	}
	key, err := seal.ReadMasterKey(master, os.Stdin)
	if err != nil {
		return err
	}
	return root.Unseal(ctx, key)
}
