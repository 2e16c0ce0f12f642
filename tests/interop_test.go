package tests

import (
	"bytes"
	stdaes "crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// The rules below keep shipped clients working; each was broken by a server once. Others are in the sequences of products.

// everyVersion runs a test at each version.
func everyVersion(t *testing.T, s *site, test func(t *testing.T, v ttlv.Version, k *talk)) {
	for _, v := range kmip.Versions {
		t.Run(v.String(), func(t *testing.T) { test(t, v, s.talk(t, v.String())) })
	}
}

// preActive has the attributes of an AES-256 key that has not been activated.
func preActive(uid string) kmip.Attributes {
	return named(uid).With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmAES).With(ttlv.TagCryptographicLength, int32(256)).
		With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskEncrypt|kmip.CryptographicUsageMaskDecrypt)
}

// TestAnswersKeepToTheVersion: no field of a later version is in a header, whatever the client sent.
func TestAnswersKeepToTheVersion(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	everyVersion(t, s, func(t *testing.T, v ttlv.Version, k *talk) {
		k.header = text("ClientCorrelationValue", "mine")
		var header reply
		k.carry = func(t *testing.T, c *tls.Conn, message []byte) []byte {
			answer := asItStands(t, c, message)
			node, err := ttlv.Parse(answer, nil)
			require.NoError(t, err)
			header = reply{t, node}.child(ttlv.TagResponseHeader)
			return answer
		}
		for _, item := range []string{operation("Query", "0102", enum("QueryFunction", "QueryServerInformation")), operation("Get", "03", id("absent"))} {
			k.try(item)
			require.Empty(t, header.all(ttlv.TagServerHashedPassword))
			if v >= ttlv.V1_4 {
				require.Empty(t, header.all(ttlv.TagClientCorrelationValue)) // it is for requests: 2.1 §9.9
				require.Len(t, header.all(ttlv.TagServerCorrelationValue), 1, "who names a request is told its name here")
			} else {
				header.only(ttlv.TagProtocolVersion, ttlv.TagTimeStamp, ttlv.TagBatchCount)
			}
		}
	})
}

// TestQueryForSmallClients: clients in C have arrays of 64 operations and 32 object types, and texts of 128 bytes; and want the
// vendor before the server's own information.
func TestQueryForSmallClients(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	everyVersion(t, s, func(t *testing.T, v ttlv.Version, k *talk) {
		functions := ""
		for _, f := range []string{"QueryOperations", "QueryObjects", "QueryServerInformation", "QueryApplicationNamespaces"} {
			functions += enum("QueryFunction", f)
		}
		q := k.one(operation("Query", "", functions))
		require.Less(t, len(q.all(ttlv.TagOperation)), 64)
		require.Less(t, len(q.all(ttlv.TagObjectType)), 32)
		require.NotEmpty(t, q.all(ttlv.TagOperation))
		require.NotEmpty(t, q.all(ttlv.TagObjectType))
		for _, op := range q.all(ttlv.TagOperation) {
			require.Less(t, op.node.Value.(uint32), uint32(0x80000000), "strict clients know no extensions")
		}
		var tags []ttlv.Tag
		for _, c := range q.node.Children {
			tags = append(tags, c.Tag)
		}
		vendor, information := slices.Index(tags, ttlv.TagVendorIdentification), slices.Index(tags, ttlv.TagServerInformation)
		require.GreaterOrEqual(t, vendor, 0)
		require.Greater(t, information, vendor)
		require.NotContains(t, longTexts(q.node), true)
	})
}

// longTexts says of each text in a tree whether it is too long for a small client.
func longTexts(n ttlv.Node) (long []bool) {
	if s, ok := n.Value.(string); ok {
		long = append(long, len(s) >= 128)
	}
	for _, c := range n.Children {
		long = append(long, longTexts(c)...)
	}
	return long
}

