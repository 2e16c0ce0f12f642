package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// A conversion makes one file of another with a key.
type conversion struct {
	uid    string
	input  string
	output string // as the flag gives it; once the input is open, where the output goes
}

// flags adds the flags that name the key and the output.
func (c *conversion) flags(cmd *cobra.Command) {
	keyID(cmd, &c.uid)
	cmd.Flags().StringVarP(&c.output, "output-file", "o", "", "`FILE` to write, - for standard output")
}

// A step is what a conversion does, in the words of its errors and of its answer.
type step struct{ doing, done, extension string }

var (
	encrypting = step{"encrypting", "encrypted file", ".enc"}
	decrypting = step{"decrypting", "decrypted file", ".plain"}
	signing    = step{"signing", "signature", ".sig"}
)

// convert opens the input, names the output, has work make it, and says where it is.
func (p *program) convert(c *conversion, s step, work func(r io.Reader, in *os.File) error) error {
	return p.read(c.input, func(r io.Reader, in *os.File) error {
		c.output = outputFor(c.input, c.output, s.extension)
		if err := work(r, in); err != nil {
			return fmt.Errorf("%s %q: %w", s.doing, c.input, err)
		}
		return p.available(s.done, c.uid, c.output)
	})
}

// convertSmall is convert for what the server does with a whole input at once. Of one that is too long the error says the hint.
func (p *program) convertSmall(c *conversion, s step, hint string, work func(data []byte) ([]byte, error)) error {
	return p.convert(c, s, func(r io.Reader, in *os.File) error {
		data, err := readSmall(r, mostInServer, hint)
		if err != nil {
			return err
		}
		defer clear(data)
		result, err := work(data)
		if err != nil {
			return err
		}
		return p.write(c.output, usualMode, in, result)
	})
}

// mostInServer is how many bytes are sent to the server to be worked on there: what a message of 1 MiB holds, with room for the
// rest of it.
const mostInServer = 1_000_000

// readSmall reads what is sent to the server.
func readSmall(r io.Reader, most int, hint string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	if len(data) > most {
		return nil, fmt.Errorf("it is longer than the %d bytes that the server takes%s", most, hint)
	}
	return data, nil
}
