"""All that PyKMIP's client can do beyond its basic session (session.py), on keys of the database and on keys of a token.

Arguments: host, port, certificate, key, CA, prefix of the identifiers of keys to make ("" for database keys), protocol version.
Exits 0 when everything came out as it must.
"""

import datetime
import hashlib
import hmac
import logging
import os
import sys
import time
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.x509.oid import NameOID
from kmip.core import attributes, enums, objects, primitives
from kmip.core.enums import AttributeType, CryptographicAlgorithm, CryptographicUsageMask, ObjectType, State
from kmip.core.factories.attributes import AttributeFactory
from kmip.core.exceptions import OperationFailure
from kmip.core.messages.contents import ProtocolVersion
from kmip.pie import objects as pie
from kmip.pie.client import ProxyKmipClient
from kmip.pie.exceptions import KmipOperationFailure

HOST, PORT, CERT, KEY, CA, PREFIX, VERSION = sys.argv[1:8]
TOKEN = PREFIX != ""
NUMBER = tuple(int(n) for n in VERSION.split("."))
FACTORY = AttributeFactory()
USE = [CryptographicUsageMask.ENCRYPT, CryptographicUsageMask.DECRYPT]
SIGN, VERIFY = [CryptographicUsageMask.SIGN], [CryptographicUsageMask.VERIFY]
RSA_PKCS1 = {
    "padding_method": enums.PaddingMethod.PKCS1v15,
    "hashing_algorithm": enums.HashingAlgorithm.SHA_256,
    "cryptographic_algorithm": CryptographicAlgorithm.RSA,
}
RSA_PSS = dict(RSA_PKCS1, padding_method=enums.PaddingMethod.PSS)
CBC = {
    "block_cipher_mode": enums.BlockCipherMode.CBC,
    "padding_method": enums.PaddingMethod.PKCS5,
    "cryptographic_algorithm": CryptographicAlgorithm.AES,
}


def fresh(what):
    """A name that nothing has yet."""
    return "%s %s" % (what, uuid.uuid4())


def attribute(kind, value):
    return FACTORY.create_attribute(kind, value)


def succeeded(result):
    """The result of the layer below the pie client, which raises nothing."""
    assert result.result_status.value == enums.ResultStatus.SUCCESS, result.result_message
    return result


def refused(why, call, *arguments, **named):
    """Perform what must be refused, for the reason why unless that is None."""
    try:
        call(*arguments, **named)
    except (KmipOperationFailure, OperationFailure) as failure:
        assert why in (None, failure.reason), (failure.reason, failure)
        return
    raise AssertionError("%s%r was not refused" % (call, arguments))


def description(algorithm, length, masks, name=None):
    """The attributes of a key that is made in the token, where it must have its identifier with the request."""
    described = [
        attribute(AttributeType.CRYPTOGRAPHIC_ALGORITHM, algorithm),
        attribute(AttributeType.CRYPTOGRAPHIC_LENGTH, length),
        attribute(AttributeType.CRYPTOGRAPHIC_USAGE_MASK, masks),
    ]
    if TOKEN:
        described.append(attribute(AttributeType.UNIQUE_IDENTIFIER, PREFIX + fresh("key")))
    if name:
        described.append(attribute(AttributeType.NAME, name))
    return described


def made(client, algorithm, length, masks, name=None, active=True, more=()):
    """A symmetric key."""
    template = objects.TemplateAttribute(attributes=description(algorithm, length, masks, name) + list(more))
    uid = succeeded(client.proxy.create(ObjectType.SYMMETRIC_KEY, template)).uuid
    assert uid.startswith(PREFIX)
    if active:
        client.activate(uid)
    return uid


