package server

import (
	"crypto/fips140"
	"crypto/rand"
	"fmt"
	"io"
	"os"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// generator describes crypto/rand: in FIPS 140-3 mode a CTR_DRBG with AES-256, else the operating system's. That of a token is
// not known.
func generator(token bool) kmip.RNGParameters {
	if token || !fips140.Enabled() {
		return kmip.RNGParameters{RNGAlgorithm: kmip.RNGAlgorithmUnspecified}
	}
	return kmip.RNGParameters{
		RNGAlgorithm: kmip.RNGAlgorithmDRBG, DRBGAlgorithm: kmip.DRBGAlgorithmCTR,
		CryptographicAlgorithm: kmip.CryptographicAlgorithmAES, CryptographicLength: 256,
	}
}

// generatorOf is the attribute Random Number Generator of a key that the server makes. KMIP 2.1 §4.46.
func generatorOf(a kmip.Attributes) kmip.Attribute {
	uid, _ := kmip.Get[string](a, ttlv.TagUniqueIdentifier)
	_, _, token, _ := kmip.HSMKey(uid)
	return kmip.Attribute{Tag: ttlv.TagRandomNumberGenerator, Value: generator(token)}
}

// mostRandom is how many random bytes one request gets at most.
const mostRandom = 64 << 10

// rngRetrieve answers RNG Retrieve, from where the keys of this client come from, too. KMIP 2.1 §6.1.49.
func (r *Request) rngRetrieve(_ *call, q *kmip.RNGRetrieveRequest) (*kmip.RNGRetrieveResponse, error) {
	if q.DataLength <= 0 || q.DataLength > mostRandom {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the Data Length is %d, must be 1 to %d bytes", q.DataLength, mostRandom)
	}
	random, err := r.server.Random.Reader(r.ctx, r.identity, nil, "RNG Retrieve")
	if err != nil {
		return nil, err
	}
	if random == nil {
		random = rand.Reader
	}
	data := make([]byte, q.DataLength)
	if _, err := io.ReadFull(random, data); err != nil {
		return nil, err
	}
	return &kmip.RNGRetrieveResponse{Data: data}, nil
}

// rngSeed answers RNG Seed (KMIP 2.1 §6.1.50). As much of the data as the configuration lets is mixed into the operating system's
// generator, which serves every client's keys: it hashes what it is given into its state, and counts it for nothing, so that
// nobody's seed makes it worse; so does the token that random bytes are taken from. None of it is used unless the configuration says so, which is no error.
func (r *Request) rngSeed(_ *call, q *kmip.RNGSeedRequest) (*kmip.RNGSeedResponse, error) {
	most := r.server.Seed
	switch {
	case len(q.Data) == 0:
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the request has no data to seed with")
	case most < 0:
		return nil, kmip.Errorf(kmip.ResultReasonPermissionDenied, "clients do not seed the random number generator of this server")
	case most == 0:
		return &kmip.RNGSeedResponse{DataLength: 0}, nil
	}
	data := q.Data[:min(most, len(q.Data))]
	if err := seed(data); err != nil {
		return nil, fmt.Errorf("seeding the operating system's generator: %w", err)
	}
	if r.server.SeedToken != nil {
		if err := r.server.SeedToken(r.ctx, data); err != nil {
			return nil, err
		}
	}
	return &kmip.RNGSeedResponse{DataLength: int32(len(data))}, nil
}

// seed mixes data into the operating system's generator (random(4)).
func seed(data []byte) error {
	f, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(data)
	return err
}
