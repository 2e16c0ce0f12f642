package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"strongroom/cmd/strongroom/file"
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Lengths of the parts of what the server encrypts: nonce, ciphertext, tag.
const (
	nonceSize = 12
	tagSize   = 16
)

// Names of algorithms on the command line.
const (
	aesGCM  = "aes-gcm"
	rfc5649 = "rfc5649"
)

// A crypting is what the commands that encrypt and decrypt have in common.
type crypting struct {
	conversion
	data string // --data-encryption-algorithm
	key  string // --key-encryption-algorithm
}

func (c *crypting) flags(cmd *cobra.Command, data string) {
	c.conversion.flags(cmd)
	f := cmd.Flags()
	f.StringVarP(&c.data, "data-encryption-algorithm", "d", data, "`ALGORITHM` for the data: aes-gcm")
	f.StringVarP(&c.key, "key-encryption-algorithm", "e", "", "`ALGORITHM` for the data key, when the data are encrypted here: rfc5649")
}

func (c *crypting) check() error {
	if c.data != "" && c.data != aesGCM {
		return misused("--data-encryption-algorithm %q is not %q", c.data, aesGCM)
	}
	if c.key != "" && c.key != rfc5649 {
		return misused("--key-encryption-algorithm %q is not %q", c.key, rfc5649)
	}
	return nil
}

func (p *program) symEncryptCommand() *cobra.Command {
	var c crypting
	var chunk int
	cmd := needsKey(&cobra.Command{
		Use:   "encrypt --key-id ID FILE",
		Short: "Encrypt a file with a symmetric key",
		Long: fmt.Sprintf(`Encrypt a file with a symmetric key. FILE may be -, for standard input.

Up to %d bytes are sent to the server and encrypted there. With --key-encryption-algorithm rfc5649 a file of any size
is encrypted here, on all cores, under a data key of its own; only that travels, and the key wraps it in the server or in
the HSM. The wrapped data key stands at the beginning of the encrypted file, so that it is decrypted without flags.`, mostInServer),
		Example: `  strongroom sym encrypt --key-id my_sym_key /tmp/secret.txt
  strongroom sym encrypt --key-id my_sym_key_2 --data-encryption-algorithm aes-gcm --key-encryption-algorithm rfc5649 /tmp/large.bin
  tar c folder | strongroom sym encrypt --key-id my_sym_key_2 --key-encryption-algorithm rfc5649 --output-file folder.enc -`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.input = args[0]
			if err := c.check(); err != nil {
				return err
			}
			return p.convert(&c.conversion, encrypting, func(r io.Reader, in *os.File) error {
				if c.key == "" {
					return p.encryptInServer(cmd.Context(), &c, r, in)
				}
				return p.encryptHere(cmd.Context(), &c, r, in, chunk<<10)
			})
		},
	}, &c.uid)
	c.flags(cmd, aesGCM)
	cmd.Flags().IntVar(&chunk, "chunk-size", file.DefaultChunkSize>>10, "`KIB` of a chunk, when the data are encrypted here: a power of two from 64 to 4096")
	return cmd
}

// gcm are the parameters of what the server encrypts.
var gcm = &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}

// encryptInServer has the server encrypt. The file is nonce, ciphertext and tag, one after the other.
func (p *program) encryptInServer(ctx context.Context, c *crypting, r io.Reader, in *os.File) error {
	data, err := readSmall(r, mostInServer, ": --key-encryption-algorithm rfc5649 encrypts it here")
	if err != nil {
		return err
	}
	e, err := do[kmip.EncryptResponse](ctx, p, kmip.OperationEncrypt, &kmip.EncryptRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(c.uid), CryptographicParameters: gcm, Data: data,
	})
	if err != nil {
		return err
	}
	sealed := append(append(append([]byte{}, e.IVCounterNonce...), e.Data...), e.AuthenticatedEncryptionTag...)
	if len(e.IVCounterNonce) != nonceSize || len(sealed) != nonceSize+len(data)+tagSize {
		return fmt.Errorf("the server answers with %d bytes of nonce and %d of ciphertext and tag", len(e.IVCounterNonce), len(sealed)-len(e.IVCounterNonce))
	}
	return p.write(c.output, usualMode, in, sealed)
}

// encryptHere encrypts with a data key that the server wraps.
func (p *program) encryptHere(ctx context.Context, c *crypting, r io.Reader, in *os.File, chunk int) error {
	out, err := p.create(c.output, usualMode, in)
	if err != nil {
		return err
	}
	defer out.abandon()
	bar := p.progress(in)
	defer bar.end()
	wrap := func(ctx context.Context, dataKey []byte) ([]byte, error) { return p.wrapDataKey(ctx, c.uid, dataKey) }
	if err := file.Encrypt(ctx, out.Writer, r, file.Header{KeyID: c.uid, ChunkSize: chunk}, wrap, bar.add); err != nil {
		return err
	}
	return out.commit()
}

// kwp are the parameters that wrap a data key: RFC 5649.
var kwp = &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeAESKeyWrapPadding}