def pair(client, length=2048, private_masks=SIGN, public_masks=VERIFY):
    """A pair of RSA."""
    common = [
        attribute(AttributeType.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.RSA),
        attribute(AttributeType.CRYPTOGRAPHIC_LENGTH, length),
    ]
    private = [attribute(AttributeType.CRYPTOGRAPHIC_USAGE_MASK, private_masks)]
    if TOKEN:
        private.append(attribute(AttributeType.UNIQUE_IDENTIFIER, PREFIX + fresh("pair")))
    result = succeeded(client.proxy.create_key_pair(
        common_template_attribute=objects.TemplateAttribute(attributes=common, tag=enums.Tags.COMMON_TEMPLATE_ATTRIBUTE),
        private_key_template_attribute=objects.TemplateAttribute(attributes=private, tag=enums.Tags.PRIVATE_KEY_TEMPLATE_ATTRIBUTE),
        public_key_template_attribute=objects.TemplateAttribute(
            attributes=[attribute(AttributeType.CRYPTOGRAPHIC_USAGE_MASK, public_masks)], tag=enums.Tags.PUBLIC_KEY_TEMPLATE_ATTRIBUTE),
    ))
    return result.public_key_uuid, result.private_key_uuid


def end(client, *uids):
    """Destroy keys, whatever state they are in."""
    for uid in uids:
        if client.get_attributes(uid, ["State"])[1][0].attribute_value.value == State.ACTIVE:
            client.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, uid)
        client.destroy(uid)


