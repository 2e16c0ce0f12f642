package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	bulkSize  = 2 << 30
	bulkChunk = 1 << 20
	bulkRing  = 64 // chunks that a core goes around, so that they come from memory
)

// A bulk is a large file and what the command line makes of it.
type bulk struct {
	site  *site
	key   string
	size  int64
	plain string
}

// newBulk makes the file in a folder, smaller where there is no room for three of it.
func newBulk(s *site, folder, key string) (*bulk, error) {
	b := &bulk{site: s, key: key, size: bulkSize, plain: filepath.Join(folder, "plain")}
	var free syscall.Statfs_t
	if err := syscall.Statfs(folder, &free); err != nil {
		return nil, err
	}
	if most := int64(free.Bavail) * free.Bsize / 4; b.size > most {
		b.size = most / bulkChunk * bulkChunk
	}
	f, err := os.Create(b.plain)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	chunk := make([]byte, bulkChunk)
	rand.Read(chunk)
	for i := range b.size / bulkChunk {
		binary.BigEndian.PutUint64(chunk, uint64(i)) // no two alike, so that one out of its place is found
		if _, err := f.Write(chunk); err != nil {
			return nil, err
		}
	}
	return b, errors.Join(f.Sync(), f.Close()) // what a disk still has to write would be done while something is measured
}

// measure runs `strongroom sym encrypt` into another file, or sym decrypt of what that made, or with discard sym encrypt
// into nothing, in turns with the floor.
//
// From file to file, in memory, the floor is a copy, for a file system takes new pages more slowly than cores encrypt. Into nothing it
// is the bare cipher, and the file is one on the disk whose content the kernel has in memory, as it has of what was just written.
func (b *bulk) measure(ctx context.Context, command string, discard bool) (*row, error) {
	in, out := b.plain, b.plain+".enc"
	if command == "decrypt" {
		in, out = out, b.plain+".back"
	}
	r := &row{Unit: "GB/s", FloorName: "copy"}
	floor, target := b.copy, out
	if discard {
		r.FloorName, floor, target = "AES-GCM", b.bare, "-"
	}
	args := []string{"sym", command, "--key-id", b.key, "--output-file", target, in}
	if command == "encrypt" {
		args = append(args, "--key-encryption-algorithm", "rfc5649")
	}
	if _, err := os.Stat(in); command == "decrypt" && err != nil {
		return nil, errors.New("there is nothing to decrypt: file-encrypt was not measured")
	}
	var all time.Duration
	for i := range turns + 1 {
		f, err := quietly(r, floor)
		if err != nil {
			return nil, err
		}
		r.Floors = append(r.Floors, f)
		if i == turns {
			break
		}
		took, err := quietly(r, func() (time.Duration, error) {
			took, most, err := b.run(ctx, args)
			r.Memory = max(r.Memory, megabytes(most))
			return took, err
		})
		if err != nil {
			return nil, err
		}
		all += took
	}
	r.Figure = b.gigabytes(all / turns)
	r.Ratio = r.Figure / r.floor()
	r.judge(ratioAtLeast(0.7), memoryAtMost(100))
	if command == "decrypt" {
		return r, b.compare(out)
	}
	return r, nil
}

func (b *bulk) gigabytes(took time.Duration) float64 { return float64(b.size) / 1e9 / took.Seconds() }

// run runs the program with nothing for its standard output, and watches its memory.
func (b *bulk) run(ctx context.Context, args []string) (took time.Duration, most int64, err error) {
	cmd := exec.CommandContext(ctx, b.site.program("strongroom"), args...)
	cmd.Env = append(os.Environ(), "STRONGROOM_CONFIG="+filepath.Join(b.site.dir, "clients", "admin.toml"))
	var output bytes.Buffer
	cmd.Stderr = &output
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	// The kernel's own record of a child's largest size counts what this program had when it started the child.
	p := process{cmd.Process.Pid}
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case err := <-done:
			tick.Stop()
			if err != nil {
				err = fmt.Errorf("strongroom %v: %w\n%s", args, err, output.Bytes())
			}
			return time.Since(start), most, err
		case <-tick.C:
			if n, err := p.memory("VmHWM"); err == nil {
				most = max(most, n)
			}
		}
	}
}

// bare is the floor: as many bytes encrypted with AES-256-GCM on all cores, in chunks of 1 MiB, and nothing else. In GB/s.
func (b *bulk) bare() (float64, error) {
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return 0, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return 0, err
	}
	rings := make([][]byte, runtime.GOMAXPROCS(0))
	for i := range rings {
		rings[i] = make([]byte, bulkRing*(bulkChunk+16))
		clear(rings[i])
	}
	start := time.Now()
	err = b.eachChunk(func(worker, k int, i int64) error {
		ring := rings[worker]
		var nonce [12]byte
		binary.BigEndian.PutUint64(nonce[4:], uint64(i))
		chunk := ring[k%bulkRing*(bulkChunk+16):][:bulkChunk]
		aead.Seal(chunk[:0], nonce[:], chunk, nil)
		return nil
	})
	return b.gigabytes(time.Since(start)), err
}

// copy is the floor of a file into another: the same reads and writes on all cores, and nothing else. In GB/s.
func (b *bulk) copy() (float64, error) {
	in, err := os.Open(b.plain)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	start := time.Now()
	out, err := os.Create(b.plain + ".copy")
	if err != nil {
		return 0, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	buffers := make([][]byte, runtime.GOMAXPROCS(0))
	for i := range buffers {
		buffers[i] = make([]byte, bulkChunk)
	}
	err = b.eachChunk(func(worker, _ int, i int64) error {
		if _, err := in.ReadAt(buffers[worker], i*bulkChunk); err != nil {
			return err
		}
		_, err := out.WriteAt(buffers[worker], i*bulkChunk)
		return err
	})
	return b.gigabytes(time.Since(start)), err
}

// eachChunk has every core do its share of the chunks: chunk i is the k-th of its worker.
func (b *bulk) eachChunk(do func(worker, k int, i int64) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, runtime.GOMAXPROCS(0))
	for worker := range errs {
		wg.Go(func() {
			for k := 0; errs[worker] == nil; k++ {
				i := next.Add(1) - 1
				if i >= b.size/bulkChunk {
					return
				}
				errs[worker] = do(worker, k, i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// compare refuses a decrypted file that is not the one that was encrypted.
func (b *bulk) compare(path string) error {
	plain, err := os.Open(b.plain)
	if err != nil {
		return err
	}
	defer plain.Close()
	back, err := os.Open(path)
	if err != nil {
		return err
	}
	defer back.Close()
	one, other := make([]byte, bulkChunk), make([]byte, bulkChunk)
	reader := bufio.NewReader(back)
	for at := int64(0); ; at += bulkChunk {
		n, err := io.ReadFull(plain, one)
		m, otherErr := io.ReadFull(reader, other)
		if !bytes.Equal(one[:n], other[:m]) {
			return fmt.Errorf("the decrypted file differs from the original in the MiB at %d", at)
		}
		if err != nil || otherErr != nil {
			if errors.Is(err, io.EOF) && errors.Is(otherErr, io.EOF) {
				return nil
			}
			return errors.Join(err, otherErr)
		}
	}
}

// remove removes the files.
func (b *bulk) remove() error {
	return errors.Join(os.RemoveAll(b.plain), os.RemoveAll(b.plain+".enc"), os.RemoveAll(b.plain+".back"))
}

func megabytes(n int64) float64 { return float64(n) / 1e6 }
