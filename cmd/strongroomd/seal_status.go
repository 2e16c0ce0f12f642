package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"strongroom/store/seal"
)

// A sealStatus is what there is to know of the seal.
type sealStatus struct {
	Strategy    string          `json:"strategy"` // of the active slot
	Initialized bool            `json:"initialized"`
	Sealed      bool            `json:"sealed"`
	Running     bool            `json:"running"` // a server answered
	Reason      string          `json:"reason,omitempty"`
	OpenedBy    int64           `json:"opened_by,omitempty"` // the slot
	Slots       []slotStatus    `json:"slots"`
	HSM         *tokenStatus    `json:"hsm,omitempty"` // of the active slot, or of the configuration
	Entropy     string          `json:"entropy"`
	Objects     objectsStatus   `json:"objects"`
	ServerKeys  string          `json:"server_keys"`
	Rewrap      moving          `json:"rewrap"`
	Replicas    []replicaStatus `json:"replicas,omitempty"`
	Change      []string        `json:"change,omitempty"` // in the configuration
	Configured  string          `json:"configured"`       // strategy
}

// A slotStatus is one root key slot.
type slotStatus struct {
	ID        int64     `json:"id"`
	State     string    `json:"state"`
	Kind      string    `json:"kind"`
	Protector string    `json:"protector"`
	Mechanism string    `json:"mechanism"`
	Created   time.Time `json:"created"`
	Verified  time.Time `json:"verified"`
	Objects   int       `json:"objects"` // that refer to its protector
	Shares    int       `json:"shares,omitempty"`
	Threshold int       `json:"threshold,omitempty"`
}

// A tokenStatus is the token of a slot.
type tokenStatus struct {
	Slot        uint32    `json:"slot"`
	SlotID      uint      `json:"slot_id"`
	Library     string    `json:"library"`
	Description string    `json:"description"`
	Cryptoki    string    `json:"cryptoki"`
	Label       string    `json:"label"`
	Serial      string    `json:"serial"`
	Healthy     bool      `json:"healthy"`
	Error       string    `json:"error,omitempty"`
	Checked     time.Time `json:"checked,omitzero"`
	Took        float64   `json:"took_ms"`
	PIN         string    `json:"pin"`
}

// An objectsStatus counts what needs which protector: the recovery shares alone save what is under the root key.
type objectsStatus struct {
	Software     int  `json:"software"`      // under the root key
	HSMProtected int  `json:"hsm_protected"` // under a key in a token, or another key
	HSMWrapped   int  `json:"hsm_wrapped"`   // wrapped in a token
	InToken      int  `json:"in_token"`
	TokenKnown   bool `json:"token_known"` // the token told
}

// statusTime is how long tokens are asked at most.
const statusTime = 5 * time.Second

// status asks all that there is to ask.
func (s *sealer) status(ctx context.Context) *sealStatus {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	st := &sealStatus{Sealed: !s.root.Unsealed(), Running: true, Entropy: entropyText(s.conf, s.random), ServerKeys: s.serverKeys(), Rewrap: s.moves.state(), Configured: s.conf.Seal.Strategy}
	t, err := s.root.Slots(ctx)
	if err != nil {
		st.Reason = err.Error()
		return st
	}
	s.mu.Lock()
	if st.Sealed && s.shut {
		st.Reason = "by the operator"
	} else if st.Sealed && s.why != nil {
		st.Reason = s.why.Error()
	}
	st.Change = s.wished
	found := s.health
	s.mu.Unlock()
	st.describe(t)
	if by := s.root.OpenedBy(); by != nil {
		st.OpenedBy = by.ID
	}
	for i := range t.Slots {
		st.Slots[i].Objects, _ = s.refers(ctx, &t.Slots[i])
	}
	self, err := s.self()
	if err == nil {
		st.Replicas, err = replicaStatuses(ctx, s.store, t.Active(), self)
	}
	if err != nil && st.Reason == "" {
		st.Reason = err.Error()
	}
	s.count(ctx, &st.Objects)
	st.HSM = s.token(ctx, t.Active(), found)
	return st
}