// TestNames: a name is matched exactly, may be given twice, by one owner and by several, and what has it is listed newest first,
// page by page.
func TestNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bob")
	s.serve()
	bob := s.talk(t, "1.2")
	bob.c = s.dial("bob")
	everyVersion(t, s, func(t *testing.T, v ttlv.Version, k *talk) {
		name := "name " + random(4)
		var made []string
		for i := range 7 {
			q := &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: preActive("").With(ttlv.TagName, kmip.Name{NameValue: name, NameType: kmip.NameTypeUninterpretedTextString})}
			if i == 6 { // one in the token
				q.Attributes = q.Attributes.With(ttlv.TagUniqueIdentifier, "hsm::4::"+name)
			}
			made = append(made, string(do[kmip.CreateResponse](t, s.client("admin", v), kmip.OperationCreate, q).UniqueIdentifier))
		}
		mine := bob.one(operation("Create", "", enum("ObjectType", "SymmetricKey"), template(describedAs("AES", 256, 12), nameIs(name)))).uid()
		require.Equal(t, []string{mine}, bob.one(operation("Locate", "", nameIs(name))).uids())

		filter := nameIs(name)
		if v >= ttlv.V2_0 {
			filter = in("Attributes", in("Name", text("NameValue", name), enum("NameType", "UninterpretedTextString")))
		}
		all := k.one(operation("Locate", "", filter)).uids()
		require.ElementsMatch(t, made, all)
		database := slices.DeleteFunc(slices.Clone(all), func(uid string) bool { return uid == made[6] })
		newest := slices.Clone(made[:6])
		slices.Reverse(newest)
		require.Equal(t, newest, database, "newest first")
		if v >= ttlv.V1_3 {
			var paged []string
			for offset := 0; offset < 9; offset += 3 {
				paged = append(paged, k.one(operation("Locate", "", integerOf("MaximumItems", 3), integerOf("OffsetItems", offset), filter)).uids()...)
			}
			require.Equal(t, all, paged)
		}
		for _, other := range []string{name[:len(name)-1], name + " ", "NAME" + name[4:], "%", name[:5] + "*"} {
			filter := nameIs(other)
			if v >= ttlv.V2_0 {
				filter = in("Attributes", in("Name", text("NameValue", other), enum("NameType", "UninterpretedTextString")))
			}
			require.Empty(t, k.one(operation("Locate", "", filter)).uids(), other)
		}
	})
}

// TestRevokeAndDestroy: which states can be left by which of the two, at every version.
func TestRevokeAndDestroy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	revoke := func(uid, reason string) string {
		return operation("Revoke", "", id(uid), in("RevocationReason", enum("RevocationReasonCode", reason)))
	}
	everyVersion(t, s, func(t *testing.T, v ttlv.Version, k *talk) {
		c := s.client("admin", v)
		for _, place := range []string{"", "hsm::4::"} {
			made := func(active bool) string {
				uid := create(t, c, preActive(place+"k"+random(8)))
				if active {
					k.one(operation("Activate", "", id(uid)))
				}
				return uid
			}
			refused := func(item string) {
				t.Helper()
				r := k.try(item)[0]
				require.EqualValues(t, kmip.ResultStatusOperationFailed, r.value(ttlv.TagResultStatus), "%s", r)
				require.EqualValues(t, kmip.ResultReasonWrongKeyLifecycleState.At(v), r.value(ttlv.TagResultReason), "%s", r)
			}
			k.one(operation("Destroy", "", id(made(false))))
			for _, reason := range []string{"Unspecified", "AffiliationChanged", "Superseded", "CessationOfOperation", "PrivilegeWithdrawn"} {
				idle, active := made(false), made(true)
				refused(revoke(idle, reason))
				k.one(revoke(active, reason))
				refused(revoke(active, reason))
				k.one(revoke(active, "KeyCompromise"))
				for _, uid := range []string{idle, active} {
					k.one(operation("Destroy", "", id(uid)))
				}
			}
			for _, reason := range []string{"KeyCompromise", "CACompromise"} {
				for _, active := range []bool{false, true} {
					uid := made(active)
					k.one(revoke(uid, reason))
					k.one(operation("Destroy", "", id(uid)))
				}
			}
			active := made(true)
			if place == "" {
				refused(operation("Destroy", "", id(active)))
			} else {
				k.one(operation("Destroy", "", id(active))) // as operators of tokens expect
			}
		}
	})
}

