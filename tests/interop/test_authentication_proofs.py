"""Methods that no public client does completely, by a client that follows the specification alone: SCRAM with mutual proof, channel
binding, chains of certificates, tokens of every algorithm, certificates by every name. Right, wrong, bound to another connection,
tampered with, replayed, sent twice, too late."""

import asyncio
import hashlib
import ipaddress
import json
import os
import re
import time
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from nacl.signing import SigningKey
from OpenSSL import SSL

from harness import chains, proofs, raw
from harness.certificates import make_certificates, make_client
from harness.principals import KEY, OTHER_KEY, PASSWORD, TOKEN_SECRET, records
from harness.router import scratch, start_configured
from harness.tls import Tls

DENIED = "wamp.error.authentication_denied"
# In its other form (decomposed, with a soft hyphen) it is the same password (SASLprep).
ACCENTED, ACCENTED_TYPED = "cr\u00e8me br\u00fbl\u00e9e", "cre\u0300me bru\u0302\u00adle\u0301e"
ROUTER_KEY = SigningKey(hashlib.sha256(b"the router's key").digest())
DELEGATE_KEY = SigningKey(hashlib.sha256(b"the delegate's key").digest())
ROOT, MIDDLE, DELEGATE, KNOWN_ROOT = (chains.Owner(name) for name in ("root", "middle", "delegate", "known root"))
ISSUER = "https://issuer.example.com"

CONFIG = """
[router]
shards = 2
log = {{ level = "trace" }}
[limits]
authentication_failures_max = 0

[[listeners]]
listen = "127.0.0.1:0"
cookie = {{ name = "wampline", max_age = "1h" }}
[[listeners]]
listen = "127.0.0.1:0"
cookie = {{ name = "__Host-wampline", max_age = "1h", same_site = "lax" }}
[listeners.tls]
certificate = "{certificates.certificate}"
key = "{certificates.key}"
client_certificates = "optional"
client_authorities = "{certificates.authority}"
channel_binding = true

[[realms]]
name = "realm1"
[realms.authentication]
ticket = {{}}
wampcra = {{}}
wamp-scram = {{}}
tls = {{}}
[realms.authentication.cryptosign]
sources = ["principals"]
router_key = "{router_key}"
trust_roots = [
  {{ chain_id = 1, contract = "{contract}", realm = "{realm}", issuer = "{root}", role = "device", block = 2000 }},
  {{ chain_id = 1, contract = "{contract}", realm = "{realm}", issuer = "{known_root}", role = "node", certificates = "known.json" }},
]
[realms.authentication.jwt]
issuers = [
  {{ secret = "{token_secret}", issuer = "{issuer}", audiences = ["wampline"], role = "user" }},
  {{ public_key = "rs256.pem", algorithm = "RS256", issuer = "{issuer}", audiences = ["wampline"], role = "user" }},
  {{ jwks = "keys.json", issuer = "{issuer}", audiences = ["wampline"], role = "user" }},
]
[[realms.principals]]
authid = "joe"
role = "user"
ticket = "{password}"
wampcra = {{ secret = "{password}" }}
cryptosign = ["{key}"]
{argon}
[[realms.principals]]
authid = "ann"
role = "user"
{pbkdf2}
[[realms.principals]]
authid = "a,b=c"
role = "user"
{accented}
[[realms.principals]]
authid = "tool"
role = "user"
{tool}
{salted}
{by_certificate}

[[realms]]
name = "brief"
[realms.authentication]
cookie = {{ max_age = "1s" }}
ticket = {{}}
[[realms.principals]]
authid = "joe"
role = "user"
ticket = "{password}"

[[realms]]
name = "tokens"
[realms.authentication]
cookie = {{}}
[realms.authentication.jwt]
issuers = [{{ secret = "{token_secret}", role = "user" }}]
"""

# What principals are known by in their certificates.
NAMES = {
    "dns": x509.DNSName("pump.example.com"),
    "email": x509.RFC822Name("pump@example.com"),
    "uri": x509.UniformResourceIdentifier("urn:example:pump"),
    "ip": x509.IPAddress(ipaddress.ip_address("192.0.2.7")),
}
KINDS = {"sha256", "subject", "common_name", *NAMES}


