"""Methods whose proof is carried along, by a client that follows the specification alone: tokens of every algorithm, cookies,
certificates by every name. Right, wrong, forged, too late."""

import asyncio
import hashlib
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from harness import proofs, raw
from harness.certificates import make_certificates
from harness.principals import PASSWORD, TOKEN_SECRET
from harness.proving import ISSUER, KINDS, TRANSPORTS, connect, guarded, refused, welcomed  # noqa: F401
from harness.router import scratch


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


async def test_claims_say_who_as_what_and_where(connect):
    claims = {"email": "joe@example.com", "realm": "claims", "access": {"roles": ["other", "user", "admin"]}}

    async def join(**changes):
        # Within the leeway it has ended already.
        made = {**claims, "sub": "4711", "exp": int(time.time()) - 5, **changes}
        token = jwt.encode(made, TOKEN_SECRET, "HS256")
        return await proofs.presented(await connect("rs-json"), "jwt", None, token, realm="claims")

    # Of several roles the first of the configuration.
    welcomed(await join(), "joe@example.com", "jwt", "admin")
    welcomed(await join(access={"roles": "user"}), "joe@example.com", "jwt", "user")
    for changes in (
        {"realm": "realm1"},
        {"realm": ["claims"]},
        {"email": ""},
        {"email": 7},
        {"access": {"roles": ["other"]}},
        {"access": ["user"]},
        {"exp": int(time.time()) - 70},
        {"aud": "wampline"},
    ):
        refused(await join(**changes))


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
