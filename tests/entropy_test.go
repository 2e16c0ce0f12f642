package tests

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/hsm/hsmtest"
	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// augmented is a site with entropy augmentation from a token that can misbehave.
func augmented(t *testing.T, settings string) (*site, *hsmtest.Shim) {
	t.Helper()
	s := newSite(t)
	shim := s.throughShim("none")
	s.configure("[seal]\n", "[seal]\nhealth_interval = \"0s\"\n") // a health check takes random bytes, too
	s.write("strongroom.toml", append(s.read("strongroom.toml"), "\n[entropy]\nslot = 4\n"+settings+"\n"...))
	s.serve()
	return s, shim
}

// pairs are the pairs that X40 names.
var augmentedPairs = []kmip.Attributes{
	usable("rsa", kmip.CryptographicAlgorithmRSA, 2048), usable("p256", kmip.CryptographicAlgorithmEC, 256),
	usable("ed25519", kmip.CryptographicAlgorithmEd25519, 256),
}

// TestX40EntropyAugmentation: off, the token is not asked for random bytes; on, it is for everything that is made, for the material and
// for the data key of each row, and objects tell. Using keys asks it now and then, not each time.
func TestX40EntropyAugmentation(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"off", "augmentation"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s, shim := augmented(t, fmt.Sprintf("mode = %q", mode))
			c := s.client("admin", ttlv.V2_1)
			count := func(what string, draws int, act func()) {
				t.Helper()
				if mode == "off" {
					draws = 0
				}
				before := shim.Calls("GenerateRandom")
				act()
				asked := shim.Calls("GenerateRandom") - before
				if strings.HasSuffix(what, "rsa") && mode != "off" {
					require.GreaterOrEqual(t, asked, draws, what) // its primes are found after as many candidates as it takes
					return
				}
				require.Equal(t, draws, asked, what)
			}
			var uids []string
			count("Create", 2, func() { uids = append(uids, create(t, c, aes("aes"))) })
			for _, a := range augmentedPairs {
				uid, _ := kmip.Get[string](a, ttlv.TagUniqueIdentifier)
				count("Create Key Pair "+uid, 3, func() { private, _ := createPair(t, c, a); uids = append(uids, private) })
			}
			count("Re-key", 2, func() {
				r := do[kmip.ReKeyResponse](t, c, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: "aes"})
				uids = append(uids, string(r.UniqueIdentifier))
			})
			count("RNG Retrieve", 1, func() {
				r := do[kmip.RNGRetrieveResponse](t, c, kmip.OperationRNGRetrieve, &kmip.RNGRetrieveRequest{DataLength: 48})
				require.Len(t, r.Data, 48)
				require.NotEqual(t, make([]byte, 48), r.Data)
			})
			count("Create Split Key", 5, func() {
				do[kmip.CreateSplitKeyResponse](t, c, kmip.OperationCreateSplitKey, &kmip.CreateSplitKeyRequest{
					ObjectType: kmip.ObjectTypeSplitKey, SplitKeyParts: 3, SplitKeyThreshold: 2, SplitKeyMethod: kmip.SplitKeyMethodPolynomialSharingGF2_8,
					Attributes: kmip.Attributes{}.With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmAES).With(ttlv.TagCryptographicLength, int32(256)),
				})
			})
			for _, uid := range uids {
				require.Equal(t, mode == "augmentation", tellsEntropy(t, s, uid), uid)
			}

			before := shim.Calls("GenerateRandom")
			ivs := map[string]bool{}
			for range 300 {
				e, err := encrypt(t, c, "aes", []byte("data"))
				require.NoError(t, err)
				ivs[string(e.IVCounterNonce)] = true
			}
			require.Len(t, ivs, 300)
			for range 100 {
				do[kmip.SignResponse](t, c, kmip.OperationSign, &kmip.SignRequest{UniqueIdentifier: "p256", Data: []byte("data")})
			}
			asked := shim.Calls("GenerateRandom") - before
			if mode == "off" {
				require.Zero(t, asked)
			} else {
				require.GreaterOrEqual(t, asked, 2, "IVs, and what signatures are made of")
				require.Less(t, asked, 20, "each use asks the token")
			}
		})
	}
}

