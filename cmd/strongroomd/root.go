package main

import (
	"context"

	"strongroom/store/seal"
)

// sealKey writes a private key that was never on a disk in clear.
func sealKey(ctx context.Context, root *seal.Root, file seal.KeyFile, private []byte) error {
	envelope, err := root.SealFile(ctx, file, private)
	if err != nil {
		return err
	}
	return writeNew(file.Encrypted(), envelope, 0o600)
}
