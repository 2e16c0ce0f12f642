package file

import (
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The benchmarks compare in one run; the ratio of their MB/s is the claim:
//
//	go test -run '^$' -bench 'BareGCM|File' -benchtime 5x -count 3 ./cmd/strongroom/file
const benchSize = 1 << 30

// BenchmarkBareGCM encrypts as much on all cores, and reads and writes nothing. Each core goes around buffers of 64 MiB,
// so that they come from memory.
func BenchmarkBareGCM(b *testing.B) {
	h := Header{ChunkSize: DefaultChunkSize}
	aead, err := h.chunks(testKey)
	require.NoError(b, err)
	t := seal(aead, h.ChunkSize)
	ring := make([][][]byte, runtime.GOMAXPROCS(0))
	for i := range ring {
		for range (64 << 20) / t.in {
			buf := make([]byte, t.room())
			clear(buf)
			ring[i] = append(ring[i], buf)
		}
	}
	b.SetBytes(benchSize)
	b.ResetTimer()
	for b.Loop() {
		var next atomic.Int64
		var wg sync.WaitGroup
		for _, buffers := range ring {
			wg.Go(func() {
				for k := 0; ; k++ {
					i := next.Add(1) - 1
					if i >= benchSize/int64(t.in) {
						return
					}
					t.apply(buffers[k%len(buffers)][:t.in], uint64(i), false)
				}
			})
		}
		wg.Wait()
	}
}

// inMemory makes a file of 1 GiB, and one of nothing, in a file system of memory.
func inMemory(b *testing.B) (full, empty *os.File) {
	dir, err := os.MkdirTemp("/dev/shm", "strongroom")
	if err != nil {
		b.Skip("no file system of memory here: ", err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	full, err = os.Create(dir + "/full")
	require.NoError(b, err)
	b.Cleanup(func() { full.Close() })
	piece := noise(b, 1<<20)
	for range benchSize / len(piece) {
		_, err := full.Write(piece)
		require.NoError(b, err)
	}
	_, err = full.Seek(0, io.SeekStart)
	require.NoError(b, err)
	empty, err = os.Create(dir + "/empty")
	require.NoError(b, err)
	b.Cleanup(func() { empty.Close() })
	return full, empty
}

// again makes the output new and the input unread, outside the time that counts.
func again(b *testing.B, in, out *os.File) {
	b.StopTimer()
	for _, f := range []*os.File{in, out} {
		_, err := f.Seek(0, io.SeekStart)
		require.NoError(b, err)
	}
	if out.Name() != os.DevNull {
		require.NoError(b, out.Truncate(0))
	}
	b.StartTimer()
}

func BenchmarkEncryptFile(b *testing.B) {
	in, out := inMemory(b)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		again(b, in, out)
		require.NoError(b, Encrypt(b.Context(), out, in, Header{KeyID: "kek"}, fakeWrap, nil))
	}
}

func BenchmarkDecryptFile(b *testing.B) {
	in, enc := inMemory(b)
	require.NoError(b, Encrypt(b.Context(), enc, in, Header{KeyID: "kek"}, fakeWrap, nil))
	b.SetBytes(benchSize)
	for b.Loop() {
		again(b, enc, in)
		require.NoError(b, Decrypt(b.Context(), in, enc, fakeUnwrap, nil))
	}
}

// BenchmarkCopyFile is the other floor: the same reads and writes with nothing between them. Where a file system takes
// new pages more slowly than the cores encrypt, this is what bounds EncryptFile.
func BenchmarkCopyFile(b *testing.B) {
	in, out := inMemory(b)
	copying := &transform{in: DefaultChunkSize, out: DefaultChunkSize, apply: func(chunk []byte, _ uint64, _ bool) ([]byte, error) {
		return chunk, nil
	}}
	b.SetBytes(benchSize)
	for b.Loop() {
		again(b, in, out)
		require.NoError(b, run(b.Context(), out, in, nil, copying, nil))
	}
}

// BenchmarkEncryptStream goes the way of pipes.
func BenchmarkEncryptStream(b *testing.B) {
	in, _ := inMemory(b)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		r := io.NewSectionReader(in, 0, benchSize)
		require.NoError(b, Encrypt(b.Context(), io.Discard, r, Header{KeyID: "kek"}, fakeWrap, nil))
	}
}

// BenchmarkEncryptAway reads the file and leaves the output nowhere: beside BareGCM, what reading costs. cpu-ns/KiB is the time of
// all cores, which a busy machine lengthens less than the other.
func BenchmarkEncryptAway(b *testing.B) {
	in, _ := inMemory(b)
	out, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(b, err)
	defer out.Close()
	b.SetBytes(benchSize)
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		again(b, in, out)
		require.NoError(b, Encrypt(b.Context(), out, in, Header{KeyID: "kek"}, fakeWrap, nil))
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N)/(benchSize>>10), "cpu-ns/KiB")
}

// processorTime is what the process has used of all cores, in nanoseconds.
func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}
