"""A router with principals for the client of `proofs`, and the fixtures of the tests that use it."""

import hashlib
import ipaddress
import json
import re
import time
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from nacl.signing import SigningKey

from . import chains, proofs, raw
from .certificates import make_client
from .principals import KEY, PASSWORD, TOKEN_SECRET, records
from .router import scratch, start_configured
from .tls import Tls

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

[[realms]]
name = "claims"
[[realms.authentication.jwt.issuers]]
secret = "{token_secret}"
leeway = "1m"
authid_claim = "email"
realm_claim = "realm"
role_claim = "/access/roles"
roles = ["admin", "user"]
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
