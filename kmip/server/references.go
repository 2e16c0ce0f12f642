package server

import (
	"errors"
	"reflect"
	"slices"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// What an item of a batch refers to is looked for in the answers to those before it: nothing is kept for it on the way.

// several is what stands for more objects than an operation takes: it is repeated for each of them. KMIP 2.1 §11.58.
type several struct{ names []string }

func (*several) Error() string { return "an identifier stands for several objects" }

// severalIn are the names in an error that is a several, else none.
func severalIn(err error) []string {
	var s *several
	if errors.As(err, &s) {
		return s.names
	}
	return nil
}

// target is the identifier of the object that an operation is about.
func (r *Request) target(uid kmip.UniqueIdentifier) (string, error) {
	if r.batch.target != "" {
		return r.batch.target, nil
	}
	if uid.Plain() {
		return string(uid), nil
	}
	names, err := r.names(uid)
	if err == nil && len(names) > 1 {
		err = &several{names}
	}
	if err != nil {
		return "", err
	}
	return names[0], nil
}

// repeat performs an item for each of several objects.
func (r *Request) repeat(i int, names []string) bool {
	defer func() { r.batch.target, r.batch.more = "", false }()
	for n, name := range names {
		r.batch.target, r.batch.more = name, n < len(names)-1
		if !r.settle(i, r.attempt(i)) {
			return false
		}
	}
	return true
}

// resolve is the identifier of another object that an operation needs.
func (r *Request) resolve(uid kmip.UniqueIdentifier) (string, error) {
	if uid.Plain() {
		return string(uid), nil
	}
	names, err := r.names(uid)
	if err == nil && len(names) > 1 {
		err = kmip.Errorf(kmip.ResultReasonInvalidField, "an identifier stands for %d objects where one is needed", len(names))
	}
	if err != nil {
		return "", err
	}
	return names[0], nil
}

// spread puts in place of identifiers in a list what they stand for.
func (r *Request) spread(uids []kmip.UniqueIdentifier) ([]kmip.UniqueIdentifier, error) {
	var all []kmip.UniqueIdentifier
	for _, uid := range uids {
		if uid == "" || uid == kmip.IDPlaceholder {
			all = append(all, uid)
			continue
		}
		names, err := r.names(uid)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			all = append(all, kmip.UniqueIdentifier(n))
		}
	}
	return all, nil
}

// names are the identifiers that a request means, one at least: its own, the one in the ID placeholder, or those of the answers
// before it in the batch. KMIP 2.1 §4.58.
func (r *Request) names(uid kmip.UniqueIdentifier) ([]string, error) {
	n, numbered := uid.Number()
	e, enumerated := uid.Enumeration()
	switch {
	case (numbered || enumerated) && r.version < ttlv.V2_0:
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "a Unique Identifier is text in KMIP %v", r.version)
	case numbered:
		return r.numbered(n)
	case enumerated && uid != kmip.IDPlaceholder:
		return r.enumerated(e)
	case uid.Plain():
		return []string{string(uid)}, nil
	case r.placeholder == "":
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the request names no object, and the ID placeholder is empty")
	}
	return []string{r.placeholder}, nil
}

// numbered is the nth Unique Identifier of the response, the first being 0; a negative number counts backwards from the item at
// hand. KMIP 2.1 table 145.
func (r *Request) numbered(n int32) ([]string, error) {
	var all []string
	for _, a := range r.answers() {
		all = append(all, a.names...)
	}
	i := int(n)
	if i < 0 {
		i += len(all)
	}
	if i < 0 || i >= len(all) {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the Unique Identifier is number %d of the response, which has %d before this item", n, len(all))
	}
	return all[i : i+1], nil
}