// TestX41ForeseenToken: two servers whose token everybody can foresee, and which gives both the same bytes, make nothing alike.
func TestX41ForeseenToken(t *testing.T) {
	t.Parallel()
	made := map[string]string{}
	for i := range 2 {
		s, shim := augmented(t, `mode = "augmentation"`)
		shim.Do("GenerateRandom", hsmtest.Foreseen, 0, 0, -1)
		c := s.client("admin", ttlv.V2_1)
		note := func(what string, bytes []byte) {
			t.Helper()
			require.NotEmpty(t, bytes, what)
			what = fmt.Sprintf("%s of server %d", what, i)
			require.Empty(t, made[string(bytes)], what)
			made[string(bytes)] = what
		}
		for _, uid := range []string{"one", "other"} {
			create(t, c, aes(uid))
			v := do[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
			note(uid, v.SymmetricKey.KeyBlock.KeyValue.Material)
			e, err := encrypt(t, c, uid, []byte("data"))
			require.NoError(t, err)
			note("the IV of "+uid, e.IVCounterNonce)
		}
		for _, a := range augmentedPairs {
			_, public := createPair(t, c, a)
			v := do[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{
				UniqueIdentifier: kmip.UniqueIdentifier(public), KeyFormatType: kmip.KeyFormatTypeX509,
			})
			note(public, v.PublicKey.KeyBlock.KeyValue.Material)
		}
		r := do[kmip.RNGRetrieveResponse](t, c, kmip.OperationRNGRetrieve, &kmip.RNGRetrieveRequest{DataLength: 48})
		note("RNG Retrieve", r.Data)
	}
}

// tellsEntropy says whether an object tells that random bytes of the token went into it.
func tellsEntropy(t *testing.T, s *site, uid string) bool {
	t.Helper()
	r := do[kmip.GetAttributesResponse](t, s.client("admin", ttlv.V2_1), kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
	v, ok := r.Attributes.Vendor(kmip.VendorServer, kmip.AttributeEntropy)
	return ok && v == kmip.EntropyAugmentation
}

// TestX42TokenAway: while the token gives no random bytes, nothing is made, and the answer has the token's own text; what is there
// is used as before, with IVs of the system alone, which seal status tells. The same holds for a token whose random bytes are all one.
func TestX42TokenAway(t *testing.T) {
	t.Parallel()
	s, shim := augmented(t, `mode = "augmentation"`)
	c := s.client("admin", ttlv.V2_1)
	create(t, c, aes("there"))
	entropy := func() string {
		line := regexp.MustCompile(`(?m)^Entropy +(.*)$`).FindStringSubmatch(s.must(s.seal("status")))
		require.NotNil(t, line)
		return line[1]
	}
	require.Equal(t, "augmentation (slot 4), scope all", entropy())
	makes := map[kmip.Operation]any{
		kmip.OperationCreate:        &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes("new")},
		kmip.OperationCreateKeyPair: &kmip.CreateKeyPairRequest{CommonAttributes: usable("newpair", kmip.CryptographicAlgorithmRSA, 2048)},
		kmip.OperationReKey:         &kmip.ReKeyRequest{UniqueIdentifier: "there"},
		kmip.OperationRNGRetrieve:   &kmip.RNGRetrieveRequest{DataLength: 16},
	}
	refused := func(why string) {
		t.Helper()
		for op, q := range makes {
			e := refusal(t, perform(t, c, op, q))
			require.Contains(t, e.Message, why, "%v", op)
		}
		works(t, c, "there")
	}
	shim.Do("GenerateRandom", hsmtest.Refuse, 0xE0, 0, -1)
	refused("0xE0: CKR_TOKEN_NOT_PRESENT")
	require.Regexp(t, `^augmentation \(slot 4\), scope all, [1-9]\d* IVs and salts of the system alone, the token gives none: .*0xE0: CKR_TOKEN_NOT_PRESENT`, entropy())
	shim.Do("GenerateRandom", hsmtest.Constant, 0, 0, -1)
	require.Eventually(t, func() bool { // the slot may not be tried for a moment after it failed
		return strings.Contains(fmt.Sprint(perform(t, c, kmip.OperationRNGRetrieve, makes[kmip.OperationRNGRetrieve])), "repeat")
	}, time.Minute, 100*time.Millisecond)
	refused("the random bytes of the token repeat")
	shim.Heal()
	create(t, c, aes("new"))
	require.Eventually(t, func() bool { // a token that gave nothing is left alone for a second
		works(t, c, "new")
		return !strings.Contains(entropy(), "gives none")
	}, 20*time.Second, 200*time.Millisecond)
	e := refusal(t, perform(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "newpair"}))
	require.Equal(t, kmip.ResultReasonObjectNotFound, e.Reason)
}

