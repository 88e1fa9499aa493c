"""Methods that no public client does completely, by a client that follows the specification alone: SCRAM with mutual proof, channel
binding, chains of certificates. Right, wrong, bound to another connection, tampered with, replayed, sent twice."""

import hashlib
import os

import pytest
from OpenSSL import SSL

from harness import chains, proofs, raw
from harness.principals import KEY, OTHER_KEY, PASSWORD
from harness.proving import (
    ACCENTED_TYPED,
    DELEGATE,
    DELEGATE_KEY,
    DENIED,
    KNOWN_ROOT,
    MIDDLE,
    ROOT,
    ROUTER_KEY,
    TRANSPORTS,
    connect,  # noqa: F401
    guarded,  # noqa: F401
    refused,
    welcomed,
)


# SCRAM as the specification has it.


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("authid", ["joe", "ann", "tool"])
async def test_scram(connect, transport, authid):
    """Both functions; the router's verifier is checked by the client."""
    welcomed(await proofs.wamp_scram(await connect(transport), authid, PASSWORD), authid, "wamp-scram")
    wrong = refused(await proofs.wamp_scram(await connect(transport), authid, "another"))
    assert refused(await proofs.wamp_scram(await connect(transport), "nobody", PASSWORD)) == wrong


async def test_scram_with_names_and_passwords_that_are_not_ascii_letters(connect):
    welcomed(await proofs.wamp_scram(await connect("rs-json"), "a,b=c", ACCENTED_TYPED), "a,b=c", "wamp-scram")


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
@pytest.mark.parametrize("transport", ["rss-json", "wss-cbor"])
async def test_scram_bound_to_its_connection(connect, transport, version):
    connection = await connect(transport, version=version)
    welcomed(await proofs.wamp_scram(connection, "joe", PASSWORD, channel=connection.writer.channel), "joe", "wamp-scram")
    other = await connect(transport, version=version)
    assert other.writer.channel != connection.writer.channel
    refused(await proofs.wamp_scram(other, "joe", PASSWORD, channel=connection.writer.channel))


@pytest.mark.parametrize("method", ["wamp-scram", "cryptosign"])
async def test_a_binding_that_cannot_be_had_ends_the_attempt(connect, method):
    """Never without it: the client has asked for it."""
    nonce, key = "bm9uY2Vub25jZW5vbmNlbm9uY2U=", KEY.verify_key.encode().hex()
    for transport, binding, text in (
        ("rs-json", "tls-exporter", "TLS"),
        ("ws-json", "tls-exporter", "TLS"),
        ("rss-json", "tls-unique", "tls-exporter"),
        ("wss-json", "tls-server-end-point", "tls-exporter"),
        ("wss-json", 7, "tls-exporter"),
    ):
        authextra = {"nonce": nonce, "pubkey": key, "channel_binding": binding}
        message = refused(await proofs.hello(await connect(transport), method, "joe", authextra))
        assert text in message
        assert refused(await proofs.hello(await connect(transport), method, "nobody", authextra)) == message


def flipped(text):
    octets = bytearray(proofs.base64.b64decode(text))
    octets[7] ^= 1
    return proofs.b64(octets)


