package main

import (
	"context"
	"time"

	"strongroom/store/seal"
)

// watch has the tokens checked now and then, until ctx ends: also those that nobody uses, and while the server is sealed.
func (s *sealer) watch(ctx context.Context) {
	every := s.conf.Seal.HealthInterval
	if s.hsm == nil || every <= 0 {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.hsm.Check(ctx)
		}
	}
}

// sealCounts are how the seal is.
type sealCounts struct {
	Sealed  bool
	Healthy bool // the active slot was opened, or opened again, when that was tried last

	Checks, ChecksFailed uint64 // of whether it opens again
	Checked              time.Time
	Took                 time.Duration

	Generation       int64 // of the table
	Active           int64 // slot
	ActiveGeneration int64
	Slots            map[seal.SlotState]int

	Rewrap moving
}

// counts tells what there is to tell without reading the table or asking a token.
func (s *sealer) counts() sealCounts {
	n := sealCounts{Sealed: !s.root.Unsealed(), Rewrap: s.moves.state()}
	n.Slots = map[seal.SlotState]int{seal.SlotActive: 0, seal.SlotStaged: 0, seal.SlotRetained: 0, seal.SlotRecovery: 0}
	if t := s.root.LastSlots(); t != nil {
		n.Generation = t.Generation
		for i := range t.Slots {
			n.Slots[t.Slots[i].State]++
		}
		if active := t.Active(); active != nil {
			n.Active, n.ActiveGeneration = active.ID, active.Generation
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n.Healthy = !n.Sealed && s.health.err == nil
	n.Checks, n.ChecksFailed, n.Checked, n.Took = s.checks, s.checksFailed, s.health.at, s.health.took
	return n
}