// TestX43OptIn: who does not ask gets keys of the system's own random bytes; who asks, or is configured, of both; and it can be
// seen.
func TestX43OptIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bank")
	shim := s.throughShim("none")
	s.configure("[seal]\n", "[seal]\nhealth_interval = \"0s\"\n") // a health check takes random bytes, too
	s.write("strongroom.toml", append(s.read("strongroom.toml"), "\n[entropy]\nmode = \"augmentation\"\nslot = 4\nscope = \"opt-in\"\nusers = [\"bank\"]\n"...))
	s.serve()
	admin, bank := s.client("admin", ttlv.V2_1), s.client("bank", ttlv.V1_4)
	create(t, admin, aes("plain"))
	before := shim.Calls("GenerateRandom")
	create(t, admin, aes("plain too"))
	createPair(t, admin, usable("pair", kmip.CryptographicAlgorithmEC, 256))
	require.Equal(t, before, shim.Calls("GenerateRandom"))
	require.False(t, tellsEntropy(t, s, "plain too"))
	create(t, admin, aes("asked").PlusVendor(kmip.VendorClient, kmip.AttributeEntropy, kmip.EntropyAugmentation))
	require.Greater(t, shim.Calls("GenerateRandom"), before)
	require.True(t, tellsEntropy(t, s, "asked"))
	before = shim.Calls("GenerateRandom")
	create(t, bank, aes("banks"))
	require.Greater(t, shim.Calls("GenerateRandom"), before)
	asks := func(what string, c *client.Client, uid string, asks bool) {
		t.Helper()
		before := shim.Calls("GenerateRandom")
		works(t, c, uid)
		require.Equal(t, asks, shim.Calls("GenerateRandom") > before, what)
	}
	asks("an IV of a key that did not ask", admin, "plain", false)
	asks("the first IV of one that did", admin, "asked", true)
	found := do[kmip.LocateResponse](t, admin, kmip.OperationLocate, &kmip.LocateRequest{
		Attributes: kmip.Attributes{}.PlusVendor(kmip.VendorServer, kmip.AttributeEntropy, kmip.EntropyAugmentation),
	})
	require.Equal(t, []kmip.UniqueIdentifier{"asked"}, found.UniqueIdentifier, "the admin's, as Locate lists them")
	e := refusal(t, perform(t, admin, kmip.OperationCreate, &kmip.CreateRequest{
		ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes("odd").PlusVendor(kmip.VendorClient, kmip.AttributeEntropy, "lots"),
	}))
	require.Equal(t, kmip.ResultReasonInvalidAttributeValue, e.Reason)

	// Where there is no augmentation, asking for it is refused, not ignored.
	other := newSite(t)
	other.serve()
	e = refusal(t, perform(t, other.client("admin", ttlv.V2_1), kmip.OperationCreate, &kmip.CreateRequest{
		ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes("asked").PlusVendor(kmip.VendorClient, kmip.AttributeEntropy, kmip.EntropyAugmentation),
	}))
	require.Contains(t, e.Message, "[entropy]")
}

// TestX44RNGSeed: with augmentation an RNG Seed reaches the token too, as much of it as the configuration lets, and RNG Retrieve is of
// both.
func TestX44RNGSeed(t *testing.T) {
	t.Parallel()
	s, shim := augmented(t, "mode = \"augmentation\"\nseed = 16")
	c := s.client("admin", ttlv.V2_1)
	r := do[kmip.RNGSeedResponse](t, c, kmip.OperationRNGSeed, &kmip.RNGSeedRequest{Data: make([]byte, 32)})
	require.EqualValues(t, 16, r.DataLength)
	require.Equal(t, 1, shim.Calls("SeedRandom"))
	shim.Do("SeedRandom", hsmtest.Refuse, 0x120, 0, 1) // CKR_RANDOM_SEED_NOT_SUPPORTED
	do[kmip.RNGSeedResponse](t, c, kmip.OperationRNGSeed, &kmip.RNGSeedRequest{Data: make([]byte, 32)})
	require.Equal(t, 2, shim.Calls("SeedRandom"))
	seen := map[string]bool{}
	before := shim.Calls("GenerateRandom")
	for range 10 {
		r := do[kmip.RNGRetrieveResponse](t, c, kmip.OperationRNGRetrieve, &kmip.RNGRetrieveRequest{DataLength: 32})
		seen[string(r.Data)] = true
	}
	require.Len(t, seen, 10)
	require.Equal(t, 10, shim.Calls("GenerateRandom")-before, "RNG Retrieve takes of the token each time")
	shim.Do("SeedRandom", hsmtest.Refuse, 0x5, 0, 1) // CKR_GENERAL_ERROR
	e := refusal(t, perform(t, c, kmip.OperationRNGSeed, &kmip.RNGSeedRequest{Data: make([]byte, 32)}))
	require.Equal(t, kmip.ResultReasonGeneralFailure, e.Reason)
}
