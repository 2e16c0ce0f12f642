package server

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// located are the identifiers that a Locate of a storage finds; mask 0 leaves the choice to the server.
func located(t *testing.T, c *client.Client, mask kmip.StorageStatusMask, a ...kmip.Attribute) []kmip.UniqueIdentifier {
	t.Helper()
	q := &kmip.LocateRequest{Attributes: a}
	if mask != 0 {
		q.StorageStatusMask = &mask
	}
	return must[kmip.LocateResponse](t, c, kmip.OperationLocate, q).UniqueIdentifier
}

// TestArchive shows that nothing can be done with an archived object, not even by its owner, until it is recovered.
func TestArchive(t *testing.T) {
	g := newRig(t, Limits{})
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier
			material := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid}).SymmetricKey.KeyBlock.KeyValue.Material
			require.Equal(t, uid, must[kmip.ArchiveResponse](t, c, kmip.OperationArchive, &kmip.ArchiveRequest{UniqueIdentifier: uid}).UniqueIdentifier)
			refusals := map[kmip.Operation]any{
				kmip.OperationGet:           &kmip.GetRequest{UniqueIdentifier: uid},
				kmip.OperationGetAttributes: &kmip.GetAttributesRequest{UniqueIdentifier: uid},
				kmip.OperationCheck:         &kmip.CheckRequest{UniqueIdentifier: uid},
				kmip.OperationObtainLease:   &kmip.ObtainLeaseRequest{UniqueIdentifier: uid},
				kmip.OperationDestroy:       &kmip.DestroyRequest{UniqueIdentifier: uid},
				kmip.OperationArchive:       &kmip.ArchiveRequest{UniqueIdentifier: uid},
				kmip.OperationRevoke: &kmip.RevokeRequest{UniqueIdentifier: uid,
					RevocationReason: kmip.RevocationReason{RevocationReasonCode: kmip.RevocationReasonCodeCessationOfOperation}},
			}
			if v >= ttlv.V1_2 {
				refusals[kmip.OperationEncrypt] = encrypting(uid, 1)
				refusals[kmip.OperationDecrypt] = &kmip.DecryptRequest{UniqueIdentifier: uid, Data: make([]byte, 32)}
			}
			raw := g.dial("alice")
			for op, q := range refusals {
				m := exchange(t, raw, v, &kmip.RequestMessage{BatchItem: []kmip.RequestBatchItem{item(t, v, op, "", q)}})
				require.Equal(t, kmip.ResultReasonObjectArchived, m.BatchItem[0].ResultReason, "%v", op)
			}
			stranger := g.client("bob", v)
			require.Equal(t, kmip.ResultReasonObjectNotFound.At(v), reason(t, stranger, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid}))
			require.Equal(t, kmip.ResultReasonObjectNotFound.At(v), reason(t, stranger, kmip.OperationRecover, &kmip.RecoverRequest{UniqueIdentifier: uid}))
			for range 2 { // what is on-line stays so
				require.Equal(t, uid, must[kmip.RecoverResponse](t, c, kmip.OperationRecover, &kmip.RecoverRequest{UniqueIdentifier: uid}).UniqueIdentifier)
			}
			require.Equal(t, material, must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid}).SymmetricKey.KeyBlock.KeyValue.Material)
			require.Empty(t, attributesNamed(t, c, uid, kmip.Attribute{Tag: ttlv.TagArchiveDate}))
		})
	}
}

// TestLocateStorage shows that Locate finds each object in its own storage and nowhere else, by what it is and by its name.
func TestLocateStorage(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	name := kmip.Attribute{Tag: ttlv.TagName, Value: kmip.Name{NameValue: "shared", NameType: kmip.NameTypeUninterpretedTextString}}
	for _, uid := range []string{"online", "archived", "destroyed"} {
		q := aes(uid)
		q.Attributes = append(q.Attributes.With(ttlv.TagActivationDate, time.Now().Add(time.Hour)), name)
		must[kmip.CreateResponse](t, c, kmip.OperationCreate, q)
	}
	must[kmip.ArchiveResponse](t, c, kmip.OperationArchive, &kmip.ArchiveRequest{UniqueIdentifier: "archived"})
	must[kmip.DestroyResponse](t, c, kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: "destroyed"})
	const online, archived, destroyed = kmip.StorageStatusMaskOnLineStorage, kmip.StorageStatusMaskArchivalStorage, kmip.StorageStatusMaskDestroyedStorage
	for mask, want := range map[kmip.StorageStatusMask][]kmip.UniqueIdentifier{
		0: {"online"}, online: {"online"}, archived: {"archived"}, destroyed: {"destroyed"},
		online | archived: {"online", "archived"}, online | destroyed: {"online", "destroyed"},
		archived | destroyed: {"archived", "destroyed"}, online | archived | destroyed: {"online", "archived", "destroyed"},
	} {
		require.ElementsMatch(t, want, located(t, c, mask), "%v", mask)
		require.ElementsMatch(t, want, located(t, c, mask, kmip.Attribute{Tag: ttlv.TagCryptographicLength, Value: int32(256)}), "%v", mask)
		named := located(t, c, mask, name)
		for _, uid := range named {
			require.Contains(t, want, uid, "%v", mask)
		}
		require.Equal(t, mask == 0 || mask&online != 0, slices.Contains(named, "online"), "%v", mask)
		require.Equal(t, mask&archived != 0, slices.Contains(named, "archived"), "%v", mask)
	}
}
