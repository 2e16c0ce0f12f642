package kmip

import (
	"context"
	"io"
)

// EntropyAugmentation is the value of the attribute Strongroom-Entropy.
const EntropyAugmentation = "augmentation"

// A Random gives the random bytes of which something is made for owner, an identity, with the attributes a: both may ask for a
// source of their own. It answers nil where crypto/rand will do. The purpose, two or three words, keeps apart what is made for
// several.
type Random func(ctx context.Context, owner string, a Attributes, purpose string) (io.Reader, error)

// Reader is where the bytes come from, nil for crypto/rand, also without a Random.
func (r Random) Reader(ctx context.Context, owner string, a Attributes, purpose string) (io.Reader, error) {
	asked, err := AsksEntropy(a)
	if err != nil {
		return nil, err
	}
	if r != nil {
		if reader, err := r(ctx, owner, a, purpose); reader != nil || err != nil {
			return reader, err
		}
	}
	if asked {
		return nil, Errorf(ResultReasonInvalidField, "%s: this server has no token to take random bytes from: [entropy] mode is \"off\"", AttributeEntropy)
	}
	return nil, nil
}

// An IVs gives the random bytes of IVs, salts and random padding that a key of owner, with the attributes a, makes in use. Reading
// them never fails, and is safe for concurrent use. It answers nil where crypto/rand will do. The purpose is as with Random.
type IVs func(owner string, a Attributes, purpose string) io.Reader

// AsksEntropy says whether the attributes of a request ask for random bytes of a token too.
func AsksEntropy(a Attributes) (bool, error) {
	v, ok := a.Vendor(VendorClient, AttributeEntropy)
	if ok && v != EntropyAugmentation {
		return false, Errorf(ResultReasonInvalidAttributeValue, "%s is the text %q, or is left away", AttributeEntropy, EntropyAugmentation)
	}
	return ok, nil
}