def certificate():
    """A certificate, in DER, with the private key that signed it."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pykmip")])
    now = datetime.datetime(2026, 1, 1)
    signed = x509.CertificateBuilder(name, name, key.public_key(), 4711, now, now + datetime.timedelta(days=365)).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER), key


def test_register_in_token(client):
    """Keys that were made elsewhere go into the token, do there what they did, and do not come out."""
    _, key = certificate()
    material, message = os.urandom(32), b"0123456789abcdef"
    pkcs8 = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    aes = pie.SymmetricKey(CryptographicAlgorithm.AES, 256, material, USE)
    private = pie.PrivateKey(CryptographicAlgorithm.RSA, 2048, pkcs8, enums.KeyFormatType.PKCS_8, SIGN)
    uids = []
    for thing in (aes, private):
        template = objects.TemplateAttribute(attributes=[
            attribute(AttributeType.UNIQUE_IDENTIFIER, PREFIX + fresh("registered")),
            attribute(AttributeType.CRYPTOGRAPHIC_USAGE_MASK, thing.cryptographic_usage_masks),
        ])
        uid = succeeded(client.proxy.register(thing.object_type, template, client.object_factory.convert(thing))).uuid
        client.activate(uid)
        refused(enums.ResultReason.SENSITIVE if NUMBER >= (1, 4) else None, client.get, uid)
        uids.append(uid)
    if NUMBER >= (1, 2):
        ciphertext, _ = client.encrypt(message, uids[0], dict(CBC, padding_method=None), bytes(16))
        assert ciphertext == Cipher(algorithms.AES(material), modes.CBC(bytes(16))).encryptor().update(message)
        key.public_key().verify(client.sign(message, uids[1], RSA_PKCS1), message, padding.PKCS1v15(), hashes.SHA256())
    end(client, *uids)


def test_register(client):
    """Objects of every type that it has come back as they went."""
    der, key = certificate()
    plain = serialization.NoEncryption()
    pkcs1 = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    pkcs8 = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, plain)
    public1 = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    aes = CryptographicAlgorithm.AES
    for name, thing in {
        "aes": pie.SymmetricKey(aes, 256, os.urandom(32), USE, fresh("aes")),
        "3des": pie.SymmetricKey(CryptographicAlgorithm.TRIPLE_DES, 192, os.urandom(24), USE, fresh("3des")),
        "hmac": pie.SymmetricKey(CryptographicAlgorithm.HMAC_SHA256, 256, os.urandom(32), [CryptographicUsageMask.MAC_GENERATE], fresh("hmac")),
        "pkcs1": pie.PrivateKey(CryptographicAlgorithm.RSA, 2048, pkcs1, enums.KeyFormatType.PKCS_1, SIGN, fresh("pkcs1")),
        "pkcs8": pie.PrivateKey(CryptographicAlgorithm.RSA, 2048, pkcs8, enums.KeyFormatType.PKCS_8, SIGN, fresh("pkcs8")),
        "public1": pie.PublicKey(CryptographicAlgorithm.RSA, 2048, public1, enums.KeyFormatType.PKCS_1, VERIFY, fresh("public1")),
        "x509": pie.PublicKey(CryptographicAlgorithm.RSA, 2048, public, enums.KeyFormatType.X_509, VERIFY, fresh("x509")),
        "certificate": pie.X509Certificate(der, [CryptographicUsageMask.VERIFY], fresh("certificate")),
        "password": pie.SecretData(b"a password", enums.SecretDataType.PASSWORD, [CryptographicUsageMask.DERIVE_KEY], fresh("password")),
        "seed": pie.SecretData(os.urandom(16), enums.SecretDataType.SEED, [CryptographicUsageMask.DERIVE_KEY], fresh("seed")),
        "opaque": pie.OpaqueObject(b"\0anything\xff", enums.OpaqueDataType.NONE, fresh("opaque")),
        "split": pie.SplitKey(
            cryptographic_algorithm=aes, cryptographic_length=128, key_value=os.urandom(16), cryptographic_usage_masks=[CryptographicUsageMask.EXPORT],
            name=fresh("split"), key_format_type=enums.KeyFormatType.RAW, split_key_parts=4, key_part_identifier=1, split_key_threshold=4,
            split_key_method=enums.SplitKeyMethod.XOR, prime_field_size=None,
        ),
    }.items():
        uid = client.register(thing)
        got = client.get(uid)
        assert type(got) is type(thing) and got.value == thing.value, (name, got)
        for field in ("cryptographic_algorithm", "cryptographic_length", "key_format_type", "data_type", "opaque_type", "certificate_type",
                      "split_key_parts", "key_part_identifier", "split_key_threshold", "split_key_method"):
            assert getattr(got, field, None) == getattr(thing, field, None), (name, field)
        assert client.locate(attributes=[attribute(AttributeType.NAME, thing.names[0])]) == [uid], name
        names = client.get_attribute_list(uid)
        assert "Object Type" in names and "Name" in names, (name, names)
        kind = client.get_attributes(uid, ["Object Type"])[1][0].attribute_value.value
        assert kind == thing.object_type, (name, kind)
        client.destroy(uid)
    wrong = pie.SymmetricKey(aes, 256, os.urandom(32), USE, fresh("short"))
    wrong.value = os.urandom(16)
    refused(None, client.register, wrong)


def read_wrapped(read):
    """PyKMIP reads a wrapped Key Value as a structure; the standard has it a Byte String (KMIP 2.1 §3.3)."""

    def key_value(self, stream, kmip_version=enums.KMIPVersion.KMIP_1_0):
        if stream.peek(4)[3] != enums.Types.BYTE_STRING.value:
            return read(self, stream, kmip_version=kmip_version)
        value = primitives.ByteString(tag=enums.Tags.KEY_VALUE)
        value.read(stream, kmip_version=kmip_version)
        self.key_material = objects.KeyMaterial(value.value)

    return key_value


def test_wrapped(client):
    """A key may leave and come wrapped by another."""
    inner = os.urandom(32)
    uid = client.register(pie.SymmetricKey(CryptographicAlgorithm.AES, 256, inner, USE, fresh("inner")))
    masks = [CryptographicUsageMask.WRAP_KEY, CryptographicUsageMask.UNWRAP_KEY]
    parameters = {"block_cipher_mode": enums.BlockCipherMode.NIST_KEY_WRAP, "cryptographic_algorithm": CryptographicAlgorithm.AES}
    if TOKEN:
        material, kek = None, made(client, CryptographicAlgorithm.AES, 256, USE + masks)
    else:
        material = os.urandom(32)
        kek = client.register(pie.SymmetricKey(CryptographicAlgorithm.AES, 256, material, masks, fresh("kek")))
        client.activate(kek)
    specification = {
        "wrapping_method": enums.WrappingMethod.ENCRYPT,
        "encryption_key_information": {"unique_identifier": kek, "cryptographic_parameters": parameters},
        "encoding_option": enums.EncodingOption.NO_ENCODING,
    }
    if NUMBER < (1, 1):  # has no Encoding Option: the encoded Key Value is wrapped
        del specification["encoding_option"]
    got = client.get(uid, specification)
    data = got.key_wrapping_data
    assert got.value != inner and data["wrapping_method"] == enums.WrappingMethod.ENCRYPT, data
    assert data["encryption_key_information"]["unique_identifier"] == kek
    if material and NUMBER >= (1, 1):
        assert keywrap.aes_key_unwrap(material, got.value) == inner

    wrapped = pie.SymmetricKey(CryptographicAlgorithm.AES, 256, got.value, USE, fresh("wrapped"), key_wrapping_data=data)
    arrived = client.register(wrapped)
    again = client.get(arrived)
    assert again.value == got.value and again.key_wrapping_data["encryption_key_information"]["unique_identifier"] == kek
    specification["encryption_key_information"]["unique_identifier"] = "no such key"
    why = enums.ResultReason.WRAPPING_OBJECT_NOT_FOUND if NUMBER >= (2, 0) else enums.ResultReason.ITEM_NOT_FOUND
    refused(why, client.get, uid, specification)
    end(client, uid, arrived, kek)


def test_encrypt(client):
    """With an IV of either side's, in several modes."""
    uid = made(client, CryptographicAlgorithm.AES, 256, USE)
    secret = os.urandom(48)
    for parameters, size in ((CBC, 16), (dict(CBC, block_cipher_mode=enums.BlockCipherMode.CTR, padding_method=None), 16)):
        ciphertext, iv = client.encrypt(secret, uid, parameters)
        assert len(iv) == size and secret not in ciphertext
        assert client.decrypt(ciphertext, uid, parameters, iv) == secret
        given = os.urandom(size)
        ciphertext, iv = client.encrypt(secret, uid, parameters, given)
        assert iv is None and client.decrypt(ciphertext, uid, parameters, given) == secret
    ecb = dict(CBC, block_cipher_mode=enums.BlockCipherMode.ECB, padding_method=None)
    ciphertext, iv = client.encrypt(secret, uid, ecb)
    assert iv is None and len(ciphertext) == 48 and client.decrypt(ciphertext, uid, ecb) == secret
    if not TOKEN:
        material = client.get(uid).value
        assert Cipher(algorithms.AES(material), modes.ECB()).decryptor().update(ciphertext) == secret
    if NUMBER < (1, 4):  # from 1.4 the answer has a tag, which PyKMIP cannot read
        gcm = {"block_cipher_mode": enums.BlockCipherMode.GCM, "cryptographic_algorithm": CryptographicAlgorithm.AES}
        ciphertext, iv = client.encrypt(secret, uid, gcm)
        assert len(iv) == 12 and len(ciphertext) == 48 + 16
        assert client.decrypt(ciphertext, uid, gcm, iv) == secret
        refused(None, client.decrypt, ciphertext[:-1] + bytes([ciphertext[-1] ^ 1]), uid, gcm, iv)
    end(client, uid)
    public, private = pair(client, private_masks=[CryptographicUsageMask.DECRYPT], public_masks=[CryptographicUsageMask.ENCRYPT])
    client.activate(public)
    client.activate(private)
    oaep = {"padding_method": enums.PaddingMethod.OAEP, "hashing_algorithm": enums.HashingAlgorithm.SHA_256, "cryptographic_algorithm": CryptographicAlgorithm.RSA}
    ciphertext, _ = client.encrypt(secret, public, oaep)
    assert client.decrypt(ciphertext, private, oaep) == secret
    end(client, private, *([] if TOKEN else [public]))