// meant are the operations that an enumeration means, and which of the identifiers of their answer: -1 for all.
var meant = map[kmip.UniqueIdentifierEnumeration]struct {
	operation kmip.Operation
	which     int
}{
	kmip.UniqueIdentifierEnumerationCertify:                 {kmip.OperationCertify, -1},
	kmip.UniqueIdentifierEnumerationCreate:                  {kmip.OperationCreate, -1},
	kmip.UniqueIdentifierEnumerationCreateKeyPair:           {kmip.OperationCreateKeyPair, -1},
	kmip.UniqueIdentifierEnumerationCreateKeyPairPrivateKey: {kmip.OperationCreateKeyPair, 0},
	kmip.UniqueIdentifierEnumerationCreateKeyPairPublicKey:  {kmip.OperationCreateKeyPair, 1},
	kmip.UniqueIdentifierEnumerationCreateSplitKey:          {kmip.OperationCreateSplitKey, -1},
	kmip.UniqueIdentifierEnumerationDeriveKey:               {kmip.OperationDeriveKey, -1},
	kmip.UniqueIdentifierEnumerationImport:                  {kmip.OperationImport, -1},
	kmip.UniqueIdentifierEnumerationJoinSplitKey:            {kmip.OperationJoinSplitKey, -1},
	kmip.UniqueIdentifierEnumerationLocate:                  {kmip.OperationLocate, -1},
	kmip.UniqueIdentifierEnumerationRegister:                {kmip.OperationRegister, -1},
	kmip.UniqueIdentifierEnumerationReKey:                   {kmip.OperationReKey, -1},
	kmip.UniqueIdentifierEnumerationReCertify:               {kmip.OperationReCertify, -1},
	kmip.UniqueIdentifierEnumerationReKeyKeyPair:            {kmip.OperationReKeyKeyPair, -1},
	kmip.UniqueIdentifierEnumerationReKeyKeyPairPrivateKey:  {kmip.OperationReKeyKeyPair, 0},
	kmip.UniqueIdentifierEnumerationReKeyKeyPairPublicKey:   {kmip.OperationReKeyKeyPair, 1},
}

// enumerated are the identifiers that the most recent operation of a kind answered with. KMIP 2.1 §11.58.
func (r *Request) enumerated(e kmip.UniqueIdentifierEnumeration) ([]string, error) {
	m, ok := meant[e]
	if !ok {
		return nil, kmip.Errorf(kmip.ResultReasonUnknownEnumeration, "%v is no form of Unique Identifier", e)
	}
	for _, a := range slices.Backward(r.answers()) {
		switch {
		case a.operation != m.operation:
		case m.which < 0 && len(a.names) > 0:
			return a.names, nil
		case m.which >= 0 && m.which < len(a.names):
			return a.names[m.which : m.which+1], nil
		default:
			return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the %v before this item gives no identifier", m.operation)
		}
	}
	return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "there is no %v before this item", m.operation)
}

// An answered operation is one that succeeded, as its answer has it.
type answered struct {
	operation kmip.Operation
	names     []string
	data      []byte // borrows the encoder's buffer; nil if it gave none
}

// An output is data that an operation gave and that is not in its answer.
type output struct {
	answer int // the number of its answer
	data   []byte
}

// outputs are the fields of answers that Data may refer to. KMIP 2.1 §7.9, §11.13.
var outputs = map[kmip.Operation]ttlv.Tag{
	kmip.OperationDecrypt:         ttlv.TagData,
	kmip.OperationEncrypt:         ttlv.TagData,
	kmip.OperationHash:            ttlv.TagData,
	kmip.OperationMAC:             ttlv.TagMACData,
	kmip.OperationRNGRetrieve:     ttlv.TagData,
	kmip.OperationSign:            ttlv.TagSignatureData,
	kmip.OperationSignatureVerify: ttlv.TagData,
}

// answers reads the answers so far of the operations that succeeded.
func (r *Request) answers() (list []answered) {
	var d ttlv.Decoder
	rest := r.encoder.Bytes()[r.batch.first:]
	d.Reset(r.version, &ttlv.Limits{Size: len(rest), Items: len(rest)}, true)
	for n := 0; len(rest) > 0; n++ {
		size := sizeOf(rest)
		var item kmip.ResponseBatchItem
		if err := d.Unmarshal(rest[:size], ttlv.TagBatchItem, &item); err != nil {
			panic("reading our own answer: " + err.Error())
		}
		rest = rest[size:]
		if item.ResultStatus == kmip.ResultStatusSuccess {
			list = append(list, r.read(&d, &item, n))
		}
	}
	return list
}

