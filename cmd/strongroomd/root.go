package main

import (
	"context"
	"errors"

	"strongroom/conf"
	"strongroom/store"
	"strongroom/store/seal"
)

// createRoot makes the database and the root key, whose first slot master opens.
func createRoot(ctx context.Context, c *conf.Config, master seal.Protector) error {
	s, err := store.Open(ctx, c.Store.URL, store.Options{})
	if err != nil {
		return err
	}
	return errors.Join(s.Root().Init(ctx, master, nil), s.Close())
}