def test_sign(client):
    """RSA, as the world verifies it."""
    public, private = pair(client)
    client.activate(private)
    client.activate(public)
    message = b"a message to be signed"
    got = client.get(public)
    key = serialization.load_der_public_key(got.value)
    for parameters, how in ((RSA_PKCS1, padding.PKCS1v15()), (RSA_PSS, padding.PSS(padding.MGF1(hashes.SHA256()), 32))):
        signature = client.sign(message, private, parameters)
        key.verify(signature, message, how, hashes.SHA256())
        assert client.signature_verify(message, signature, public, parameters) == enums.ValidityIndicator.VALID
        assert client.signature_verify(message + b".", signature, public, parameters) == enums.ValidityIndicator.INVALID
    refused(None, client.sign, message, public, RSA_PKCS1)
    if TOKEN:
        refused(None, client.get, private)
    end(client, private, *([] if TOKEN else [public]))


def test_mac(client):
    """HMAC and CMAC, as everybody computes them."""
    masks = [CryptographicUsageMask.MAC_GENERATE, CryptographicUsageMask.MAC_VERIFY]
    data = b"data to be authenticated"
    for algorithm, length, name in ((CryptographicAlgorithm.HMAC_SHA256, 256, "sha256"), (CryptographicAlgorithm.HMAC_SHA512, 512, "sha512")):
        uid = made(client, algorithm, length, masks)
        named, code = client.mac(data, uid, algorithm)
        assert named == uid and len(code) == length // 8
        assert client.mac(data, uid, algorithm)[1] == code != client.mac(data + b".", uid, algorithm)[1]
        if not TOKEN:
            assert code == hmac.new(client.get(uid).value, data, name).digest()
        end(client, uid)
    if not TOKEN:
        uid = made(client, CryptographicAlgorithm.AES, 128, masks)
        _, code = client.mac(data, uid, CryptographicAlgorithm.AES)
        own = CMAC(algorithms.AES(client.get(uid).value))
        own.update(data)
        assert code == own.finalize()
        end(client, uid)


