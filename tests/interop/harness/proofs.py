"""How a client proves itself, written from the specification alone: for what no public client does completely.

Every method takes a connection of `harness.raw` and returns the router's last message, WELCOME or ABORT. `change` sees what would be
sent in AUTHENTICATE, signature and extra, and returns what is sent.
"""

import base64
import hashlib
import hmac
import os

from argon2 import low_level
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from passlib.utils import saslprep

from . import raw


def b64(octets):
    return base64.b64encode(octets).decode()


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def xor(left, right):
    return bytes(one ^ other for one, other in zip(left, right, strict=True))


def unchanged(signature, extra):
    return signature, extra


async def hello(connection, method, authid, authextra, realm="realm1", **details):
    """Sends HELLO; the answer to it."""
    hello = {**raw.ALL_ROLES, "authmethods": [method], "authextra": authextra, **details}
    await connection.send([raw.HELLO, realm, hello if authid is None else {**hello, "authid": authid}])
    return await connection.receive()


async def challenged(connection, method, authid, authextra, **details):
    """Sends HELLO. What comes then is CHALLENGE for this method, or the end of it."""
    message = await hello(connection, method, authid, authextra, **details)
    assert message[0] == raw.ABORT or message[:2] == [raw.CHALLENGE, method], message
    return message


async def answered(connection, signature, extra):
    await connection.send([raw.AUTHENTICATE, signature, extra])
    return await connection.receive()


class Impostor(Exception):
    """The router does not prove itself."""


# SCRAM


def salted_password(password, kdf, salt, iterations, memory=None):
    """`KDF(Normalize(password), salt, params...)`."""
    normal = saslprep(password).encode()
    if kdf == "pbkdf2":
        return hashlib.pbkdf2_hmac("sha256", normal, salt, iterations, 32)
    assert kdf == "argon2id13", kdf
    return low_level.hash_secret_raw(normal, salt, iterations, memory, 1, 32, low_level.Type.ID, 19)


def scram_record(password, kdf, iterations, memory=None):
    """What a router keeps of a password for `wamp-scram`, as a line of its configuration."""
    salt = os.urandom(16)
    salted = salted_password(password, kdf, salt, iterations, memory)
    stored_key, server_key = hashlib.sha256(mac(salted, "Client Key")).digest(), mac(salted, "Server Key")
    cost = f"iterations = {iterations}" + (f", memory = {memory}" if memory else "")
    keys = f'salt = "{b64(salt)}", stored_key = "{b64(stored_key)}", server_key = "{b64(server_key)}"'
    return f'wamp-scram = {{ kdf = "{kdf}", {cost}, {keys} }}'


async def wamp_scram(connection, authid, password, *, channel=None, binding="tls-exporter", change=unchanged, nonce=None, **details):
    """With `channel` the proof is bound to the connection that it comes from."""
    nonce = nonce or b64(os.urandom(16))
    name = None if channel is None else binding
    message = await challenged(connection, "wamp-scram", authid, {"nonce": nonce, "channel_binding": name}, **details)
    if message[0] == raw.ABORT:
        return message
    said = message[2]
    assert said["nonce"].startswith(nonce) and len(base64.b64decode(said["nonce"].removeprefix(nonce), validate=True)) >= 16
    salted = salted_password(password, said["kdf"], base64.b64decode(said["salt"]), said["iterations"], said.get("memory"))
    extra = {"nonce": said["nonce"], "channel_binding": name, "cbind_data": None if channel is None else b64(channel)}
    text = scram_message(authid, nonce, said, extra)
    client_key = mac(salted, "Client Key")
    proof = xor(client_key, mac(hashlib.sha256(client_key).digest(), text))
    message = await answered(connection, *change(b64(proof), extra))
    if message[0] == raw.WELCOME:
        verifier = "v=" + b64(mac(mac(salted, "Server Key"), text))
        if message[2]["authextra"]["verifier"] != verifier:
            raise Impostor(message)
    return message


def scram_message(authid, nonce, said, extra):
    """`AuthMessage`."""
    name, data = extra["channel_binding"], extra["cbind_data"]
    escaped = authid.replace("=", "=3D").replace(",", "=2C")
    flag = "n" if name is None else f"p={name}"
    channel = f"{flag},,".encode() + (b"" if data is None else base64.b64decode(data))
    first, server = f"n={escaped},r={nonce}", f"r={said['nonce']},s={said['salt']},i={said['iterations']}"
    return f"{first},{server},c={b64(channel)},r={extra['nonce']}"


# Cryptosign


async def cryptosign(connection, authid, key, *, channel=None, change=unchanged, router=None, authextra=None, **details):
    """`router`: the public key by which the router has to prove itself, in hexadecimal digits."""
    ours = os.urandom(32)
    sent = {"pubkey": key.verify_key.encode().hex(), **(authextra or {})}
    if channel is not None:
        sent["channel_binding"] = "tls-exporter"
    if router is not None:
        sent["challenge"] = ours.hex()
    message = await challenged(connection, "cryptosign", authid, sent, **details)
    if message[0] == raw.ABORT:
        return message
    said = message[2]
    assert said.get("channel_binding") == sent.get("channel_binding")
    if router is not None:
        check_router(said, router, bound(ours, channel))
    signed = bound(bytes.fromhex(said["challenge"]), channel)
    signature = key.sign(signed).signature + signed
    return await answered(connection, *change(signature.hex(), {}))


def bound(challenge, channel):
    return challenge if channel is None else xor(challenge, channel)


def check_router(said, router, expected):
    octets = bytes.fromhex(said["signature"])
    try:
        signed = VerifyKey(bytes.fromhex(router)).verify(octets[64:], octets[:64])
    except BadSignatureError:
        raise Impostor(said) from None
    if said["pubkey"] != router or signed != expected:
        raise Impostor(said)


# WAMP-CRA, tickets and tokens


async def wampcra(connection, authid, secret, *, change=unchanged, **details):
    message = await challenged(connection, "wampcra", authid, {}, **details)
    if message[0] == raw.ABORT:
        return message
    said, key = message[2], secret.encode()
    if "salt" in said:
        key = base64.b64encode(hashlib.pbkdf2_hmac("sha256", key, said["salt"].encode(), said["iterations"], said["keylen"]))
    return await answered(connection, *change(b64(mac(key, said["challenge"])), {}))


async def presented(connection, method, authid, secret, *, change=unchanged, **details):
    """Methods `ticket` and `jwt`: what is asked for is sent as it is."""
    message = await challenged(connection, method, authid, {}, **details)
    return message if message[0] == raw.ABORT else await answered(connection, *change(secret, {}))
