package main

import (
	"context"
	"sync"

	"strongroom/store"
)

// moves is the one rewrap that may be under way.
type moves struct {
	mu       sync.Mutex
	progress moving
	wg       sync.WaitGroup
}

// A moving is how far the last rewrap has come.
type moving struct {
	store.Moving
	Running bool   `json:"running"`
	Begun   bool   `json:"begun"` // since the server started
	Error   string `json:"error,omitempty"`
}

// rewrap begins to move rows to the protector that new ones go under, unless that is under way. It goes on in the background until
// it is done or ctx, the server's, ends; what is left then is moved by the next one.
func (s *sealer) rewrap(ctx context.Context, by string) moving {
	r := &s.moves
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.progress.Running {
		return r.progress
	}
	r.progress = moving{Running: true, Begun: true}
	r.wg.Go(func() {
		err := s.store.Move(ctx, func(n store.Moving) {
			r.mu.Lock()
			r.progress.Moving = n
			r.mu.Unlock()
		})
		r.mu.Lock()
		r.progress.Running = false
		if err != nil {
			r.progress.Error = err.Error()
		}
		done := r.progress
		r.mu.Unlock()
		facts := []any{"objects", done.Moved, "of", done.Total, "under the keys that their makers chose", done.Chosen}
		if err != nil {
			s.log.Error("rewrapping ended before its time", append(facts, "err", err)...)
		} else {
			s.log.Info("rewrapped", facts...)
		}
		s.act("seal rewrap", by, "", err)
	})
	return r.progress
}

// state is how far it has come.
func (r *moves) state() moving {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.progress
}