def test_derive(client):
    """Keys and secrets of other keys."""
    masks = [CryptographicUsageMask.DERIVE_KEY, CryptographicUsageMask.ENCRYPT]
    aes = {"cryptographic_algorithm": CryptographicAlgorithm.AES, "cryptographic_length": 128, "cryptographic_usage_mask": USE}

    def derived(uids, method, parameters):
        return client.derive_key(ObjectType.SYMMETRIC_KEY, uids, method, parameters, **aes)

    if TOKEN:  # a key in a token encrypts, and what comes of it is a key of the database
        uid = made(client, CryptographicAlgorithm.AES, 256, masks)
        parameters = {"cryptographic_parameters": CBC, "initialization_vector": bytes(16), "derivation_data": b"0123456789abcdef"}
        first, second = (derived([uid], enums.DerivationMethod.ENCRYPT, parameters) for _ in range(2))
        refused(None, client.get, first)  # no less sensitive than what it comes of
        client.activate(first)
        client.activate(second)
        if NUMBER >= (1, 2):
            ciphertext, iv = client.encrypt(b"some data", first, CBC)
            assert client.decrypt(ciphertext, second, CBC, iv) == b"some data"
        end(client, first, second, uid)
        return
    material = os.urandom(32)
    uid = client.register(pie.SymmetricKey(CryptographicAlgorithm.AES, 256, material, masks, fresh("base")))
    client.activate(uid)
    sha256 = {"hashing_algorithm": enums.HashingAlgorithm.SHA_256}
    for method, parameters, want in (
        (enums.DerivationMethod.HASH, {"cryptographic_parameters": sha256}, hashlib.sha256(material).digest()[:16]),
        (enums.DerivationMethod.HMAC, {"cryptographic_parameters": sha256, "derivation_data": b"context"}, hmac.new(material, b"context", "sha256").digest()[:16]),
        (enums.DerivationMethod.NIST800_108_C, {"cryptographic_parameters": sha256, "derivation_data": b"label\0context"},
         hmac.new(material, b"\0\0\0\1label\0context", "sha256").digest()[:16]),
        (enums.DerivationMethod.ENCRYPT, {"cryptographic_parameters": CBC, "initialization_vector": bytes(16), "derivation_data": b"0123456789abcdef"},
         Cipher(algorithms.AES(material), modes.CBC(bytes(16))).encryptor().update(b"0123456789abcdef")),
    ):
        other = derived([uid], method, parameters)
        got = client.get(other)
        assert len(got.value) == 16 and got.cryptographic_algorithm == CryptographicAlgorithm.AES
        assert want is None or got.value == want, method
        client.destroy(other)
    password = client.register(pie.SecretData(b"a password", enums.SecretDataType.PASSWORD, [CryptographicUsageMask.DERIVE_KEY]))
    client.activate(password)
    other = derived([password], enums.DerivationMethod.PBKDF2, {"cryptographic_parameters": sha256, "salt": b"salt", "iteration_count": 1000})
    assert client.get(other).value == PBKDF2HMAC(hashes.SHA256(), 16, b"salt", 1000).derive(b"a password")
    client.destroy(other)
    secret = client.derive_key(ObjectType.SECRET_DATA, [uid], enums.DerivationMethod.HASH, {"cryptographic_parameters": sha256}, cryptographic_length=256)
    assert client.get(secret).value == hashlib.sha256(material).digest()
    client.destroy(secret)
    refused(None, derived, ["no such key"], enums.DerivationMethod.HASH, {"cryptographic_parameters": sha256})
    end(client, uid, password)