// describe tells of the slots.
func (st *sealStatus) describe(t *seal.Table) {
	st.Initialized = len(t.Slots) > 0
	st.Slots = make([]slotStatus, len(t.Slots))
	for i := range t.Slots {
		slot := &t.Slots[i]
		shares, threshold, _, _ := slot.RecoveryShares()
		st.Slots[i] = slotStatus{slot.ID, string(slot.State), slot.Kind, slot.Protector, slot.Mechanism.String(), slot.Created, slot.Verified, 0, shares, threshold}
	}
	if active := t.Active(); active != nil {
		st.Strategy = map[string]string{seal.KindFile: "software", seal.KindToken: "hsm"}[active.Kind]
	}
}

// count counts objects by what they need.
func (s *sealer) count(ctx context.Context, o *objectsStatus) {
	counts, _ := s.store.Protectors(ctx)
	for reference, n := range counts {
		switch {
		case reference == seal.RootReference:
			o.Software += n
		case strings.HasPrefix(reference, "uid:"):
			o.HSMProtected += n
		default:
			o.HSMWrapped += n
		}
	}
	if s.hsm == nil {
		o.TokenKnown = true
		return
	}
	for _, number := range s.hsm.Slots() {
		keys, err := s.hsm.Keys(ctx, number)
		if err != nil {
			o.TokenKnown = false
			return
		}
		o.TokenKnown = true
		o.InToken += len(keys)
	}
}

// token tells of the token of the active slot, or of the one that the configuration names.
func (s *sealer) token(ctx context.Context, active *seal.Slot, found health) *tokenStatus {
	if s.hsm == nil || active == nil {
		return nil
	}
	_, serial, _ := tokenKeyOf(active.Protector)
	for _, t := range s.statuses(ctx) {
		if active.Kind == seal.KindToken && t.Serial != serial && t.Serial != "" || active.Kind != seal.KindToken && t.Number != s.conf.Seal.Slot && len(s.hsm.Slots()) > 1 {
			continue
		}
		st := &tokenStatus{Slot: t.Number, SlotID: t.SlotID, Library: t.Library, Description: t.LibraryName, Cryptoki: t.Cryptoki, Label: t.Label, Serial: t.Serial,
			Healthy: t.Healthy, Error: t.Error, PIN: t.PIN, Checked: found.at, Took: float64(found.took.Microseconds()) / 1000}
		if found.err != nil && st.Healthy {
			st.Healthy, st.Error = false, found.err.Error()
		}
		return st
	}
	return nil
}

// serverKeys are how the server's own keys are.
func (s *sealer) serverKeys() string {
	if s.keys == nil {
		return ""
	}
	k, err := s.keys.state()
	if err != nil {
		return err.Error()
	}
	return k.summary()
}

// exitCode is what the status ends a program with: 0 unsealed, 2 sealed.
func (st *sealStatus) exitCode() int {
	if st.Sealed {
		return exitMisused
	}
	return exitDone
}

