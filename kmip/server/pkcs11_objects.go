package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"slices"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/cryptoki"
	"strongroom/kmip/ttlv"
)

// located lists what the caller may use in some way of one backend, as Locate does, newest first.
func (r *Request) located(s *kmip.Search, b kmip.Backend) ([]string, error) {
	s.Condition = r.condition()
	found, err := b.Locate(r.ctx, s)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(found.Objects))
	for i, x := range found.Objects {
		list[i] = x.UniqueIdentifier
	}
	return list, nil
}

// cFindObjectsInit begins to find objects: by the attributes that C_GetAttributeValue would tell without looking at material.
func (r *Request) cFindObjectsInit(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	s, template := c.inSession(), c.in.Template()
	if err := c.in.End(); err != nil {
		return 0, err
	}
	switch {
	case s == nil:
		return cryptoki.SessionHandleInvalid, nil
	case s.finding:
		return cryptoki.OperationActive, nil
	}
	found, err := r.find(s.slot, template)
	if err != nil {
		return 0, err
	}
	s.finding, s.found = true, found
	return cryptoki.OK, nil
}

// find lists the objects of a slot that match a template.
func (r *Request) find(slot uint64, template []cryptoki.Attribute) ([]string, error) {
	search := r.newSearch()
	for _, a := range template {
		if a.Type == cryptoki.Class && a.Valued {
			if t, ok := typesOfClass[string(a.Value)]; ok {
				search.Attributes = search.Attributes.With(ttlv.TagObjectType, t)
			}
		}
	}
	backend := r.server.Store
	if slot != databaseSlot {
		backend = r.server.HSM
	}
	uids, err := r.located(search, backend)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, uid := range uids {
		if number, _, token, err := kmip.HSMKey(uid); err != nil || token && uint64(number) != slot {
			continue
		}
		o, err := backend.Object(r.ctx, uid)
		if err != nil {
			continue // it went meanwhile
		}
		if matchesTemplate(o, template) {
			found = append(found, uid)
		}
	}
	return found, nil
}

func matchesTemplate(o *kmip.Object, template []cryptoki.Attribute) bool {
	for _, a := range template {
		value, ok := cryptokiAttribute(o, a.Type)
		if !ok || a.Valued && !bytes.Equal(value, a.Value) {
			return false
		}
	}
	return true
}

// cFindObjects gives handles of what was found.
func (r *Request) cFindObjects(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	s := c.inSession()
	most := c.in.ULong()
	if err := c.in.End(); err != nil {
		return 0, err
	}
	switch {
	case s == nil:
		return cryptoki.SessionHandleInvalid, nil
	case !s.finding:
		return cryptoki.OperationNotInitialized, nil
	}
	n := int(min(most, mostFound, uint64(len(s.found))))
	if len(c.handles)+n > mostHandles {
		return cryptoki.HostMemory, nil
	}
	c.out.Count(n)
	for _, uid := range s.found[:n] {
		c.out.ULong(c.handle(uid))
	}
	s.found = s.found[n:]
	return cryptoki.OK, nil
}

// handle is that of an object, the same for as long as the application lives.
func (a *application) handle(uid string) uint64 {
	if h, ok := a.handles[uid]; ok {
		return h
	}
	a.last++
	a.handles[uid], a.objects[a.last] = a.last, uid
	return a.last
}

func (r *Request) cFindObjectsFinal(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	s := c.inSession()
	if err := c.in.End(); err != nil {
		return 0, err
	}
	switch {
	case s == nil:
		return cryptoki.SessionHandleInvalid, nil
	case !s.finding:
		return cryptoki.OperationNotInitialized, nil
	}
	s.finding, s.found = false, nil
	return cryptoki.OK, nil
}

