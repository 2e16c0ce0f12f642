package server

import (
	"context"
	"crypto/subtle"

	"strongroom/kmip"
	"strongroom/store/soft"
)

// macVerify answers MAC Verify. KMIP 2.1 §6.1.33. The code is computed again and compared in constant time, whole: a shorter
// one does not hold.
func macVerify(k kmip.Key, ctx context.Context, q *kmip.MACVerifyRequest) (*kmip.MACVerifyResponse, error) {
	if len(q.MACData) == 0 {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the request has no MAC Data to verify")
	}
	mac, err := k.MAC(ctx, &kmip.MACRequest{
		UniqueIdentifier: q.UniqueIdentifier, CryptographicParameters: q.CryptographicParameters, Data: q.Data,
	})
	if err != nil {
		return nil, err
	}
	defer clear(mac.MACData)
	response := &kmip.MACVerifyResponse{ValidityIndicator: kmip.ValidityIndicatorInvalid}
	if subtle.ConstantTimeCompare(mac.MACData, q.MACData) == 1 {
		response.ValidityIndicator = kmip.ValidityIndicatorValid
	}
	return response, nil
}

// hash answers Hash. KMIP 2.1 §6.1.24.
func (r *Request) hash(_ *call, q *kmip.HashRequest) (*kmip.HashResponse, error) {
	return inParts(r, kmip.OperationHash, "", 0, q, soft.Hash)
}