def test_rekey(client):
    """A key takes the place of another, and its name."""
    if TOKEN:  # the new key has the label of the old one with a number behind, or one that the layer below can say
        uid = made(client, CryptographicAlgorithm.AES, 256, USE)
        numbered = client.rekey(uid)
        assert numbered == uid + "-2", numbered
        uid, old = numbered, uid
        end(client, old)
        label = attribute(AttributeType.UNIQUE_IDENTIFIER, PREFIX + fresh("rekeyed"))
        result = client.proxy.rekey(uuid=uid, template_attribute=objects.TemplateAttribute(attributes=[label]))
        assert result["result_status"] == enums.ResultStatus.SUCCESS, result
        assert result["unique_identifier"] == label.attribute_value.value != uid
        refused(None, client.get, result["unique_identifier"])
        end(client, uid, result["unique_identifier"])
        return
    name = fresh("rekeyed")
    uid = made(client, CryptographicAlgorithm.AES, 256, USE, name)
    other = client.rekey(uid, offset=0)
    assert other != uid and client.locate(attributes=[attribute(AttributeType.NAME, name)]) == [other]
    assert client.get(other).value != client.get(uid).value
    later = int(time.time()) + 1000
    third = client.rekey(other, activation_date=later, deactivation_date=later + 1000)
    dates = {a.attribute_name.value: a.attribute_value.value for a in client.get_attributes(third, ["Activation Date", "Deactivation Date", "State"])[1]}
    assert dates["Activation Date"] == later and dates["Deactivation Date"] == later + 1000 and dates["State"] == State.PRE_ACTIVE, dates
    end(client, uid, other, third)
    if NUMBER >= (1, 1) and NUMBER < (2, 0):
        public, private = pair(client)
        result = succeeded(client.proxy.rekey_key_pair(private_key_uuid=attributes.PrivateKeyUniqueIdentifier(private)))
        assert {result.public_key_uuid, result.private_key_uuid}.isdisjoint({public, private})
        end(client, public, private, result.public_key_uuid, result.private_key_uuid)


def test_check(client):
    """What a key may be used for."""
    uid = made(client, CryptographicAlgorithm.AES, 256, USE)
    assert client.check(uid, cryptographic_usage_mask=[CryptographicUsageMask.ENCRYPT]) == uid
    refused(None, client.check, uid, cryptographic_usage_mask=[CryptographicUsageMask.SIGN])
    end(client, uid)