// TestEncryptForOldAndNew: with its own IV the client gets none back, without it gets the server's; the tag of GCM is a field of
// its own where the version has it, else it is behind the data.
func TestEncryptForOldAndNew(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	material, plain := random(32), random(40)
	raw, err := hex.DecodeString(material)
	require.NoError(t, err)
	block, err := stdaes.NewCipher(raw)
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	old := s.talk(t, "1.2")
	uid := old.one(operation("Register", "", enum("ObjectType", "SymmetricKey"), template(describedAs("AES", 256, 12)),
		keyOf("SymmetricKey", "Raw", material, "", enum("CryptographicAlgorithm", "AES")+integerOf("CryptographicLength", 256)))).uid()
	old.one(operation("Activate", "", id(uid)))
	inToken := create(t, s.client("admin", ttlv.V2_1), aes("hsm::4::"+random(8)))
	for _, version := range []string{"1.2", "1.3", "1.4", "2.0", "2.1"} {
		k := s.talk(t, version)
		separate := version > "1.3"
		for _, uid := range []string{uid, inToken} {
			for _, mode := range []string{"CBC", "GCM"} {
				parameters, size := enum("BlockCipherMode", mode), 12
				if mode == "CBC" {
					parameters, size = parameters+enum("PaddingMethod", "PKCS5"), 16
				} else {
					parameters += integerOf("TagLength", 16)
				}
				if version < "1.4" { // the field is of 1.4
					parameters = enum("BlockCipherMode", mode)
					if mode == "CBC" {
						parameters += enum("PaddingMethod", "PKCS5")
					}
				}
				parameters = in("CryptographicParameters", parameters)
				for _, given := range []string{"", random(size)} {
					items := []string{id(uid), parameters, bytesOf("Data", plain)}
					want := []ttlv.Tag{uidTag, ttlv.TagData}
					if given != "" {
						items = append(items, bytesOf("IVCounterNonce", given))
					} else {
						want = append(want, ttlv.TagIVCounterNonce)
					}
					if mode == "GCM" && separate {
						want = append(want, ttlv.TagAuthenticatedEncryptionTag)
					}
					what := fmt.Sprintf("%s %s with IV %q, %s", version, uid, given, mode)
					e := k.one(operation("Encrypt", "", items...)).only(want...)
					iv, data, tag := given, e.value(ttlv.TagData).([]byte), ""
					if given == "" {
						iv = hex.EncodeToString(e.value(ttlv.TagIVCounterNonce).([]byte))
					}
					require.Len(t, iv, 2*size, what)
					if mode == "GCM" && separate {
						tag = bytesOf("AuthenticatedEncryptionTag", hex.EncodeToString(e.value(ttlv.TagAuthenticatedEncryptionTag).([]byte)))
					}
					if mode == "GCM" && uid != inToken {
						nonce, err := hex.DecodeString(iv)
						require.NoError(t, err)
						sealed := data
						if separate {
							sealed = append(slices.Clone(data), e.value(ttlv.TagAuthenticatedEncryptionTag).([]byte)...)
						}
						opened, err := gcm.Open(nil, nonce, sealed, nil)
						require.NoError(t, err, what)
						require.Equal(t, plain, hex.EncodeToString(opened))
					}
					d := k.one(operation("Decrypt", "", id(uid), parameters, bytesOf("Data", hex.EncodeToString(data)), bytesOf("IVCounterNonce", iv), tag))
					require.Equal(t, plain, hex.EncodeToString(d.only(uidTag, ttlv.TagData).value(ttlv.TagData).([]byte)), what)
				}
			}
		}
	}
}

// TestSignaturesAreDER: of ECDSA, from keys of the database and of the token.
func TestSignaturesAreDER(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	c := s.client("admin", ttlv.V1_4)
	for _, place := range []string{"", "hsm::4::" + random(8)} {
		private, public := createPair(t, c, usable(place, kmip.CryptographicAlgorithmECDSA, 256))
		data := []byte("data to be signed")
		r := do[kmip.SignResponse](t, c, kmip.OperationSign, &kmip.SignRequest{UniqueIdentifier: kmip.UniqueIdentifier(private), Data: data,
			CryptographicParameters: &kmip.CryptographicParameters{DigitalSignatureAlgorithm: kmip.DigitalSignatureAlgorithmECDSAWithSHA256}})
		got := do[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(public), KeyFormatType: kmip.KeyFormatTypeX509})
		key, err := x509.ParsePKIXPublicKey(got.PublicKey.KeyBlock.KeyValue.Material)
		require.NoError(t, err)
		sum := sha256.Sum256(data)
		require.True(t, ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), sum[:], r.SignatureData))
	}
}

// TestBooleansOfOtherEndianness: a client on x86 that writes the eight bytes of true the wrong way round means true.
func TestBooleansOfOtherEndianness(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	k := s.talk(t, "1.4", `<BatchOrderOption type="Boolean" value="true"/>`)
	k.carry = func(t *testing.T, c *tls.Conn, message []byte) []byte {
		right := binary.BigEndian.AppendUint64([]byte{0x42, 0x00, 0x10, 0x06, 0, 0, 0, 8}, 1)
		i := bytes.Index(message, right)
		require.Positive(t, i)
		binary.LittleEndian.PutUint64(message[i+8:], 1)
		return asItStands(t, c, message)
	}
	k.ask(operation("Query", "01", enum("QueryFunction", "QueryObjects")), operation("Query", "02", enum("QueryFunction", "QueryObjects")))
}
