package tests

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// TestStoreVerify: rows that somebody exchanged in the database are named, whether a server runs or not; the others still open.
func TestStoreVerify(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	for i := range 14 {
		create(t, c, aes(fmt.Sprint("key", i)))
	}
	verify := []string{"store", "verify", "--config", s.config()}
	require.Equal(t, "14 objects, and each opens.\n", s.must(s.strongroomd(verify...)))
	s.stop()
	require.Equal(t, "14 objects, and each opens.\n", s.must(s.strongroomd(verify...)))

	db, err := sql.Open("sqlite", s.path("data", "strongroom.db"))
	require.NoError(t, err)
	_, err = db.Exec(`UPDATE objects SET envelope = (SELECT envelope FROM objects WHERE uid = 'key0') WHERE uid IN ('key1', 'key2')`)
	require.NoError(t, err)
	for _, running := range []bool{false, true} {
		if running {
			s.serve()
		}
		said := s.refused(s.strongroomd(verify...))
		require.Contains(t, said, `object "key1"`)
		require.Contains(t, said, `object "key2"`)
		require.NotContains(t, said, `"key0"`)
	}
	works(t, s.client("admin", ttlv.V2_1), "key0")
	s.stop()
	_, err = db.Exec(`UPDATE objects SET envelope = (SELECT envelope FROM objects WHERE uid = 'key0') WHERE uid <> 'key0'`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.Contains(t, s.refused(s.strongroomd(verify...)), "and 3 more")
}