func (p *program) wrapDataKey(ctx context.Context, uid string, dataKey []byte) ([]byte, error) {
	r, err := do[kmip.EncryptResponse](ctx, p, kmip.OperationEncrypt, &kmip.EncryptRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid), CryptographicParameters: kwp, Data: dataKey,
	})
	if err != nil {
		return nil, err
	}
	return r.Data, nil
}

func (p *program) unwrapDataKey(ctx context.Context, uid string, wrapped []byte) ([]byte, error) {
	r, err := do[kmip.DecryptResponse](ctx, p, kmip.OperationDecrypt, &kmip.DecryptRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid), CryptographicParameters: kwp, Data: wrapped,
	})
	if err != nil {
		return nil, err
	}
	return r.Data, nil
}

func (p *program) symDecryptCommand() *cobra.Command {
	var c crypting
	cmd := &cobra.Command{
		Use:   "decrypt [--key-id ID] FILE",
		Short: "Decrypt a file with a symmetric key",
		Long: `Decrypt a file with a symmetric key. FILE may be -, for standard input.

A file that was encrypted with --key-encryption-algorithm says itself how, and with which key: no flag is needed, and one
that is given must agree. For what the server encrypted, --key-id names the key.`,
		Example: `  strongroom sym decrypt --key-id my_sym_key --output-file /tmp/secret.recovered.txt /tmp/secret.enc
  strongroom sym decrypt /tmp/large.enc`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.input = args[0]
			if err := c.check(); err != nil {
				return err
			}
			return p.convert(&c.conversion, decrypting, func(r io.Reader, in *os.File) error {
				return p.decrypt(cmd.Context(), &c, r, in)
			})
		},
	}
	c.flags(cmd, "")
	return cmd
}

// decrypt looks how the file begins, and decrypts it as it was encrypted.
func (p *program) decrypt(ctx context.Context, c *crypting, r io.Reader, in *os.File) error {
	r, encryptedHere, err := begins(r, file.Magic)
	if err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	switch {
	case encryptedHere:
		return p.decryptHere(ctx, c, r, in)
	case c.key != "":
		return errors.New("the file was not encrypted with --key-encryption-algorithm: leave it out")
	case c.uid == "":
		return misused("the file does not say with which key it was encrypted: give --key-id ID")
	}
	return p.decryptInServer(ctx, c, r, in)
}

// begins says whether r begins with a text. A regular file stays what it is, at the offset where it was.
func begins(r io.Reader, text string) (io.Reader, bool, error) {
	head := make([]byte, len(text))
	if f, ok := r.(*os.File); ok {
		if at, err := f.Seek(0, io.SeekCurrent); err == nil {
			n, err := f.ReadAt(head, at)
			if err == io.EOF {
				err = nil
			}
			return r, string(head[:n]) == text, err
		}
	}
	b := bufio.NewReader(r)
	head, err := b.Peek(len(text))
	if err == io.EOF {
		err = nil
	}
	return b, string(head) == text, err
}

// decryptHere decrypts a file that says how.
func (p *program) decryptHere(ctx context.Context, c *crypting, r io.Reader, in *os.File) error {
	out, err := p.create(c.output, usualMode, in)
	if err != nil {
		return err
	}
	defer out.abandon()
	bar := p.progress(in)
	defer bar.end()
	unwrap := func(ctx context.Context, h *file.Header) ([]byte, error) {
		if c.uid != "" && c.uid != h.KeyID {
			return nil, fmt.Errorf("the file was encrypted under the key %q, not %q: leave --key-id out, or name that one", h.KeyID, c.uid)
		}
		c.uid = h.KeyID
		return p.unwrapDataKey(ctx, h.KeyID, h.WrappedKey)
	}
	if err := file.Decrypt(ctx, out.Writer, r, unwrap, bar.add); err != nil {
		return err
	}
	return out.commit()
}

// decryptInServer has the server decrypt what encryptInServer wrote.
func (p *program) decryptInServer(ctx context.Context, c *crypting, r io.Reader, in *os.File) error {
	data, err := readSmall(r, nonceSize+mostInServer+tagSize, "")
	if err != nil {
		return err
	}
	if len(data) < nonceSize+tagSize {
		return fmt.Errorf("it has %d bytes: no file that was encrypted has less than %d", len(data), nonceSize+tagSize)
	}
	nonce, sealed, tag := data[:nonceSize], data[nonceSize:len(data)-tagSize], data[len(data)-tagSize:]
	client, err := p.connected(ctx)
	if err != nil {
		return err
	}
	if client.Version() < ttlv.V1_4 { // has no field for the tag, which stands behind the data
		sealed, tag = data[nonceSize:], nil
	}
	d, err := do[kmip.DecryptResponse](ctx, p, kmip.OperationDecrypt, &kmip.DecryptRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(c.uid), CryptographicParameters: gcm,
		Data: sealed, IVCounterNonce: nonce, AuthenticatedEncryptionTag: tag,
	})
	if err != nil {
		return err
	}
	return p.write(c.output, usualMode, in, d.Data)
}
