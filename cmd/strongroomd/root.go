package main

import (
	"context"
	"errors"

	"strongroom/conf"
	"strongroom/store"
	"strongroom/store/seal"
)

// createRoot makes the database and the root key, whose first slot master opens, and puts private keys, by the paths of their clear
// files, into envelopes under it.
func createRoot(ctx context.Context, c *conf.Config, master seal.Protector, keys map[string][]byte) error {
	s, err := store.Open(ctx, c.Store.URL, store.Options{})
	if err != nil {
		return err
	}
	err = s.Root().Init(ctx, master, nil)
	for path, private := range keys {
		if err == nil {
			err = sealKey(ctx, s.Root(), seal.KeyFile{Name: c.KeyName(path), Path: path}, private)
		}
	}
	return errors.Join(err, s.Close())
}

// sealKey writes a private key that was never on a disk in clear.
func sealKey(ctx context.Context, root *seal.Root, file seal.KeyFile, private []byte) error {
	envelope, err := root.SealFile(ctx, file, private)
	if err != nil {
		return err
	}
	return writeNew(file.Encrypted(), envelope, 0o600)
}