// cGetAttributeValue tells attributes to who has the right to Get Attributes, and what is made of material to who has the right to
// Get, where the material may leave. Each object is opened through the door.
func (r *Request) cGetAttributeValue(c *pkcs11Call) (kmip.PKCS11ReturnCode, error) {
	s, handle, template := c.inSession(), c.in.ULong(), c.in.Template()
	if err := c.in.End(); err != nil {
		return 0, err
	}
	if s == nil {
		return cryptoki.SessionHandleInvalid, nil
	}
	uid, ok := c.objects[handle]
	if !ok {
		return cryptoki.ObjectHandleInvalid, nil
	}
	o, err := r.openSecond(kmip.UniqueIdentifier(uid), need{states: existing, right: kmip.OperationGetAttributes})
	if err != nil {
		return invisible(err)
	}
	m := material{request: r, object: o}
	defer m.clear()
	code := cryptoki.OK
	c.out.Count(len(template))
	for _, a := range template {
		value, fault := m.attribute(a.Type)
		switch {
		case fault != cryptoki.OK:
			c.out.Absent(a.Type)
			code = fault
		case !c.out.Attribute(a, value):
			code = cryptoki.BufferTooSmall
		}
	}
	return code, m.err
}

// invisible makes an invalid handle of an object that the caller may not open, or not any more.
func invisible(err error) (kmip.PKCS11ReturnCode, error) {
	if kmip.ReasonOf(err) == kmip.ResultReasonGeneralFailure {
		return 0, err
	}
	return cryptoki.ObjectHandleInvalid, nil
}

// classes gives the class of each type of object, and typesOfClass the type of a class, encoded, that has one.
var (
	classes = map[kmip.ObjectType]uint64{
		kmip.ObjectTypeCertificate: cryptoki.ClassCertificate, kmip.ObjectTypeSymmetricKey: cryptoki.ClassSecretKey,
		kmip.ObjectTypePublicKey: cryptoki.ClassPublicKey, kmip.ObjectTypePrivateKey: cryptoki.ClassPrivateKey,
	}
	typesOfClass = inverse(classes)
)

func inverse(m map[kmip.ObjectType]uint64) map[string]kmip.ObjectType {
	all := make(map[string]kmip.ObjectType)
	for t, c := range m {
		all[string(cryptoki.ULongValue(c))] = t
	}
	return all
}

// keyTypes gives the type of key of each algorithm.
var keyTypes = map[kmip.CryptographicAlgorithm]uint64{
	kmip.CryptographicAlgorithmAES: cryptoki.KeyAES, kmip.CryptographicAlgorithmDES3: cryptoki.KeyDES3,
	kmip.CryptographicAlgorithmRSA: cryptoki.KeyRSA, kmip.CryptographicAlgorithmEC: cryptoki.KeyEC,
	kmip.CryptographicAlgorithmECDSA: cryptoki.KeyEC, kmip.CryptographicAlgorithmECDH: cryptoki.KeyEC,
	kmip.CryptographicAlgorithmChaCha20: cryptoki.KeyChaCha20, kmip.CryptographicAlgorithmChaCha20Poly1305: cryptoki.KeyChaCha20,
	kmip.CryptographicAlgorithmEd25519: cryptoki.KeyECEdwards,
}

// usages gives the bit of the Cryptographic Usage Mask for each attribute of a key that says what it may be used for.
var usages = map[uint64]kmip.CryptographicUsageMask{
	cryptoki.Encrypt: kmip.CryptographicUsageMaskEncrypt, cryptoki.Decrypt: kmip.CryptographicUsageMaskDecrypt,
	cryptoki.Wrap: kmip.CryptographicUsageMaskWrapKey, cryptoki.Unwrap: kmip.CryptographicUsageMaskUnwrapKey,
	cryptoki.Sign:   kmip.CryptographicUsageMaskSign | kmip.CryptographicUsageMaskMACGenerate,
	cryptoki.Verify: kmip.CryptographicUsageMaskVerify | kmip.CryptographicUsageMaskMACVerify,
	cryptoki.Derive: kmip.CryptographicUsageMaskDeriveKey | kmip.CryptographicUsageMaskKeyAgreement,
}

// cryptokiAttribute is an attribute that follows from those of KMIP.
func cryptokiAttribute(o *kmip.Object, t uint64) (value []byte, ok bool) {
	class, known := classes[o.ObjectType()]
	_, label, token, _ := kmip.HSMKey(o.UniqueIdentifier)
	if !token {
		label = o.UniqueIdentifier
	}
	switch t {
	case cryptoki.Class:
		return cryptoki.ULongValue(class), true // of what has none CKO_DATA, 0
	case cryptoki.Token, cryptoki.Private:
		return cryptoki.BoolValue(true), true
	case cryptoki.Modifiable, cryptoki.Copyable, cryptoki.Destroyable:
		return cryptoki.BoolValue(false), true
	case cryptoki.Label:
		return []byte(label), true
	case cryptoki.ID:
		return []byte(label), known
	}
	if class == cryptoki.ClassSecretKey || class == cryptoki.ClassPublicKey || class == cryptoki.ClassPrivateKey {
		return cryptokiKeyAttribute(o, class, t)
	}
	if class == cryptoki.ClassCertificate && t == cryptoki.CertificateType {
		return cryptoki.ULongValue(cryptoki.CertificateX509), true
	}
	return nil, false
}