class Guarded:
    """The router under test, and what its clients need."""

    def __init__(self, directory, certificates):
        self.directory, self.certificates = Path(directory), certificates
        self.identities, tables = {}, []
        for kind in sorted(KINDS):
            name = NAMES.get(kind, x509.DNSName("other.example.com"))
            identity, made = make_client(directory, kind, certificates, f"pump by {kind}", [name])
            self.identities[kind] = identity
            own = {
                "sha256": made.fingerprint(made.signature_hash_algorithm).hex(),
                "subject": made.subject.rfc4514_string(),
                "common_name": f"pump by {kind}",
            }
            known_by = own.get(kind) or str(name.value)
            tables.append(f'[[realms.principals]]\nauthid = "by {kind}"\nrole = "device"\ntls = {{ {kind} = ["{known_by}"] }}')
        self.identities["nobody"], _ = make_client(directory, "nobody", certificates, "nobody", [x509.DNSName("nobody.example.com")])
        self.signers = self.write_keys()
        known = [chains.authority(KNOWN_ROOT, MIDDLE, 1500, 4), chains.authority(KNOWN_ROOT, KNOWN_ROOT, 1000, 63)]
        (self.directory / "known.json").write_text(json.dumps(known))
        tool, salted = records()
        self.tokens = []
        self.config = CONFIG.format(
            certificates=certificates,
            router_key=ROUTER_KEY.encode().hex(),
            contract=chains.CONTRACT,
            realm=chains.REALM,
            root=ROOT.address,
            known_root=KNOWN_ROOT.address,
            token_secret=TOKEN_SECRET,
            issuer=ISSUER,
            password=PASSWORD,
            key=KEY.verify_key.encode().hex(),
            argon=proofs.scram_record(PASSWORD, "argon2id13", 256, 64),
            pbkdf2=proofs.scram_record(PASSWORD, "pbkdf2", 4096),
            accented=proofs.scram_record(ACCENTED, "pbkdf2", 5000),
            tool=tool.splitlines()[0],
            salted=salted,
            by_certificate="\n".join(tables),
        )
        self.router, (self.plain, self.secure) = start_configured(directory, self.config, listeners=2)

    def write_keys(self):
        """Keys of every algorithm: what signs, and where the router reads what checks."""
        private = rsa.generate_private_key(65537, 2048)
        self.rsa_pem = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        (self.directory / "rs256.pem").write_bytes(self.rsa_pem)
        curve, edwards = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
        keys = [
            jwt.algorithms.ECAlgorithm.to_jwk(curve.public_key(), as_dict=True) | {"kid": "curve", "alg": "ES256", "use": "sig"},
            jwt.algorithms.OKPAlgorithm.to_jwk(edwards.public_key(), as_dict=True) | {"kid": "edwards", "alg": "EdDSA", "use": "sig"},
        ]
        (self.directory / "keys.json").write_text(json.dumps({"keys": keys}))
        return {"HS256": (TOKEN_SECRET, None), "RS256": (private, None), "ES256": (curve, "curve"), "EdDSA": (edwards, "edwards")}

    def token(self, algorithm, signer=None, **claims):
        ours = {"iss": ISSUER, "aud": "wampline", "sub": "joe", "exp": int(time.time()) + 60, **claims}
        key, name = self.signers[algorithm]
        headers = {"kid": name} if name else None
        made = jwt.encode({key: value for key, value in ours.items() if value is not None}, signer or key, algorithm, headers)
        self.tokens.append(made)
        return made

    def address(self, is_secure, identity=None, version=None):
        return Tls(self.secure, self.certificates.authority, identity, version) if is_secure else self.plain