def test_locate(client):
    """Filters, dates, pages."""
    group, started = fresh("group"), int(time.time())
    grouped = attribute(AttributeType.OBJECT_GROUP, group)
    uids = [made(client, CryptographicAlgorithm.AES, 128 if i % 2 else 256, USE, active=i < 2, more=[grouped]) for i in range(5)]

    def found(*filters, **bounds):
        return client.locate(attributes=[grouped] + [attribute(kind, value) for kind, value in filters], **bounds)

    assert sorted(found()) == sorted(uids)
    for filters, want in (
        ([(AttributeType.CRYPTOGRAPHIC_LENGTH, 128)], uids[1::2]),
        ([(AttributeType.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES)], uids),
        ([(AttributeType.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.RSA)], []),
        ([(AttributeType.STATE, State.ACTIVE)], uids[:2]),
        ([(AttributeType.STATE, State.PRE_ACTIVE)], uids[2:]),
        ([(AttributeType.OBJECT_TYPE, ObjectType.SYMMETRIC_KEY)], uids),
        ([(AttributeType.OBJECT_TYPE, ObjectType.SECRET_DATA)], []),
        ([(AttributeType.CRYPTOGRAPHIC_USAGE_MASK, [CryptographicUsageMask.ENCRYPT])], uids),
        ([(AttributeType.CRYPTOGRAPHIC_USAGE_MASK, [CryptographicUsageMask.SIGN])], []),
        ([(AttributeType.UNIQUE_IDENTIFIER, uids[3])], uids[3:4]),
        ([(AttributeType.INITIAL_DATE, started - 10), (AttributeType.INITIAL_DATE, started + 100)], uids),
        ([(AttributeType.INITIAL_DATE, started - 100), (AttributeType.INITIAL_DATE, started - 10)], []),
        ([(AttributeType.ACTIVATION_DATE, started - 10), (AttributeType.ACTIVATION_DATE, started + 100)], uids[:2]),
    ):
        assert sorted(found(*filters)) == sorted(want), (filters, found(*filters), want)
    assert len(found(maximum_items=2)) == 2
    if NUMBER >= (1, 3):
        pages = [found(maximum_items=2, offset_items=offset) for offset in (0, 2, 4, 6)]
        assert [len(page) for page in pages] == [2, 2, 1, 0] and sum(pages, []) == found()
    assert sorted(found(storage_status_mask=1)) == sorted(uids) and found(storage_status_mask=2) == []
    end(client, *uids)
    assert found((AttributeType.STATE, State.ACTIVE)) == []


def readable(client, kind):
    """Whether PyKMIP knows how to read the values of an attribute, as the version has it."""
    if kind == AttributeType.DIGEST and NUMBER == (1, 0):  # it wants the Key Format Type, which is of 1.1
        return False
    try:
        return client.attribute_value_factory.create_attribute_value(kind, None) is not None
    except (NotImplementedError, ValueError):
        return False


