package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// registering asks to keep an AES-256 key that comes from outside, not active yet.
func registering() *kmip.RegisterRequest {
	material := make([]byte, 32)
	rand.Read(material)
	a := kmip.Attributes{}.With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskEncrypt|kmip.CryptographicUsageMaskDecrypt)
	return &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: a, Value: kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
		KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: material},
		CryptographicAlgorithm: kmip.CryptographicAlgorithmAES, CryptographicLength: 256,
	}}}}
}

// register is the exchange of Register of a key.
func (k *keys) register(ctx context.Context) (*exchange, error) {
	q := registering()
	return k.prepare(ctx, kmip.OperationRegister, q, 1, func(payload []byte) error {
		r, err := decode[kmip.RegisterResponse](payload)
		if err != nil {
			return err
		}
		got, err := client.Do[kmip.GetResponse](ctx, k.client, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: r.UniqueIdentifier})
		if err != nil {
			return err
		}
		return same(got.SymmetricKey.KeyBlock.KeyValue.Material, q.SymmetricKey.KeyBlock.KeyValue.Material)
	})
}

// passing is the exchange of Register of a key and its Destroy, in one message.
func (k *keys) passing(ctx context.Context) (*exchange, error) {
	register, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagRequestPayload, registering())
	if err != nil {
		return nil, err
	}
	destroy, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagRequestPayload, &kmip.DestroyRequest{})
	if err != nil {
		return nil, err
	}
	request, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagRequestMessage, &kmip.RequestMessage{
		RequestHeader: kmip.RequestHeader{ProtocolVersion: kmip.VersionOf(ttlv.V2_1), BatchCount: 2},
		BatchItem: []kmip.RequestBatchItem{
			{Operation: kmip.OperationRegister, UniqueBatchItemID: []byte{1}, RequestPayload: register},
			{Operation: kmip.OperationDestroy, UniqueBatchItemID: []byte{2}, RequestPayload: destroy},
		},
	})
	if err != nil {
		return nil, err
	}
	answer, err := k.client.RoundTripRaw(ctx, request)
	if err != nil {
		return nil, err
	}
	return newExchange(request, answer, 2)
}

// locate is the exchange of a Locate that must find those objects.
func (k *keys) locate(ctx context.Context, q *kmip.LocateRequest, want ...kmip.UniqueIdentifier) (*exchange, error) {
	return k.prepare(ctx, kmip.OperationLocate, q, 1, func(payload []byte) error {
		r, err := decode[kmip.LocateResponse](payload)
		if err != nil {
			return err
		}
		slices.Sort(r.UniqueIdentifier)
		slices.Sort(want)
		if !slices.Equal(r.UniqueIdentifier, want) {
			return fmt.Errorf("%v was found, must be %v", r.UniqueIdentifier, want)
		}
		return nil
	})
}

func name(text string) kmip.Attribute {
	return kmip.Attribute{Tag: ttlv.TagName, Value: kmip.Name{NameValue: text, NameType: kmip.NameTypeUninterpretedTextString}}
}

// mixed is what a site with many clients asks: of twenty requests seven Gets and seven Encrypts, four Locates by name, a
// Create, and a key that comes and goes. The keys are 64.
func (k *keys) mixed(ctx context.Context) ([]*exchange, error) {
	var mix []*exchange
	for i := range 64 {
		label := fmt.Sprintf("mixed-%02d", i)
		q := newAES("")
		q.Attributes = append(q.Attributes, name(label))
		made, err := client.Do[kmip.CreateResponse](ctx, k.client, kmip.OperationCreate, q)
		if err != nil {
			return nil, err
		}
		uid := made.UniqueIdentifier
		if _, err := client.Do[kmip.GetResponse](ctx, k.client, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid}); err != nil {
			return nil, err
		}
		get, err := k.prepare(ctx, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid}, 1, func([]byte) error { return nil })
		if err != nil {
			return nil, err
		}
		encrypt, err := k.encrypt(ctx, uid, 1)
		if err != nil {
			return nil, err
		}
		locate, err := k.locate(ctx, &kmip.LocateRequest{Attributes: kmip.Attributes{name(label)}}, uid)
		if err != nil {
			return nil, err
		}
		create, err := k.create(ctx)
		if err != nil {
			return nil, err
		}
		passing, err := k.passing(ctx)
		if err != nil {
			return nil, err
		}
		mix = append(mix,
			get, encrypt, get, encrypt, locate, get, encrypt, get, encrypt, locate,
			create, get, encrypt, locate, get, encrypt, passing, get, encrypt, locate,
		)
	}
	return mix, nil
}