TAMPERED = {
    "proof": lambda signature, extra: (flipped(signature), extra),
    "empty": lambda signature, extra: ("", extra),
    "longer": lambda signature, extra: (proofs.b64(proofs.base64.b64decode(signature) + b"\0"), extra),
    "no nonce": lambda signature, extra: (signature, {**extra, "nonce": None}),
    "half a nonce": lambda signature, extra: (signature, {**extra, "nonce": extra["nonce"][:24]}),
    "no extra": lambda signature, extra: (signature, {}),
    "another binding": lambda signature, extra: (signature, {**extra, "channel_binding": "tls-unique"}),
    "binding data": lambda signature, extra: (signature, {**extra, "cbind_data": proofs.b64(bytes(32))}),
    "binding and data": lambda signature, extra: (
        signature,
        {**extra, "channel_binding": "tls-exporter", "cbind_data": proofs.b64(bytes(32))},
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
@pytest.mark.parametrize("authid", ["joe", "ann"])
async def test_scram_that_was_tampered_with(connect, authid, what):
    refused(await proofs.wamp_scram(await connect("rs-json"), authid, PASSWORD, change=TAMPERED[what]))


@pytest.mark.parametrize("what", ["dropped", "named only", "data only"])
async def test_a_binding_cannot_be_taken_back(connect, what):
    """The proof fits what AUTHENTICATE says, but HELLO has asked for a binding."""
    connection = await connect("rss-json")
    left = {"dropped": ("channel_binding", "cbind_data"), "named only": ("cbind_data",), "data only": ("channel_binding",)}[what]

    def change(signature, extra):
        return signature, {**extra, **dict.fromkeys(left)}

    refused(await proofs.wamp_scram(connection, "joe", PASSWORD, channel=connection.writer.channel, change=change))


# Cryptosign.


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_cryptosign_with_a_router_that_proves_itself(connect, transport):
    router = ROUTER_KEY.verify_key.encode().hex()
    welcomed(await proofs.cryptosign(await connect(transport), "joe", KEY, router=router), "joe", "cryptosign")
    # By the key alone.
    welcomed(await proofs.cryptosign(await connect(transport), None, KEY), "joe", "cryptosign")
    wrong = refused(await proofs.cryptosign(await connect(transport), "joe", OTHER_KEY))
    assert refused(await proofs.cryptosign(await connect(transport), "nobody", KEY)) == wrong
    assert refused(await proofs.cryptosign(await connect(transport), None, OTHER_KEY)) == wrong
    with pytest.raises(proofs.Impostor):
        await proofs.cryptosign(await connect(transport), "joe", KEY, router=OTHER_KEY.verify_key.encode().hex())


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
@pytest.mark.parametrize("transport", ["rss-msgpack", "wss-json"])
async def test_cryptosign_bound_to_its_connection(connect, transport, version):
    router = ROUTER_KEY.verify_key.encode().hex()
    connection = await connect(transport, version=version)
    channel = connection.writer.channel
    welcomed(await proofs.cryptosign(connection, "joe", KEY, channel=channel, router=router), "joe", "cryptosign")
    refused(await proofs.cryptosign(await connect(transport, version=version), "joe", KEY, channel=channel))
    # What was signed without the binding.
    connection = await connect(transport, version=version)

    def unbound(signature, extra):
        challenge = proofs.xor(bytes.fromhex(signature)[64:], connection.writer.channel)
        return (KEY.sign(challenge).signature + challenge).hex(), extra

    refused(await proofs.cryptosign(connection, "joe", KEY, channel=connection.writer.channel, change=unbound))


async def test_cryptosign_of_another_message(connect):
    """Its signature is right, but the challenge was another."""
    ours = os.urandom(32)
    for change in (
        lambda signature, extra: ((KEY.sign(ours).signature + ours).hex(), extra),
        lambda signature, extra: (signature[:128] + ours.hex(), extra),
        lambda signature, extra: (KEY.sign(ours).signature.hex() + signature[128:], extra),
        lambda signature, extra: (signature[:128], extra),
    ):
        refused(await proofs.cryptosign(await connect("ws-json"), "joe", KEY, change=change))


def test_typed_data_is_that_of_the_specification():
    """A certificate of its third example: whose signature it is."""
    message = {
        "bootedAt": 1658765756680628959,
        "chainId": 1,
        "csPubKey": "12ae0184b180e9a9c5e45be4a1afbce3c6491320063701cd9c4011a777d04089",
        "delegate": "0xf5173a6111B2A6B3C20fceD53B2A8405EC142bF6",
        "meta": "",
        "validFrom": 15212703,
        "verifyingContract": "0xf766Dc789CF04CD18aE75af2c5fAf2DA6650Ff57",
    }
    digits = "8fe06bb269110c6bc0e011ea2b7da07091c674f7fe67458c1805157157da702b70b56cdf662666dc386820ded0116b6b84151df1ed65210eeecd7e477cdb765b1b"
    digest = chains.typed_hash(chains.certificate("EIP712DelegateCertificate", message))
    octets = bytes.fromhex(digits)
    keys = chains.VerifyingKey.from_public_key_recovery_with_digest(octets[:64], digest, chains.SECP256k1, hashlib.sha256)
    assert chains.address(keys[octets[64] - 27]) == message["delegate"]


def chain(**changes):
    """A chain of three that leads to the root; `changes` of one kind each."""
    key = DELEGATE_KEY.verify_key.encode().hex()
    root = chains.authority(changes.get("root_by", ROOT), ROOT, 1000, 63, changes.get("root"))
    middle = chains.authority(changes.get("middle_by", ROOT), MIDDLE, 1500, 5, changes.get("middle"))
    last = chains.authority(MIDDLE, changes.get("subject", DELEGATE), 1600, 4, changes.get("last"))
    first = chains.delegate(changes.get("delegate_by", DELEGATE), changes.get("key", key), 1700, changes.get("delegate"))
    return [first, last, middle, root]


async def by_chain(connect, transport, certificates, trustroot=ROOT.address, **options):
    authextra = {"certificates": certificates, "trustroot": trustroot}
    return await proofs.cryptosign(await connect(transport), None, DELEGATE_KEY, authextra=authextra, **options)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_certificates_that_lead_to_a_trust_root(connect, transport):
    details = welcomed(await by_chain(connect, transport, chain()), DELEGATE.address, "cryptosign", "device")
    assert details["authprovider"] == "static"
    # The chain that the router knows already; its last subject is the delegate here.
    alone = [chains.delegate(MIDDLE, DELEGATE_KEY.verify_key.encode().hex(), 1700)]
    message = await by_chain(connect, transport, alone, KNOWN_ROOT.address)
    welcomed(message, MIDDLE.address, "cryptosign", "node")


async def test_certificates_and_a_binding(connect):
    connection = await connect("wss-cbor")
    authextra, channel = {"certificates": chain(), "trustroot": ROOT.address}, connection.writer.channel
    message = await proofs.cryptosign(connection, None, DELEGATE_KEY, authextra=authextra, channel=channel)
    welcomed(message, DELEGATE.address, "cryptosign", "device")


BROKEN_CHAINS = {
    "CCR-1, chain": chain(last={"chainId": 5}),
    "CCR-1, contract": chain(delegate={"verifyingContract": chains.REALM}),
    "CCR-1, block": chain(delegate={"validFrom": 2001}),
    "CCR-2": chain(middle={"realm": chains.CONTRACT}),
    "CCR-3, no delegate": chain()[1:],
    "CCR-3, two delegates": chain()[:1] + chain(),
    "CCR-4": chain()[:3],
    "CCR-5": chain(middle={"subject": KNOWN_ROOT.address}),
    "CCR-6": chain(root={"validFrom": 1501}),
    "CCR-7": chain(last={"capabilities": 2}),
    "CCR-8": chain(subject=MIDDLE),
    "CCR-9": chain(delegate={"validFrom": 1599}),
    "CCR-10": chain(root={"issuer": ROOT.address}, root_by=MIDDLE),
    "CCR-11": chain(middle={"issuer": ROOT.address}, middle_by=DELEGATE),
    "CCR-12": chain(delegate={"delegate": DELEGATE.address}, delegate_by=MIDDLE),
    "another key": chain(key=KEY.verify_key.encode().hex()),
    "changed after signing": [[{**chain()[0][0], "message": {**chain()[0][0]["message"], "meta": "x"}}, chain()[0][1]], *chain()[1:]],
    "none": [],
    "nonsense": [[{}, ""]],
}


@pytest.mark.parametrize("what", BROKEN_CHAINS)
async def test_certificates_that_break_a_rule(connect, what):
    message = await by_chain(connect, "rs-json", BROKEN_CHAINS[what])
    assert message[0] == raw.ABORT, message
    if what.startswith("CCR-"):
        assert what.split(",")[0] in message[1]["message"], message


async def test_certificates_and_wrong_proofs(connect):
    # The root is another, or unknown; the key's owner does not sign.
    for trustroot in (KNOWN_ROOT.address, MIDDLE.address, "0x", None):
        message = await by_chain(connect, "rs-json", chain(), trustroot)
        assert message[0] == raw.ABORT, message
    ours = os.urandom(32)
    change = lambda signature, extra: ((OTHER_KEY.sign(ours).signature + ours).hex(), extra)
    refused(await by_chain(connect, "rs-json", chain(), change=change))


# What holds for every challenge.


PROOFS = {
    "ticket": lambda connection, **options: proofs.presented(connection, "ticket", "joe", PASSWORD, **options),
    "wampcra": lambda connection, **options: proofs.wampcra(connection, "joe", PASSWORD, **options),
    "wampcra-salted": lambda connection, **options: proofs.wampcra(connection, "tool", PASSWORD, **options),
    "wamp-scram": lambda connection, **options: proofs.wamp_scram(
        connection, "joe", PASSWORD, nonce="bm9uY2Vub25jZW5vbmNlbm9uY2U=", **options
    ),
    "cryptosign": lambda connection, **options: proofs.cryptosign(connection, "joe", KEY, **options),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("method", [method for method in PROOFS if method != "ticket"])
async def test_an_answer_serves_its_own_challenge(connect, method, transport):
    """What was right once is wrong on another connection."""
    seen = []

    def remember(signature, extra):
        seen.append((signature, extra))
        return signature, extra

    assert (await PROOFS[method](await connect(transport), change=remember))[0] == raw.WELCOME
    refused(await PROOFS[method](await connect(transport), change=lambda signature, extra: seen[0]))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("method", PROOFS)
async def test_a_challenge_is_used_once(connect, method, transport):
    """A second AUTHENTICATE: after the right one it comes to a session that has joined, after a wrong one to nobody."""

    def before(connection, wrong):
        def change(signature, extra):
            message = [raw.AUTHENTICATE, "00" + signature[2:] if wrong else signature, extra]
            connection.writer.write(connection.frame(raw.encode(message, connection.serializer)))
            return signature, extra

        return change

    connection = await connect(transport)
    assert (await PROOFS[method](connection, change=before(connection, False)))[0] == raw.WELCOME
    await connection.expect_abort()
    connection = await connect(transport)
    message = await PROOFS[method](connection, change=before(connection, True))
    assert message[0] == raw.ABORT and message[2] in (DENIED, raw.PROTOCOL_VIOLATION), message
    await connection.expect_end()
