package server

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// VerifyAudit checks that every line of an audit file follows from the one before it, and says how many do. The error
// names the first that does not; it is io.ErrUnexpectedEOF where the last line is not complete.
func VerifyAudit(r io.Reader) (lines int, err error) {
	in := bufio.NewReaderSize(r, 64<<10) // longer than any line
	var chain auditChain
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case err == io.EOF && len(line) == 0:
			return lines, nil
		case err == io.EOF:
			err = fmt.Errorf("it is not complete: %w", io.ErrUnexpectedEOF)
		case err == nil:
			err = chain.check(line[:len(line)-1], lines == 0)
		}
		if err != nil {
			return lines, fmt.Errorf("audit line %d: %w", lines+1, err)
		}
		lines++
	}
}

// check follows the chain by one line. The first line of a file tells what it follows.
func (c *auditChain) check(line []byte, first bool) error {
	content, hash, err := splitAudit(line)
	if err != nil {
		return err
	}
	previous, opened, err := previousOf(content)
	switch {
	case err != nil:
		return err
	case first && !opened:
		return errors.New("the file does not begin with the line that says that it was opened: lines before it are missing")
	case first:
		c.head = previous
	case opened && previous != c.head:
		return errors.New("it was written after a line that is not there: lines before it were changed or are missing")
	}
	c.scratch = append(append(c.scratch[:0], c.head[:]...), content...)
	if c.head = sha256.Sum256(c.scratch); c.head != hash {
		return errors.New("it does not follow from the line before it: it was changed or moved, or lines before it are missing")
	}
	return nil
}

// splitAudit takes a line apart into what is hashed and the hash.
func splitAudit(line []byte) (content []byte, hash [sha256.Size]byte, err error) {
	const tail = len(auditHash) + 2*sha256.Size + len(`"}`)
	at := len(line) - tail
	if at < 0 || !bytes.HasPrefix(line[at:], []byte(auditHash)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return nil, hash, errors.New("it is not an audit line")
	}
	digits := line[at+len(auditHash) : len(line)-2]
	if _, err := hex.Decode(hash[:], digits); err != nil || !bytes.Equal(hex.AppendEncode(nil, hash[:]), digits) {
		return nil, hash, errors.New("it is not an audit line: its hash is not in hexadecimal")
	}
	return line[:at], hash, nil
}

// previousOf is the hash that a file follows, if content is of the line that says that it was opened.
func previousOf(content []byte) (previous [sha256.Size]byte, opened bool, err error) {
	rest, opened := bytes.CutPrefix(content, []byte(auditOpened))
	if !opened {
		return previous, false, nil
	}
	if len(rest) < 2*sha256.Size {
		return previous, true, errors.New("it does not say what it follows")
	}
	_, err = hex.Decode(previous[:], rest[:2*sha256.Size])
	return previous, true, err
}

// auditTail finds the end of the chain in a file, nil in an empty one, and takes a torn last line out of it. What is no
// audit file is left as it is.
func auditTail(f *os.File) (head *[sha256.Size]byte, torn []byte, err error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil, nil, err
	}
	last, torn, err := lastLines(f, info.Size())
	if err != nil {
		return nil, nil, err
	}
	if last != nil {
		_, hash, err := splitAudit(last)
		if err != nil {
			return nil, nil, fmt.Errorf("%s does not end with an audit line: move it away to begin another", f.Name())
		}
		head = &hash
	} else if n := min(len(torn), len(auditOpened)); string(torn[:n]) != auditOpened[:n] {
		return nil, nil, fmt.Errorf("%s is not an audit file", f.Name())
	}
	if len(torn) > 0 {
		err = f.Truncate(info.Size() - int64(len(torn)))
	}
	return head, torn, err
}

// auditTorn is the most that a crash leaves after the last whole line: what was in flight to the disk.
const auditTorn = 16 << 20

// lastLines reads the last line that was ended, nil if there is none, and what stands after it.
func lastLines(f *os.File, size int64) (last, rest []byte, err error) {
	for window := int64(64 << 10); window < 2*auditTorn; window *= 2 {
		b := make([]byte, min(window, size))
		if _, err := f.ReadAt(b, size-int64(len(b))); err != nil {
			return nil, nil, err
		}
		whole := int64(len(b)) == size
		end := bytes.LastIndexByte(b, '\n')
		if end < 0 && whole {
			return nil, b, nil
		}
		if begin := bytes.LastIndexByte(b[:max(end, 0)], '\n'); begin >= 0 || end >= 0 && whole {
			return b[begin+1 : end], b[end+1:], nil
		}
	}
	return nil, nil, fmt.Errorf("%s has no line in its last %d bytes: move it away to begin another", f.Name(), auditTorn)
}
