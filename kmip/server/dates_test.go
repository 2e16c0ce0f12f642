package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// dated is a request for a key with some dates.
func dated(dates map[ttlv.Tag]time.Time) *kmip.CreateRequest {
	q := aes("")
	q.Attributes = q.Attributes.Without(ttlv.TagActivationDate)
	for tag, t := range dates {
		q.Attributes = q.Attributes.With(tag, t)
	}
	return q
}

// TestDatesInOrder shows that no request puts the dates of an object in an order that they cannot have. KMIP 2.1 §4.40, §4.41.
func TestDatesInOrder(t *testing.T) {
	g := newRig(t, Limits{})
	now := time.Now().Truncate(time.Second)
	at := func(hours int) time.Time { return now.Add(time.Duration(hours) * time.Hour) }
	for _, v := range kmip.Versions {
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			for name, test := range map[string]struct {
				dates map[ttlv.Tag]time.Time
				state kmip.State // 0: it is refused
			}{
				"none":                                {nil, kmip.StatePreActive},
				"a past activation":                   {map[ttlv.Tag]time.Time{ttlv.TagActivationDate: at(-1)}, kmip.StateActive},
				"a future activation":                 {map[ttlv.Tag]time.Time{ttlv.TagActivationDate: at(1)}, kmip.StatePreActive},
				"past from the beginning":             {map[ttlv.Tag]time.Time{ttlv.TagActivationDate: at(-2), ttlv.TagDeactivationDate: at(-1)}, kmip.StateDeactivated},
				"all in order":                        {map[ttlv.Tag]time.Time{ttlv.TagActivationDate: at(-2), ttlv.TagProcessStartDate: at(-2), ttlv.TagProtectStopDate: at(3), ttlv.TagDeactivationDate: at(3)}, kmip.StateActive},
				"processing starts before activation": {map[ttlv.Tag]time.Time{ttlv.TagActivationDate: at(2), ttlv.TagProcessStartDate: at(1)}, 0},
				"protection stops after deactivation": {map[ttlv.Tag]time.Time{ttlv.TagProtectStopDate: at(3), ttlv.TagDeactivationDate: at(2)}, 0},
				"deactivated before it is activated":  {map[ttlv.Tag]time.Time{ttlv.TagActivationDate: at(3), ttlv.TagDeactivationDate: at(2)}, 0},
			} {
				if test.state == 0 {
					require.Equal(t, kmip.ResultReasonInvalidAttributeValue.At(v), reason(t, c, kmip.OperationCreate, dated(test.dates)), name)
					continue
				}
				uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, dated(test.dates)).UniqueIdentifier
				require.Equal(t, test.state, attribute[kmip.State](t, c, uid, ttlv.TagState), name)
			}
			uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, dated(map[ttlv.Tag]time.Time{ttlv.TagActivationDate: at(1), ttlv.TagDeactivationDate: at(3)})).UniqueIdentifier
			early := &kmip.ModifyAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{{Tag: ttlv.TagDeactivationDate, Value: at(0)}}}
			require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationModifyAttribute, early))
			late := &kmip.AddAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{{Tag: ttlv.TagProtectStopDate, Value: at(4)}}}
			require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationAddAttribute, late))
		})
	}
}

// moving changes one date of an object.
func moving(uid kmip.UniqueIdentifier, tag ttlv.Tag, to time.Time) *kmip.ModifyAttributeRequest {
	return &kmip.ModifyAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{{Tag: tag, Value: to}}}
}