@pytest.fixture(scope="module")
def guarded(certificates):
    with scratch() as directory:
        guarded = Guarded(directory, certificates)
        yield guarded
        guarded.router.stop()
        # Whatever was tried: no secret is logged, not even on the last level.
        log = "\n".join(guarded.router.log)
        private = [ROUTER_KEY.encode().hex(), KEY.encode().hex(), *guarded.tokens]
        for secret in (PASSWORD, ACCENTED, TOKEN_SECRET, *private, *re.findall(r'\w+_key = "([^"]+)"', guarded.config)):
            assert secret not in log, secret


TRANSPORTS = ["rs-json", "ws-cbor", "rss-msgpack", "wss-json"]


@pytest.fixture
def connect(guarded, connections):
    """Opens transports, named as `TRANSPORTS` are."""

    async def connect(transport, *, identity=None, version=None, **options):
        framing, serializer = transport.split("-")
        address = guarded.address(framing.endswith("ss"), identity, version)
        connection = await raw.FRAMINGS[framing[:2]].open(address, serializer, **options)
        connections.append(connection)
        return connection

    return connect


def welcomed(message, authid, method, role="user"):
    assert message[0] == raw.WELCOME, message
    details = message[2]
    assert (details["authid"], details["authrole"], details["authmethod"]) == (authid, role, method)
    return details


def refused(message, reason=DENIED):
    assert message[0] == raw.ABORT and message[2] == reason, message
    return message[1].get("message", "")


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


# Tokens.


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
async def test_tokens(connect, guarded, algorithm, transport):
    message = await proofs.presented(await connect(transport), "jwt", None, guarded.token(algorithm))
    welcomed(message, "joe", "jwt")
    # In HELLO it stands in `authextra`.
    message = await proofs.hello(await connect(transport), "jwt", "joe", {"token": guarded.token(algorithm)})
    welcomed(message, "joe", "jwt")
    good = guarded.token(algorithm)
    head, claims, signature = good.split(".")
    others = {"HS256": "another secret, long enough for HS256", "RS256": rsa.generate_private_key(65537, 2048)}
    others |= {"ES256": ec.generate_private_key(ec.SECP256R1()), "EdDSA": ed25519.Ed25519PrivateKey.generate()}
    texts = set()
    for bad in (
        guarded.token(algorithm, others[algorithm]),
        guarded.token(algorithm, exp=int(time.time()) - 1),
        guarded.token(algorithm, exp=None),
        guarded.token(algorithm, nbf=int(time.time()) + 60),
        guarded.token(algorithm, aud="another"),
        guarded.token(algorithm, aud=None),
        guarded.token(algorithm, iss="https://another.example.com"),
        guarded.token(algorithm, sub=None),
        f"{head}.{guarded.token(algorithm, sub='eve').split('.')[1]}.{signature}",
        f"{head}.{claims}.",
        f"{head}.{claims}",
    ):
        texts.add(refused(await proofs.presented(await connect(transport), "jwt", None, bad)))
    # It is somebody else's.
    texts.add(refused(await proofs.presented(await connect(transport), "jwt", "eve", good)))
    assert len(texts) == 1


async def test_a_public_key_is_no_secret(connect, guarded):
    """A token of HS256 whose secret is the public key of another algorithm."""
    claims = {"iss": ISSUER, "aud": "wampline", "sub": "joe", "exp": int(time.time()) + 60}
    part = lambda octets: proofs.base64.urlsafe_b64encode(octets).rstrip(b"=")
    message = b".".join(part(json.dumps(of).encode()) for of in ({"alg": "HS256", "typ": "JWT"}, claims))
    token = message + b"." + part(proofs.hmac.new(guarded.rsa_pem, message, hashlib.sha256).digest())
    refused(await proofs.presented(await connect("rs-json"), "jwt", None, token.decode()))


async def test_a_token_ends(connect, guarded):
    token = guarded.token("ES256", exp=int(time.time()) + 3)
    connection = await connect("ws-json")
    welcomed(await proofs.presented(connection, "jwt", None, token), "joe", "jwt")
    await asyncio.sleep(4)
    refused(await proofs.presented(await connect("ws-json"), "jwt", None, token))
    # Who has joined by it stays.
    await connection.subscribe("com.example.topic")


# Cookies.


