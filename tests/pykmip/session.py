"""The session of a user of PyKMIP's client: create, get, locate, activate, encrypt, decrypt, revoke, destroy.

Arguments: host, port, certificate, key, CA, identifier of a key to make ("" for a database key), protocol version (1.2).
Exits 0 when everything came out as it must.
"""

import sys

from kmip.core import enums, objects
from kmip.core.factories.attributes import AttributeFactory
from kmip.pie.client import ProxyKmipClient
from kmip.pie.exceptions import KmipOperationFailure

HOST, PORT, CERT, KEY, CA, IDENTIFIER, VERSION = sys.argv[1:8]
TOKEN_KEY = IDENTIFIER != ""
PARAMETERS = {
    "block_cipher_mode": enums.BlockCipherMode.CBC,
    "padding_method": enums.PaddingMethod.PKCS5,
    "cryptographic_algorithm": enums.CryptographicAlgorithm.AES,
}
NAME = "pykmip " + (IDENTIFIER or "database") + " " + VERSION


def create(client):
    """Make a key; PyKMIP's own create cannot say the identifier, so the token's goes by the layer below it."""
    if not TOKEN_KEY:
        return client.create(
            enums.CryptographicAlgorithm.AES, 256, name=NAME,
            cryptographic_usage_mask=[enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT],
        )
    factory = AttributeFactory()
    attributes = [
        factory.create_attribute(enums.AttributeType.UNIQUE_IDENTIFIER, IDENTIFIER),
        factory.create_attribute(enums.AttributeType.CRYPTOGRAPHIC_ALGORITHM, enums.CryptographicAlgorithm.AES),
        factory.create_attribute(enums.AttributeType.CRYPTOGRAPHIC_LENGTH, 256),
        factory.create_attribute(
            enums.AttributeType.CRYPTOGRAPHIC_USAGE_MASK,
            [enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT],
        ),
        factory.create_attribute(enums.AttributeType.NAME, NAME),
    ]
    result = client.proxy.create(enums.ObjectType.SYMMETRIC_KEY, objects.TemplateAttribute(attributes=attributes))
    assert result.result_status.value == enums.ResultStatus.SUCCESS, result.result_message
    return result.uuid


def refused(call, *arguments):
    """Perform what must be refused, and give why."""
    try:
        call(*arguments)
    except KmipOperationFailure as failure:
        return failure.reason
    raise AssertionError("%s%r was not refused" % (call.__name__, arguments))


def name_attribute():
    return AttributeFactory().create_attribute(enums.AttributeType.NAME, NAME)


def main():
    version = getattr(enums.KMIPVersion, "KMIP_" + VERSION.replace(".", "_"))
    with ProxyKmipClient(HOST, int(PORT), CERT, KEY, CA, ssl_version="PROTOCOL_TLSv1_2", kmip_version=version) as client:
        uid = create(client)
        assert uid == IDENTIFIER or not TOKEN_KEY, uid
        assert client.locate(attributes=[name_attribute()]) == [uid]
        assert not client.locate(attributes=[AttributeFactory().create_attribute(enums.AttributeType.NAME, "no such name")])

        if TOKEN_KEY:
            refused(client.get, uid)
        else:
            key = client.get(uid)
            assert len(key.value) == 32 and key.cryptographic_algorithm == enums.CryptographicAlgorithm.AES

        if VERSION not in ("1.0", "1.1"):
            refused(client.encrypt, b"too early", uid, PARAMETERS)
        client.activate(uid)
        state = client.get_attributes(uid, ["State"])[1][0].attribute_value.value
        assert state == enums.State.ACTIVE, state
        assert "Cryptographic Algorithm" in client.get_attribute_list(uid)

        if VERSION not in ("1.0", "1.1"):
            secret = b"a secret of some length"
            ciphertext, iv = client.encrypt(secret, uid, PARAMETERS)
            assert secret not in ciphertext and len(iv) == 16
            assert client.decrypt(ciphertext, uid, PARAMETERS, iv) == secret
            given = bytes(range(16))
            ciphertext, made = client.encrypt(secret, uid, PARAMETERS, given)
            assert made is None, "an IV that the client gave is not returned"
            assert client.decrypt(ciphertext, uid, PARAMETERS, given) == secret

        client.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, uid, "done")
        if VERSION not in ("1.0", "1.1"):
            refused(client.encrypt, b"too late", uid, PARAMETERS)
        client.destroy(uid)
        refused(client.get, uid)
        assert not client.locate(attributes=[name_attribute()])
    print("ok", uid)


main()
