package kmip

import "strongroom/kmip/ttlv"

// ProtectionStorageMasks are alternatives, each good enough for a client, the most wanted first. KMIP 2.1 §7.33.
type ProtectionStorageMasks []ProtectionStorageMask

// MarshalTTLV writes a structure of the masks.
func (m *ProtectionStorageMasks) MarshalTTLV(e *ttlv.Encoder, tag ttlv.Tag) error {
	if *m == nil {
		return nil
	}
	mark := e.Begin(tag)
	for _, mask := range *m {
		e.Int(ttlv.TagProtectionStorageMask, int32(mask))
	}
	e.End(mark)
	return nil
}

// UnmarshalTTLV reads the structure, or one mask without it, as some clients send.
func (m *ProtectionStorageMasks) UnmarshalTTLV(d *ttlv.Decoder, it ttlv.Item) error {
	if it.Type == ttlv.TypeInteger {
		n, err := it.Int()
		*m = append(*m, ProtectionStorageMask(n))
		return err
	}
	var masks struct {
		ProtectionStorageMask []ProtectionStorageMask `ttlv:"ProtectionStorageMask"`
	}
	err := d.Value(it, &masks)
	*m = append(*m, masks.ProtectionStorageMask...)
	return err
}
