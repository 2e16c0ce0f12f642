package main

import (
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A progress shows on a terminal how far a long work has come; elsewhere it does nothing.
type progress struct{ bar *progressbar.ProgressBar }

// leastShown is how long an input must be, in bytes, for its progress to be shown.
const leastShown = 16 << 20

// progress begins to show how much of an input is done.
func (p *program) progress(in *os.File) progress {
	terminal, ok := p.err.(*os.File)
	if !ok || p.json || !term.IsTerminal(int(terminal.Fd())) {
		return progress{}
	}
	size := int64(-1) // not known
	if in != nil {
		if info, err := in.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	if size >= 0 && size < leastShown {
		return progress{}
	}
	return progress{progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(terminal),
		progressbar.OptionShowBytes(true),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)}
}

// add says that n more bytes are done. It is safe for concurrent use.
func (b progress) add(n int) {
	if b.bar != nil {
		b.bar.Add(n)
	}
}

// Write says that the bytes are done.
func (b progress) Write(data []byte) (int, error) {
	b.add(len(data))
	return len(data), nil
}

// end takes the bar away.
func (b progress) end() {
	if b.bar != nil {
		b.bar.Finish()
	}
}
