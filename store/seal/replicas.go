package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// ReplicaCounts is how long after it was last seen a replica counts as one that is there: no slot changes under it.
const ReplicaCounts = time.Hour

// A Replica is a server of a root key, as it last said of itself.
type Replica struct {
	ID         string    // of its data folder
	Host       string    // name
	Folder     string    // data folder
	Started    time.Time // its process
	Seen       time.Time // when it last said so, by its own clock
	Protectors []string  // that it can open, or could by its configuration: references of slots, and tokens, of which it has every key
	MAC        []byte

	Age    time.Duration // since Seen, by the clock of who reads it
	Forged bool          // it does not have its MAC; unknown while the reader is sealed
}

// TokenReference names all keys in the token of a serial number, among what a Replica can open.
func TokenReference(serial string) string { return KindToken + ":" + serial }

// Opens says whether the replica can open what is under a protector. Of a key in a token that is not made yet the reference may end
// after the label.
func (r *Replica) Opens(reference string) bool {
	for _, p := range r.Protectors {
		if p == reference || strings.HasPrefix(p, KindToken+":") && strings.HasPrefix(reference, p+":") {
			return true
		}
	}
	return false
}

// OpensAny says whether it can open one of them.
func (r *Replica) OpensAny(references []string) bool {
	for _, reference := range references {
		if r.Opens(reference) {
			return true
		}
	}
	return false
}

// Counts says whether it was seen lately enough to be there.
func (r *Replica) Counts() bool { return r.Age < ReplicaCounts }

// String names the replica in messages.
func (r *Replica) String() string {
	return fmt.Sprintf("replica %s of %s (%s)", first(r.ID, 8), r.Host, r.Folder)
}

// first is the beginning of a text of ASCII.
func first(text string, n int) string { return text[:min(n, len(text))] }

// ReplicaKey is the key of the MACs of Replicas; the caller clears it.
func (r *Root) ReplicaKey() ([]byte, error) { return r.Subkey("replicas") }

// Sign gives the replica its MAC.
func (r *Replica) Sign(key []byte) { r.MAC = r.mac(key) }

// Authentic says whether it has the MAC that it was given.
func (r *Replica) Authentic(key []byte) bool { return hmac.Equal(r.mac(key), r.MAC) }

// mac covers all that is kept, each text with its length before it.
func (r *Replica) mac(key []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(r.Started.UnixMicro()))
	b = binary.BigEndian.AppendUint64(b, uint64(r.Seen.UnixMicro()))
	for _, text := range append([]string{r.ID, r.Host, r.Folder}, r.Protectors...) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return h.Sum(nil)
}
