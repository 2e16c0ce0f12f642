package ttlv

// Open returns the one item in data, within the limits of Reset, for a caller that
// walks it by Children instead of decoding it into a structure.
func (d *Decoder) Open(data []byte) (Item, error) { return d.only(data) }
