package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"strongroom/cmd/strongroom/file"
)

// fileCommand holds the commands about encrypted files.
func (p *program) fileCommand() *cobra.Command {
	return group("file", "Encrypted files", p.inspectCommand())
}

// inspected is the answer of file inspect.
type inspected struct {
	KeyID                  string `json:"key_id"`
	KeyEncryptionAlgorithm string `json:"key_encryption_algorithm"`
	DataEncryption         string `json:"data_encryption_algorithm"`
	ChunkSize              int    `json:"chunk_size"` // bytes
	FileID                 string `json:"file_id"`
	WrappedKey             string `json:"wrapped_data_key"`
	ContentSize            *int64 `json:"content_size,omitempty"` // bytes, of a regular file
}

func (p *program) inspectCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect FILE",
		Short: "Print how a file was encrypted, and under which key",
		Long: `Print the header of a file that sym encrypt made with --key-encryption-algorithm. The server is not asked: whether the
header and the rest are authentic shows when the file is decrypted.`,
		Example: "  strongroom file inspect /tmp/large.enc",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.read(args[0], func(r io.Reader, in *os.File) error {
				h, err := file.ReadHeader(r)
				if err != nil {
					return fmt.Errorf("inspecting %q: %w", args[0], err)
				}
				return p.inspected(h, contentSize(in, h))
			})
		},
	}
}

// inspected answers what a header says.
func (p *program) inspected(h *file.Header, length *int64) error {
	i := inspected{
		KeyID: h.KeyID, KeyEncryptionAlgorithm: h.Wrap.String(), DataEncryption: h.Cipher.String(),
		ChunkSize: h.ChunkSize, FileID: hex.EncodeToString(h.FileID[:]), WrappedKey: hex.EncodeToString(h.WrappedKey),
		ContentSize: length,
	}
	size := "unknown"
	if i.ContentSize != nil {
		size = fmt.Sprintf("%d bytes", *i.ContentSize)
	}
	return p.answer(i, `Key encryption key: %s
Key encryption algorithm: %s
Data encryption algorithm: %s
Chunk size: %d bytes
Content size: %s
File ID: %s
Wrapped data key: %s`, i.KeyID, i.KeyEncryptionAlgorithm, i.DataEncryption, i.ChunkSize, size, i.FileID, i.WrappedKey)
}

// contentSize is how long the content of a regular file is, if nothing is missing from it.
func contentSize(f *os.File, h *file.Header) *int64 {
	if f == nil {
		return nil
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	n, ok := h.ContentSize(info.Size())
	if !ok {
		return nil
	}
	return &n
}