async def cookied(connect, transport, cookie, realm, methods, **details):
    head = [f"Cookie: {cookie}"] if cookie else []
    connection = await connect(transport, extra=head)
    hello = {**raw.ALL_ROLES, "authmethods": methods, **details}
    await connection.send([raw.HELLO, realm, hello])
    return connection, await connection.receive()


@pytest.mark.parametrize("transport", ["ws-json", "wss-json"])
async def test_a_cookie_ends(connect, transport):
    connection, message = await cookied(connect, transport, None, "brief", ["cookie", "ticket"], authid="joe")
    cookie, *attributes = (part.strip() for part in connection.headers["set-cookie"].split(";"))
    expected = {"Path=/", "HttpOnly", "Max-Age=3600", "SameSite=Lax" if transport == "wss-json" else "SameSite=Strict"}
    assert set(attributes) == expected | ({"Secure"} if transport == "wss-json" else set())
    assert message[0] == raw.CHALLENGE
    welcomed(await proofs.answered(connection, PASSWORD, {}), "joe", "ticket")
    _, message = await cookied(connect, transport, cookie, "brief", ["cookie"])
    welcomed(message, "joe", "cookie")
    await asyncio.sleep(1.2)
    stale, message = await cookied(connect, transport, cookie, "brief", ["cookie"])
    refused(message)
    # It is good for nothing any more, so the browser is given another.
    assert stale.headers["set-cookie"].split(";")[0] != cookie


async def test_a_cookie_is_good_for_its_realm_and_name(connect):
    connection, _ = await cookied(connect, "ws-json", None, "brief", ["ticket"], authid="joe")
    cookie = connection.headers["set-cookie"].split(";")[0]
    welcomed(await proofs.answered(connection, PASSWORD, {}), "joe", "ticket")
    for realm, authid in (("tokens", "joe"), ("brief", "eve")):
        refused((await cookied(connect, "ws-json", cookie, realm, ["cookie"], authid=authid))[1])


async def test_a_cookie_ends_with_the_token_that_it_comes_from(connect):
    token = jwt.encode({"sub": "joe", "exp": int(time.time()) + 3}, TOKEN_SECRET, "HS256")
    connection, _ = await cookied(connect, "ws-json", None, "tokens", ["cookie", "jwt"])
    cookie = connection.headers["set-cookie"].split(";")[0]
    welcomed(await proofs.answered(connection, token, {}), "joe", "jwt")
    welcomed((await cookied(connect, "ws-json", cookie, "tokens", ["cookie"]))[1], "joe", "cookie")
    await asyncio.sleep(4)
    refused((await cookied(connect, "ws-json", cookie, "tokens", ["cookie"]))[1])


# Client certificates.


@pytest.mark.parametrize("transport", ["rss-json", "wss-msgpack"])
@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_client_certificates(connect, guarded, kind, transport):
    identity = guarded.identities[kind]
    message = await proofs.hello(await connect(transport, identity=identity), "tls", None, {})
    welcomed(message, f"by {kind}", "tls", "device")
    # Its own name it may say, no other.
    message = await proofs.hello(await connect(transport, identity=identity), "tls", f"by {kind}", {})
    welcomed(message, f"by {kind}", "tls", "device")
    refused(await proofs.hello(await connect(transport, identity=identity), "tls", "joe", {}))


@pytest.mark.parametrize("transport", ["rss-json", "wss-msgpack"])
async def test_client_certificates_of_nobody(connect, guarded, certificates, transport):
    refused(await proofs.hello(await connect(transport, identity=guarded.identities["nobody"]), "tls", None, {}))
    refused(await proofs.hello(await connect(transport), "tls", None, {}))
    refused(await proofs.hello(await connect(transport.replace("ss-", "s-")), "tls", None, {}))
    with scratch() as directory:
        strange = make_certificates(directory)
        with pytest.raises((ConnectionError, raw.Closed, asyncio.IncompleteReadError, AssertionError)):
            identity = (strange.client_certificate, strange.client_key)
            await proofs.hello(await connect(transport, identity=identity), "tls", None, {})
