package soft

import "strongroom/kmip"

// Hash computes the hash that the parameters name.
func Hash(r *kmip.HashRequest) (*kmip.HashResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	p := r.CryptographicParameters
	if p.HashingAlgorithm == 0 || p.CryptographicAlgorithm != 0 {
		return nil, badParameters("Hash takes a Hashing Algorithm and no Cryptographic Algorithm")
	}
	if err := only(&p, fieldHashingAlgorithm, "Hash"); err != nil {
		return nil, err
	}
	d, err := digest(p.HashingAlgorithm, 0)
	if err != nil {
		return nil, err
	}
	h := d.New()
	h.Write(r.Data)
	return &kmip.HashResponse{Data: h.Sum(nil)}, nil
}