// read takes from the nth answer what may be referred to.
func (r *Request) read(d *ttlv.Decoder, item *kmip.ResponseBatchItem, n int) answered {
	a := answered{operation: item.Operation}
	payload, err := d.Open(item.ResponsePayload)
	if err != nil {
		return a // an answer without a payload
	}
	children, _ := d.Children(payload)
	for it, ok := children.Next(); ok; it, ok = children.Next() {
		switch it.Tag {
		case ttlv.TagUniqueIdentifier, ttlv.TagPrivateKeyUniqueIdentifier, ttlv.TagPublicKeyUniqueIdentifier:
			a.names = append(a.names, string(it.Body))
		case outputs[a.operation]:
			a.data = it.Body
		}
	}
	for _, w := range r.batch.withheld {
		if w.answer == n {
			a.data = w.data
		}
	}
	return a
}

// withhold takes the data out of the answer to an operation that is Ephemeral: it is for the items that follow. KMIP 2.1 §8.3.
func (r *Request) withhold(op kmip.Operation, response any) {
	tag, ok := outputs[op]
	if !ok {
		return
	}
	f := reflect.ValueOf(response).Elem().FieldByName(tag.String())
	r.batch.withheld = append(r.batch.withheld, output{r.batch.answers, f.Bytes()})
	f.SetZero()
}

// forget clears what was withheld.
func (r *Request) forget() {
	for _, w := range r.batch.withheld {
		clear(w.data)
	}
	r.batch.withheld = nil
}

// filled is a request's payload with the data that it refers to in place of the reference, which the caller clears; nil if there
// is no reference in it. KMIP 2.1 §7.9.
func (r *Request) filled(raw ttlv.Raw) (ttlv.Raw, error) {
	var d ttlv.Decoder
	d.Reset(r.version, &r.server.Limits.Message, true)
	payload, err := d.Open(raw)
	if err != nil {
		return nil, nil // which decoding it has told better
	}
	children, err := d.Children(payload)
	if err != nil {
		return nil, nil
	}
	var e ttlv.Encoder
	e.Reset(nil, r.version)
	mark, found := e.Begin(ttlv.TagRequestPayload), false
	for it, ok := children.Next(); ok; it, ok = children.Next() {
		if it.Tag != ttlv.TagData || it.Type != ttlv.TypeEnumeration && it.Type != ttlv.TypeInteger {
			e.Raw(it.Raw)
			continue
		}
		data, err := r.referred(it)
		if err != nil {
			clear(e.Bytes())
			return nil, err
		}
		e.ByteString(ttlv.TagData, data)
		found = true
	}
	if e.End(mark); found && children.Err() == nil {
		return e.Bytes(), nil
	}
	clear(e.Bytes())
	return nil, nil
}

// referred is the data that a reference means: the nth of the response, counted as identifiers are, or that of the most recent
// operation of a kind.
func (r *Request) referred(it ttlv.Item) ([]byte, error) {
	var all []answered
	for _, a := range r.answers() {
		if a.data != nil {
			all = append(all, a)
		}
	}
	if it.Type == ttlv.TypeInteger {
		n, err := it.Int()
		if n < 0 {
			n += int32(len(all))
		}
		if err != nil || n < 0 || int(n) >= len(all) {
			return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the response has %d data before this item: none is number %d", len(all), n)
		}
		return all[n].data, nil
	}
	n, err := it.Enum()
	if err != nil {
		return nil, err
	}
	op, ok := gives[kmip.DataEnumeration(n)]
	if !ok {
		return nil, kmip.Errorf(kmip.ResultReasonUnknownEnumeration, "%v is no form of Data", kmip.DataEnumeration(n))
	}
	for _, a := range slices.Backward(all) {
		if a.operation == op {
			return a.data, nil
		}
	}
	return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "there is no data of %v before this item", op)
}

// gives are the operations that an enumeration of Data means. KMIP 2.1 §11.13.
var gives = map[kmip.DataEnumeration]kmip.Operation{
	kmip.DataEnumerationDecrypt:           kmip.OperationDecrypt,
	kmip.DataEnumerationEncrypt:           kmip.OperationEncrypt,
	kmip.DataEnumerationHash:              kmip.OperationHash,
	kmip.DataEnumerationMACMACData:        kmip.OperationMAC,
	kmip.DataEnumerationRNGRetrieve:       kmip.OperationRNGRetrieve,
	kmip.DataEnumerationSignSignatureData: kmip.OperationSign,
	kmip.DataEnumerationSignatureVerify:   kmip.OperationSignatureVerify,
}