// TestDatesMoveTheState shows the transitions that a changed date makes, and that a date which has done so does not change any more.
// KMIP 2.1 §4.57, transitions 4 and 6.
func TestDatesMoveTheState(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	past, future := time.Now().Add(-time.Hour).Truncate(time.Second), time.Now().Add(time.Hour).Truncate(time.Second)
	uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, dated(map[ttlv.Tag]time.Time{
		ttlv.TagActivationDate: future, ttlv.TagProcessStartDate: future, ttlv.TagProtectStopDate: future, ttlv.TagDeactivationDate: future,
	})).UniqueIdentifier
	wrongState := func(tag ttlv.Tag) {
		t.Helper()
		require.Equal(t, kmip.ResultReasonWrongKeyLifecycleState, reason(t, c, kmip.OperationModifyAttribute, moving(uid, tag, future.Add(time.Minute))))
	}
	must[kmip.ModifyAttributeResponse](t, c, kmip.OperationModifyAttribute, moving(uid, ttlv.TagActivationDate, past))
	require.Equal(t, kmip.StateActive, attribute[kmip.State](t, c, uid, ttlv.TagState))
	wrongState(ttlv.TagActivationDate)

	must[kmip.ModifyAttributeResponse](t, c, kmip.OperationModifyAttribute, moving(uid, ttlv.TagProcessStartDate, past))
	must[kmip.ModifyAttributeResponse](t, c, kmip.OperationModifyAttribute, moving(uid, ttlv.TagProtectStopDate, past))
	for _, tag := range []ttlv.Tag{ttlv.TagProcessStartDate, ttlv.TagProtectStopDate} {
		require.Equal(t, kmip.ResultReasonAttributeReadOnly, reason(t, c, kmip.OperationModifyAttribute, moving(uid, tag, future)), "it has occurred")
		require.Equal(t, kmip.ResultReasonReadOnlyAttribute, reason(t, c, kmip.OperationSetAttribute, set(uid, kmip.Attribute{Tag: tag, Value: future})))
	}
	must[kmip.ModifyAttributeResponse](t, c, kmip.OperationModifyAttribute, moving(uid, ttlv.TagDeactivationDate, time.Now().Add(-time.Minute)))
	require.Equal(t, kmip.StateDeactivated, attribute[kmip.State](t, c, uid, ttlv.TagState))
	wrongState(ttlv.TagDeactivationDate)
	wrongState(ttlv.TagProtectStopDate)
}

// TestTimeMovesTheState shows that a state which moves with time is seen by all who ask, and by what is done.
func TestTimeMovesTheState(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	late := time.Now().Add(time.Hour).Truncate(time.Second)
	uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, dated(map[ttlv.Tag]time.Time{
		ttlv.TagActivationDate: late, ttlv.TagDeactivationDate: late,
	})).UniqueIdentifier
	for _, step := range []struct {
		soon     ttlv.Tag // the date that comes next; 0: none does, for an hour
		state    kmip.State
		encrypts bool
	}{{0, kmip.StatePreActive, false}, {ttlv.TagActivationDate, kmip.StateActive, true}, {ttlv.TagDeactivationDate, kmip.StateDeactivated, false}} {
		if step.soon != 0 {
			must[kmip.ModifyAttributeResponse](t, c, kmip.OperationModifyAttribute, moving(uid, step.soon, time.Now().Add(2*time.Second).Truncate(time.Second)))
		}
		require.Eventually(t, func() bool { return attribute[kmip.State](t, c, uid, ttlv.TagState) == step.state }, time.Minute, 5*time.Millisecond)
		found := must[kmip.LocateResponse](t, c, kmip.OperationLocate, &kmip.LocateRequest{Attributes: kmip.Attributes{{Tag: ttlv.TagState, Value: step.state}}})
		require.Equal(t, []kmip.UniqueIdentifier{uid}, found.UniqueIdentifier, "%v", step.state)
		_, err := client.Do[kmip.EncryptResponse](t.Context(), c, kmip.OperationEncrypt, ecb(string(uid), 1))
		require.Equal(t, step.encrypts, err == nil, "%v: %v", step.state, err)
	}
}

// TestCompromiseOccurrenceDate shows when an object was compromised: when the request says, else from its first day. KMIP 2.1 §4.11.
func TestCompromiseOccurrenceDate(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	occurred := time.Now().Add(-24 * time.Hour).Truncate(time.Second).UTC()
	revoke := func(uid kmip.UniqueIdentifier, code kmip.RevocationReasonCode, when *time.Time) *kmip.RevokeRequest {
		return &kmip.RevokeRequest{UniqueIdentifier: uid, RevocationReason: kmip.RevocationReason{RevocationReasonCode: code}, CompromiseOccurrenceDate: when}
	}
	for _, when := range []*time.Time{nil, &occurred} {
		uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier
		require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationRevoke, revoke(uid, kmip.RevocationReasonCodeSuperseded, &occurred)), "it is no compromise")
		require.Equal(t, kmip.StateActive, attribute[kmip.State](t, c, uid, ttlv.TagState))
		must[kmip.RevokeResponse](t, c, kmip.OperationRevoke, revoke(uid, kmip.RevocationReasonCodeKeyCompromise, when))
		want := attribute[time.Time](t, c, uid, ttlv.TagInitialDate)
		if when != nil {
			want = *when
		}
		require.Equal(t, want, attribute[time.Time](t, c, uid, ttlv.TagCompromiseOccurrenceDate))
		require.Equal(t, kmip.StateCompromised, attribute[kmip.State](t, c, uid, ttlv.TagState))
	}
}
