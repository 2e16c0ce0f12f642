package kmip

import (
	"context"
	"time"

	"strongroom/kmip/ttlv"
)

// Rotating is a backend that knows which of its keys are due to be rotated.
type Rotating interface {
	// Due lists keys whose RotationDue is not after now, those first that are due the longest, most at most.
	Due(ctx context.Context, now time.Time, most int) ([]string, error)
}

// RotationDue is when the server is to rotate an object by itself: Rotate Interval after its Initial Date, where Rotate Automatic
// is true (KMIP 2.1 §4.48, §4.51). What was replaced, revoked or archived is not rotated any more; the public half of a pair is
// rotated with the private one.
func (a Attributes) RotationDue() (time.Time, bool) {
	automatic, _ := Get[bool](a, ttlv.TagRotateAutomatic)
	interval, _ := Get[ttlv.Interval](a, ttlv.TagRotateInterval)
	made, ok := Get[time.Time](a, ttlv.TagInitialDate)
	if !automatic || interval == 0 || !ok || a.Replaced() || a.Archived() || a.Contains(ttlv.TagRevocationReason) {
		return time.Time{}, false
	}
	switch t, _ := Get[ObjectType](a, ttlv.TagObjectType); t {
	case ObjectTypeSymmetricKey, ObjectTypePrivateKey:
		return made.Add(time.Duration(interval) * time.Second), true
	}
	return time.Time{}, false
}

// Replaced says whether another object has replaced this one.
func (a Attributes) Replaced() bool {
	for _, link := range All[Link](a, ttlv.TagLink) {
		if link.LinkType == LinkTypeReplacementObjectLink {
			return true
		}
	}
	return false
}