// write prints the status as a table of keys and values.
func (st *sealStatus) write(out io.Writer, now time.Time) error {
	w := tabwriter.NewWriter(out, 24, 0, 2, ' ', 0)
	line := func(key, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", key, plain(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(w, "Key\tValue\n---\t-----\n")
	line("Strategy", "%s", dash(st.Strategy))
	line("Initialized", "%t", st.Initialized)
	line("Sealed", "%t", st.Sealed)
	if st.Reason != "" {
		line("Why", "%s", strings.ReplaceAll(st.Reason, "\n", "; "))
	}
	slices.SortStableFunc(st.Slots, func(a, b slotStatus) int { // the active one comes first, and then the latest
		return cmp.Or(strings.Compare(a.State, b.State), cmp.Compare(b.ID, a.ID))
	})
	recovery := "none: when the protectors are lost, so is all that they protect"
	for _, s := range st.Slots {
		if s.Kind != seal.KindRecovery {
			s.write(line, &st.Rewrap, st.OpenedBy)
			continue
		}
		recovery = fmt.Sprintf("shamir %d of %d", s.Threshold, s.Shares)
		if s.ID == st.OpenedBy {
			recovery += ", the server was unsealed by it"
		}
	}
	if st.Initialized {
		line("Recovery", "%s", recovery)
	}
	for i := range st.Replicas {
		line("Replica", "%s", st.Replicas[i].text())
	}
	if h := st.HSM; h != nil {
		h.write(line, now)
	}
	if st.Running {
		line("Entropy", "%s", st.Entropy)
		st.Objects.write(line)
		line("Server Keys", "%s", st.ServerKeys)
	}
	if r := st.Rewrap; r.Begun {
		line("Rewrap", "%s", r.text())
	}
	for i, text := range st.Change {
		line(map[bool]string{true: "Configuration", false: ""}[i == 0], "%s", text)
	}
	return w.Flush()
}

// label is what an operator calls a protector.
func (s *slotStatus) label() string {
	if s.Kind == seal.KindToken {
		label, _, _ := tokenKeyOf(s.Protector)
		return label
	}
	return s.Protector
}

func (s *slotStatus) write(line func(key, format string, args ...any), r *moving, openedBy int64) {
	key, ok := map[string]string{"active": "Active Slot", "staged": "Staged Slot", "retained": "Retained Slot"}[s.State]
	if !ok {
		key = s.State
	}
	text := fmt.Sprintf("#%d %s (%s)", s.ID, s.label(), s.Mechanism)
	switch {
	case s.State == "retained" && s.Objects > 0:
		text = fmt.Sprintf("#%d %s, %d objects refer to it", s.ID, s.label(), s.Objects)
		if r.Running && r.Total > 0 {
			text += fmt.Sprintf(" (rewrap %d %%)", 100*r.Done/r.Total)
		}
	case s.State == "retained":
		text = fmt.Sprintf("#%d %s, nothing refers to it: seal prune drops it", s.ID, s.label())
	default:
		text += ", verified " + s.Verified.UTC().Format(time.RFC3339)
	}
	if s.ID == openedBy && s.State != "active" {
		text += ", the server was unsealed by it"
	}
	line(key, "%s", text)
}

func (h *tokenStatus) write(line func(key, format string, args ...any), now time.Time) {
	line("HSM Library", "%s (Cryptoki %s), %s", dash(h.Description), dash(h.Cryptoki), h.Library)
	line("HSM Token", "label=%s serial=%s slot=%d", h.Label, h.Serial, h.Slot)
	health := "not checked"
	switch {
	case !h.Healthy:
		health = "unhealthy: " + strings.ReplaceAll(h.Error, "\n", "; ")
	case !h.Checked.IsZero():
		health = fmt.Sprintf("ok (%.0f s ago, %.1f ms)", now.Sub(h.Checked).Seconds(), h.Took)
	}
	line("HSM Health", "%s", health)
	line("PIN State", "%s", dash(h.PIN))
}

func (o *objectsStatus) write(line func(key, format string, args ...any)) {
	inToken := fmt.Sprint(o.InToken)
	if !o.TokenKnown {
		inToken = "unknown"
	}
	line("Objects", "%d under the root key alone", o.Software)
	line("Objects needing HSM", "%d hsm-protected, %d hsm-wrapped, %s in the token", o.HSMProtected, o.HSMWrapped, inToken)
}

func (r *moving) text() string {
	text := fmt.Sprintf("%d of %d looked at, %d moved, %d under keys that their makers chose", r.Done, r.Total, r.Moved, r.Chosen)
	switch {
	case r.Running:
		text += ", running"
	case r.Error != "":
		text += ", failed: " + strings.ReplaceAll(r.Error, "\n", "; ")
	default:
		text += ", done"
	}
	return text
}