def test_attributes(client):
    """Read, set, modified and deleted, in the terms of each version."""
    name, other = fresh("name"), fresh("other")
    uid = made(client, CryptographicAlgorithm.AES, 256, USE, name)
    names = client.get_attribute_list(uid)
    for want in ("Unique Identifier", "Object Type", "Cryptographic Algorithm", "Cryptographic Length", "Cryptographic Usage Mask", "State",
                 "Initial Date", "Activation Date", "Last Change Date", "Name"):
        assert want in names, (want, names)
    assert ("Sensitive" in names) == (NUMBER >= (1, 4)), names
    got = client.get_attributes(uid, ["Cryptographic Length", "State", "Process Start Date"])
    assert got[0] == uid
    values = {a.attribute_name.value: a.attribute_value.value for a in got[1]}
    assert values == {"Cryptographic Length": 256, "State": State.ACTIVE}, values
    assert client.get_attributes(uid, ["Process Start Date"]) == (uid, [])
    if NUMBER == (1, 1) and not TOKEN:  # the one version all of whose attributes it reads: of others it does not know some
        all_of_it = [a.attribute_name.value for a in client.get_attributes(uid)[1]]
        assert set(all_of_it) == set(client.get_attribute_list(uid)), all_of_it
    known = {kind.value for kind in AttributeType if readable(client, kind)} & set(names)
    everything = {a.attribute_name.value for a in client.get_attributes(uid, sorted(known))[1]}
    assert everything == known and len(known) > 10, everything ^ known

    if NUMBER < (2, 0):
        renamed = attribute(AttributeType.NAME, other)
        told, modified = client.modify_attribute(uid, attribute=renamed)
        assert told == uid and modified.attribute_value.name_value.value == other
        assert client.locate(attributes=[attribute(AttributeType.NAME, other)]) == [uid]
        refused(None, client.modify_attribute, uid, attribute=attribute(AttributeType.CRYPTOGRAPHIC_LENGTH, 128))
        told, deleted = client.delete_attribute(uid, attribute_name="Name", attribute_index=0)
        assert told == uid and deleted.attribute_value.name_value.value == other
        refused(None, client.delete_attribute, uid, attribute_name="Name", attribute_index=0)
        refused(None, client.delete_attribute, uid, attribute_name="State")
    else:
        now, then = (attributes.Name.create(text, enums.NameType.UNINTERPRETED_TEXT_STRING) for text in (name, other))
        client.modify_attribute(uid, current_attribute=objects.CurrentAttribute(attribute=now), new_attribute=objects.NewAttribute(attribute=then))
        assert client.locate(attributes=[attribute(AttributeType.NAME, other)]) == [uid]
        client.delete_attribute(uid, current_attribute=objects.CurrentAttribute(attribute=then))
        assert client.locate(attributes=[attribute(AttributeType.NAME, other)]) == []
        stop = int(time.time()) + 1000
        assert client.set_attribute(uid, attribute_name="Protect Stop Date", attribute_value=stop) == uid
        assert client.get_attributes(uid, ["Protect Stop Date"])[1][0].attribute_value.value == stop
        date = primitives.DateTime(stop + 1000, enums.Tags.PROTECT_STOP_DATE)
        client.modify_attribute(uid, new_attribute=objects.NewAttribute(attribute=date))
        assert client.get_attributes(uid, ["Protect Stop Date"])[1][0].attribute_value.value == stop + 1000
        refused(None, client.set_attribute, uid, attribute_name="Cryptographic Length", attribute_value=128)
        group = made(client, CryptographicAlgorithm.AES, 256, USE, active=False)
        client.set_attribute(group, attribute_name="Contact Information", attribute_value="somebody")
        contact = primitives.TextString("somebody", enums.Tags.CONTACT_INFORMATION)
        absent = objects.AttributeReference(vendor_identification="x", attribute_name="no such attribute")
        refused(None, client.delete_attribute, group, attribute_reference=absent)
        client.delete_attribute(group, current_attribute=objects.CurrentAttribute(attribute=contact))
        assert client.get_attributes(group, ["Contact Information"]) == (group, [])
        if not TOKEN:
            client.set_attribute(group, attribute_name="Sensitive", attribute_value=True)
            refused(None, client.get, group)
        end(client, group)
    end(client, uid)


def test_query(client):
    """What the server is and speaks."""
    result = succeeded(client.proxy.query(query_functions=[
        enums.QueryFunction.QUERY_OPERATIONS, enums.QueryFunction.QUERY_OBJECTS, enums.QueryFunction.QUERY_SERVER_INFORMATION,
        enums.QueryFunction.QUERY_APPLICATION_NAMESPACES,
    ]))
    assert enums.Operation.LOCATE in result.operations and ObjectType.SPLIT_KEY in result.object_types, result.operations
    assert result.vendor_identification == "Strongroom", result.vendor_identification
    if NUMBER >= (1, 1):
        versions = succeeded(client.proxy.discover_versions()).protocol_versions
        assert versions[0] == ProtocolVersion(2, 1) and ProtocolVersion(*NUMBER) in versions, versions


def main():
    logging.disable(logging.CRITICAL)
    objects.KeyValue.read = read_wrapped(objects.KeyValue.read)
    version = getattr(enums.KMIPVersion, "KMIP_" + VERSION.replace(".", "_"))
    with ProxyKmipClient(HOST, int(PORT), CERT, KEY, CA, ssl_version="PROTOCOL_TLSv1_2", kmip_version=version) as client:
        tests = [test_register, test_wrapped, test_derive, test_rekey, test_check, test_locate, test_attributes, test_query]
        if NUMBER >= (1, 2):
            tests += [test_encrypt, test_sign, test_mac]
        if TOKEN:
            tests = [test_register_in_token] + tests[1:]
        for test in tests:
            try:
                test(client)
            except BaseException:
                print("in", test.__name__, file=sys.stderr)
                raise
    print("ok")


main()