// cryptokiKeyAttribute is cryptokiAttribute for a key.
func cryptokiKeyAttribute(o *kmip.Object, class, t uint64) ([]byte, bool) {
	secret := class != cryptoki.ClassPublicKey
	if mask, ok := usages[t]; ok {
		return cryptoki.BoolValue(o.Attributes.UsageMask()&mask != 0), true
	}
	flag := func(tag ttlv.Tag) ([]byte, bool) {
		v, _ := kmip.Get[bool](o.Attributes, tag)
		return cryptoki.BoolValue(v), secret
	}
	switch t {
	case cryptoki.KeyType:
		if k, ok := keyTypes[o.Attributes.Algorithm()]; ok {
			return cryptoki.ULongValue(k), true
		}
		return cryptoki.ULongValue(cryptoki.KeyGenericSecret), class == cryptoki.ClassSecretKey
	case cryptoki.Sensitive:
		return cryptoki.BoolValue(o.Attributes.Sensitive()), secret
	case cryptoki.Extractable:
		return cryptoki.BoolValue(o.Attributes.Extractable()), secret
	case cryptoki.AlwaysSensitive:
		return flag(ttlv.TagAlwaysSensitive)
	case cryptoki.NeverExtractable:
		return flag(ttlv.TagNeverExtractable)
	case cryptoki.Local:
		return cryptoki.BoolValue(o.Attributes.Contains(ttlv.TagRandomNumberGenerator)), true
	case cryptoki.AlwaysAuthenticate:
		return cryptoki.BoolValue(false), class == cryptoki.ClassPrivateKey
	case cryptoki.StartDate:
		return cryptokiDate(o, ttlv.TagActivationDate), true
	case cryptoki.EndDate:
		return cryptokiDate(o, ttlv.TagDeactivationDate), true
	case cryptoki.ValueLen:
		return cryptoki.ULongValue(uint64(o.Attributes.Length()+7) / 8), class == cryptoki.ClassSecretKey
	case cryptoki.ModulusBits:
		return cryptoki.ULongValue(uint64(o.Attributes.Length())), class == cryptoki.ClassPublicKey && o.Attributes.Algorithm() == kmip.CryptographicAlgorithmRSA
	}
	return nil, false
}

// cryptokiDate is a CK_DATE, empty where there is none.
func cryptokiDate(o *kmip.Object, tag ttlv.Tag) []byte {
	t, ok := kmip.Get[time.Time](o.Attributes, tag)
	if !ok {
		return nil
	}
	return []byte(t.UTC().Format("20060102"))
}

// A material is the value of an object, taken when the first attribute needs it.
type material struct {
	request *Request
	object  *kmip.Object
	asked   bool
	value   *kmip.Value // nil where it may not be told
	public  any         // the public key of one
	err     error       // that is no refusal
}

// attribute is one that was asked for, encoded, or why it is not told.
func (m *material) attribute(t uint64) ([]byte, kmip.PKCS11ReturnCode) {
	if value, ok := cryptokiAttribute(m.object, t); ok {
		return value, cryptoki.OK
	}
	if !slices.Contains(materialAttributes[m.object.ObjectType()], t) {
		return nil, cryptoki.AttributeTypeInvalid
	}
	if m.get(); m.value == nil {
		return nil, cryptoki.AttributeSensitive
	}
	if value := m.part(t); value != nil {
		return value, cryptoki.OK
	}
	return nil, cryptoki.AttributeTypeInvalid
}

