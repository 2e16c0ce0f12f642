package server

import (
	"context"

	"strongroom/kmip"
)

// computes is an operation that a Key performs by itself: Encrypt, Decrypt, Sign, Signature Verify, MAC.
func computes[Q, R any](op kmip.Operation, n need, compute func(kmip.Key, context.Context, *Q) (*R, error)) operation {
	return inPart(quick(object(op, n, func(r *Request, o *kmip.Object, q *Q) (*R, error) {
		if o.Key == nil {
			return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "object %q is no key", o.UniqueIdentifier)
		}
		units, err := uses(o, q)
		if err != nil {
			return nil, denied(err)
		}
		response, err := inParts(r, op, o.UniqueIdentifier, blockSize(o.Attributes), q, func(q *Q) (*R, error) { return compute(o.Key, r.ctx, q) })
		if err != nil {
			return nil, err
		}
		if err := r.spend(o, r.need, units); err != nil {
			return nil, denied(err)
		}
		any(response).(kmip.Named).SetUniqueIdentifier(kmip.UniqueIdentifier(o.UniqueIdentifier))
		return response, nil
	})))
}

// denied makes Permission Denied of exhausted Usage Limits: table 216 of KMIP 2.1 has both reasons, and test case CS-BC-M-7 of the
// profiles this one.
func denied(err error) error {
	if kmip.ReasonOf(err) == kmip.ResultReasonUsageLimitExceeded {
		return kmip.Errorf(kmip.ResultReasonPermissionDenied, "%w", err)
	}
	return err
}