// materialAttributes are those that are made of material, by type. Those of a private key are not told.
var materialAttributes = map[kmip.ObjectType][]uint64{
	kmip.ObjectTypeSymmetricKey: {cryptoki.Value},
	kmip.ObjectTypePublicKey:    {cryptoki.Modulus, cryptoki.PublicExponent, cryptoki.ECParams, cryptoki.ECPoint, cryptoki.Value},
	kmip.ObjectTypeCertificate:  {cryptoki.Value, cryptoki.Subject, cryptoki.Issuer, cryptoki.SerialNumber},
	kmip.ObjectTypePrivateKey:   {cryptoki.Value},
	kmip.ObjectTypeSecretData:   {cryptoki.Value},
	kmip.ObjectTypeOpaqueObject: {cryptoki.Value},
}

// get takes the material, if the caller may have it. The right to Get is asked for at the door.
func (m *material) get() {
	if m.asked || m.object.ObjectType() == kmip.ObjectTypePrivateKey {
		return
	}
	m.asked = true
	o, err := m.request.openSecond(kmip.UniqueIdentifier(m.object.UniqueIdentifier), need{states: existing, right: kmip.OperationGet})
	var v *kmip.Value
	if err == nil {
		w := wish{}
		switch o.ObjectType() {
		case kmip.ObjectTypePublicKey:
			w.format = kmip.KeyFormatTypeX509
		case kmip.ObjectTypeSymmetricKey:
			w.format = kmip.KeyFormatTypeRaw
		}
		v, err = m.request.value(o, w)
	}
	switch {
	case err == nil:
		m.value = v
	case kmip.ReasonOf(err) == kmip.ResultReasonGeneralFailure:
		m.err = err
	}
}

func (m *material) clear() {
	if m.value != nil {
		m.value.Clear()
	}
}

// part is an attribute made of material, nil where that has none.
func (m *material) part(t uint64) []byte {
	switch m.object.ObjectType() {
	case kmip.ObjectTypePublicKey:
		return m.ofPublicKey(t)
	case kmip.ObjectTypeCertificate:
		return m.ofCertificate(t)
	case kmip.ObjectTypeOpaqueObject:
		return m.value.OpaqueObject.OpaqueDataValue
	}
	if b := m.value.KeyBlock(); b != nil && b.KeyValue != nil && b.KeyWrappingData == nil {
		return b.KeyValue.Material
	}
	return nil
}

func (m *material) ofPublicKey(t uint64) []byte {
	b := m.value.KeyBlock()
	if b == nil || b.KeyValue == nil {
		return nil
	}
	spki := b.KeyValue.Material
	if m.public == nil {
		var err error
		if m.public, err = x509.ParsePKIXPublicKey(spki); err != nil {
			return nil
		}
	}
	switch key := m.public.(type) {
	case *rsa.PublicKey:
		switch t {
		case cryptoki.Modulus:
			return key.N.Bytes()
		case cryptoki.PublicExponent:
			return big.NewInt(int64(key.E)).Bytes()
		}
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			return nil
		}
		return ofCurve(t, spki, point)
	case ed25519.PublicKey:
		return ofCurve(t, spki, key)
	}
	return nil
}

// ofCurve is CKA_EC_PARAMS, the parameters of the SubjectPublicKeyInfo (or its algorithm, where that is the curve), or CKA_EC_POINT,
// an OCTET STRING.
func ofCurve(t uint64, spki, point []byte) []byte {
	switch t {
	case cryptoki.ECPoint:
		der, err := asn1.Marshal(point)
		if err != nil {
			return nil
		}
		return der
	case cryptoki.ECParams:
		var info struct {
			Algorithm struct {
				Algorithm  asn1.ObjectIdentifier
				Parameters asn1.RawValue `asn1:"optional"`
			}
			PublicKey asn1.BitString
		}
		if _, err := asn1.Unmarshal(spki, &info); err != nil {
			return nil
		}
		if len(info.Algorithm.Parameters.FullBytes) > 0 {
			return info.Algorithm.Parameters.FullBytes
		}
		der, err := asn1.Marshal(info.Algorithm.Algorithm)
		if err != nil {
			return nil
		}
		return der
	}
	return nil
}

func (m *material) ofCertificate(t uint64) []byte {
	der := m.value.Certificate.CertificateValue
	if t == cryptoki.Value {
		return der
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	switch t {
	case cryptoki.Subject:
		return c.RawSubject
	case cryptoki.Issuer:
		return c.RawIssuer
	case cryptoki.SerialNumber:
		number, err := asn1.Marshal(c.SerialNumber)
		if err != nil {
			return nil
		}
		return number
	}
	return nil
}
