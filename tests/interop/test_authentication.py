"""Every method of authentication as client libraries do it, with right and wrong credentials, over TCP and TLS."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest
from aiohttp import web

from harness import raw
from harness.peers import JoinError, Login
from harness.principals import OTHER_KEY, PASSWORD, RIGHT, TOKEN_SECRET, WRONG, fresh, principals, token
from harness.router import Endpoints, binary, scratch, start_configured

DENIED = "wamp.error.authentication_denied"

CONFIG = """
[router]
shards = 2
[limits]
authentication_failures_max = 0
authentication_grid = "20ms"

[[listeners]]
listen = "127.0.0.1:0"
cookie = {{ name = "wampline" }}
[[listeners]]
listen = "127.0.0.1:0"
[listeners.tls]
certificate = "{certificate}"
key = "{key}"
client_certificates = "optional"
client_authorities = "{authority}"
channel_binding = true

[[hooks]]
name = "accounts"
url = "http://127.0.0.1:{hook_port}/authenticate"

[[realms]]
name = "realm1"
[realms.authentication]
anonymous = {{ role = "guest", networks = ["::1"] }}
ticket = {{ sources = ["principals", "file:people.toml", "hook:accounts"] }}
wampcra = {{}}
wamp-scram = {{}}
scram = {{}}
cryptosign = {{}}
tls = {{}}
cookie = {{}}
[realms.authentication.jwt]
issuers = [{{ secret = "{token_secret}", issuer = "https://issuer.example.com", audiences = ["wampline"], role_claim = "role", roles = ["user"] }}]
{principals}
[[realms.principals]]
authid = "device7"
role = "user"
tls = {{ sha256 = ["{sha256}"] }}

[[realms]]
name = "realm2"
[realms.authentication]
ticket = {{ sources = ["procedure:com.example.authenticate"] }}
wampcra = {{ sources = ["principals", "procedure:com.example.authenticate"] }}
[[realms.principals]]
authid = "authenticator"
role = "authenticator"
wampcra = {{ secret = "{password}" }}
"""

PEOPLE = """
[[principal]]
authid = "eve"
role = "user"
ticket = "{ticket}"
"""

CLIENTS = {
    "autobahn": ["ws-json", "wss-cbor", "rs-msgpack", "rss-json"],
    "autobahn_js": ["ws-cbor", "wss-json", "rs-json"],
    "wampy": ["ws-msgpack", "wss-json"],
    "xconn": ["ws-json", "rs-cbor", "wss-msgpack"],
}
METHODS = {
    "autobahn": ["ticket", "wampcra", "wampcra-salted", "scram", "cryptosign"],
    "autobahn_js": ["ticket", "wampcra", "wampcra-salted", "cryptosign"],
    "wampy": ["ticket", "wampcra", "wampcra-salted", "cryptosign"],
    "xconn": ["ticket", "wampcra", "wampcra-salted", "cryptosign"],
}
LOGINS = [
    (f"{client}-{transport}", method) for client in CLIENTS for transport in CLIENTS[client] for method in METHODS[client]
]


class Accounts:
    """The program behind the HTTP hook."""

    def __init__(self):
        self.asked = []
        self.runner = None

    async def start(self):
        application = web.Application()
        application.router.add_post("/authenticate", self.authenticate)
        self.runner = web.AppRunner(application)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        return self.runner.addresses[0][1]

    async def authenticate(self, request):
        question = await request.json()
        self.asked.append(question)
        if question["authid"] == "sam" and question["details"]["ticket"] == "of sam":
            return web.json_response({"role": "user", "authid": "samuel", "extra": {"team": "blue"}})
        if question["authid"] == "broken":
            return web.Response(status=500)
        return web.json_response(None)


@pytest.fixture(scope="module")
def accounts(loop):
    accounts = Accounts()
    accounts.port = loop.run_until_complete(accounts.start())
    yield accounts
    loop.run_until_complete(accounts.runner.cleanup())


@pytest.fixture(scope="module")
def guarded(certificates, accounts):
    """A router whose realms want to know who joins."""
    with scratch() as directory:
        (Path(directory) / "people.toml").write_text(PEOPLE.format(ticket="of eve"), encoding="utf-8")
        config = CONFIG.format(
            certificate=certificates.certificate,
            key=certificates.key,
            authority=certificates.authority,
            sha256=certificates.client_sha256,
            hook_port=accounts.port,
            token_secret=TOKEN_SECRET,
            principals=principals(),
            password=PASSWORD,
        )
        router, (plain, secure) = start_configured(directory, config, listeners=2)
        endpoints = Endpoints(plain=plain, secure=secure, authority=certificates.authority)
        endpoints.directory = Path(directory)
        yield endpoints
        router.stop()


@pytest.fixture
def join(loop, guarded, request, node_if_needed):
    """Opens peers of the guarded router that are closed after the test."""
    from conftest import Joiner

    joiner = Joiner(loop, guarded, request)
    yield joiner
    loop.run_until_complete(joiner.close())


async def whoami(peer):
    """What the router thinks of a session."""
    return (await peer.call("wamp.session.get", [peer.session])).args[0]


async def refused(join, client, login, **options):
    """The reason of the ABORT, where the client tells it."""
    with pytest.raises(Exception) as caught:
        await join(client, login=login, **options)
    if isinstance(caught.value, JoinError):
        return caught.value.reason
    # xconn raises an exception with the reason in its text.
    return DENIED if "authentication_denied" in str(caught.value) else str(caught.value)


@pytest.mark.parametrize(("client", "method"), LOGINS)
async def test_right_credentials(join, client, method):
    login = RIGHT[method]
    peer = await join(client, login=login)
    found = await whoami(peer)
    assert (found["authid"], found["authrole"], found["authmethod"]) == (login.authid, "user", login.method)


@pytest.mark.parametrize(("client", "method"), LOGINS)
async def test_wrong_credentials(join, client, method):
    assert await refused(join, client, WRONG[method]) == DENIED
    login = RIGHT[method]
    assert await refused(join, client, Login(login.method, "nobody", login.secret)) == DENIED


async def aborted(connection, hello, answer=None):
    """HELLO, AUTHENTICATE if there is a CHALLENGE, and the ABORT in the end."""
    await connection.send([raw.HELLO, "realm1", {**raw.ALL_ROLES, **hello}])
    message = await connection.receive()
    challenge = message if message[0] == raw.CHALLENGE else None
    if challenge and answer:
        await connection.send([raw.AUTHENTICATE, answer, {}])
        message = await connection.receive()
    assert message[0] == raw.ABORT, f"ABORT expected, {message!r:.300} came"
    return challenge, message


@pytest.mark.parametrize("method", ["ticket", "wampcra", "wamp-scram", "scram", "cryptosign"])
async def test_nobody_is_told_who_is_known(guarded, method):
    """The steps and the texts for a principal with a wrong secret and for one that there is not."""
    extras = {
        "wamp-scram": {"nonce": "bm9uY2Vub25jZW5vbmNlbm9uY2U=", "channel_binding": None},
        "scram": {"nonce": "bm9uY2Vub25jZW5vbmNlbm9uY2U="},
        "cryptosign": {"pubkey": OTHER_KEY.verify_key.encode().hex()},
    }
    seen = []
    # Of wampcra there are principals with salt and without: who is not known looks like one or the other.
    known = ("joe", "ann") if method == "wampcra" else ("joe",)
    for authid in (*known, "nobody"):
        connection = await raw.WebSocket.open(guarded.plain, "json")
        hello = {"authmethods": [method], "authid": authid, "authextra": extras.get(method, {})}
        challenge, abort = await aborted(connection, hello, "bm90aGluZw==")
        extra = challenge[2] if challenge else {}
        seen.append((challenge and challenge[1], {key: type(value) for key, value in extra.items()}, abort))
        await connection.close()
    assert seen[-1] in seen[:-1]
    assert {abort[2] for _, _, abort in seen} == {DENIED}


async def test_no_downgrade(guarded):
    """A principal of one method is unknown to all others, and HELLO gives nobody a role."""
    for authid, method in (("ann", "ticket"), ("eve", "wampcra"), ("device7", "ticket")):
        connection = await raw.WebSocket.open(guarded.plain, "json")
        hello = {"authmethods": [method], "authid": authid, "authrole": "admin"}
        _, abort = await aborted(connection, hello, PASSWORD)
        assert abort[2] == DENIED
        await connection.close()
    connection = await raw.WebSocket.open(guarded.plain, "json")
    await connection.send([raw.HELLO, "realm1", {**raw.ALL_ROLES, "authmethods": ["ticket"], "authid": "joe", "authrole": "admin"}])
    await connection.expect(raw.CHALLENGE)
    await connection.send([raw.AUTHENTICATE, PASSWORD, {}])
    welcome = await connection.expect(raw.WELCOME)
    assert welcome[2]["authrole"] == "user"
    await connection.close()


async def test_a_challenge_is_answered_once(guarded):
    connection = await raw.WebSocket.open(guarded.plain, "json")
    await connection.send([raw.HELLO, "realm1", {**raw.ALL_ROLES, "authmethods": ["ticket"], "authid": "joe"}])
    await connection.expect(raw.CHALLENGE)
    await connection.send([raw.AUTHENTICATE, "wrong", {}], [raw.AUTHENTICATE, PASSWORD, {}])
    # The second answer comes to nothing, or while the first one's end is awaited.
    assert (await connection.expect(raw.ABORT))[2] in (DENIED, raw.PROTOCOL_VIOLATION)
    await connection.expect_end()


async def test_anonymous_sessions_come_from_their_networks(guarded):
    """To anybody else the method is not there."""
    for hello, reason in (
        ({"authmethods": ["anonymous"]}, "wamp.error.no_matching_auth_method"),
        ({}, "wamp.error.authentication_required"),
    ):
        connection = await raw.WebSocket.open(guarded.plain, "json")
        _, abort = await aborted(connection, hello)
        assert abort[2] == reason
        await connection.close()


NETWORKS = """
[[listeners]]
listen = "127.0.0.1:0"
[[realms]]
name = "{name}"
{realm}
[realms.authentication]
anonymous = {{ role = "guest" }}
ticket = {{ {method} }}
[[realms.principals]]
authid = "joe"
role = "user"
ticket = "of joe"
[[realms.roles]]
name = "guest"
[[realms.roles]]
name = "user"
{role}
"""


@pytest.mark.parametrize("listed", ["realm", "method", "role"])
async def test_networks_of_realm_method_and_role(configured_router, connections, listed):
    """Who comes from a network that is listed gets in, others do not: those of a realm or role are told what a wrong ticket is told."""
    for networks, is_inside in (('["127.0.0.0/8"]', True), ('["10.0.0.0/8", "::1", "unix"]', False)):
        lists = dict.fromkeys(("realm", "method", "role"), "") | {listed: f"networks = {networks}"}
        _, (address,) = configured_router(NETWORKS.format(name="realm1", **lists))
        reasons = []
        for method in ("ticket", "anonymous"):
            connection = await raw.RawSocket.open(address)
            connections.append(connection)
            await connection.send([raw.HELLO, "realm1", {**raw.ALL_ROLES, "authmethods": [method], "authid": "joe"}])
            message = await connection.receive()
            if message[0] == raw.CHALLENGE:
                await connection.send([raw.AUTHENTICATE, "of joe", {}])
                message = await connection.receive()
            reasons.append(message[2] if message[0] == raw.ABORT else message[2]["authrole"])
        outside = {
            "realm": [DENIED, DENIED],
            "method": ["wamp.error.no_matching_auth_method", "guest"],
            "role": [DENIED, "guest"],
        }
        assert reasons == (["user", "guest"] if is_inside else outside[listed])


async def test_a_hook_chooses_who_joins(join, accounts):
    peer = await join("autobahn-ws-json", login=Login("ticket", "sam", "of sam"))
    assert (peer.details.authid, peer.details.authrole) == ("samuel", "user")
    assert peer.details.authextra == {"team": "blue"}
    question = accounts.asked[-1]
    assert (question["realm"], question["authid"]) == ("realm1", "sam")
    assert question["details"]["authmethod"] == "ticket"
    assert await refused(join, "autobahn-ws-json", Login("ticket", "sam", "another")) == DENIED
    reason = await refused(join, "autobahn-ws-json", Login("ticket", "broken", "x"))
    assert reason.startswith("wamp.error.authentication_"), reason


async def test_a_file_of_principals_is_read_again(join, guarded):
    people = guarded.directory / "people.toml"
    first, second = Login("ticket", "eve", "of eve"), Login("ticket", "eve", "new of eve")
    await join("autobahn-rs-json", login=first)
    people.write_text(PEOPLE.format(ticket="broken") + "nonsense", encoding="utf-8")
    await asyncio.sleep(2.5)
    await join("autobahn-rs-json", login=first)
    people.write_text(PEOPLE.format(ticket=second.secret), encoding="utf-8")
    async with asyncio.timeout(20):
        while True:
            try:
                await join("autobahn-rs-json", login=second)
                break
            except JoinError:
                await asyncio.sleep(0.25)
    assert await refused(join, "autobahn-rs-json", first) == DENIED
    people.write_text(PEOPLE.format(ticket=first.secret), encoding="utf-8")


@pytest.mark.parametrize("client", ["autobahn-wss-json", "autobahn-rss-cbor"])
async def test_client_certificates(join, guarded, certificates, client):
    login = Login("tls", None)
    known = Endpoints(
        secure=guarded.secure, authority=guarded.authority, identity=(certificates.client_certificate, certificates.client_key)
    )
    peer = await join(client, endpoints=known, login=login)
    assert (peer.details.authid, peer.details.authrole, peer.details.authmethod) == ("device7", "user", "tls")
    unknown = Endpoints(secure=guarded.secure, authority=guarded.authority)
    assert (await refused(join, client, login, endpoints=unknown)).startswith("wamp.error.")


async def test_a_browser_comes_back_with_its_cookie(guarded):
    async def hello(connection, methods):
        await connection.send([raw.HELLO, "realm1", {**raw.ALL_ROLES, "authmethods": methods, "authid": "joe"}])
        return await connection.receive()

    first = await raw.WebSocket.open(guarded.plain, "json")
    name, _, rest = first.headers["set-cookie"].partition("=")
    value, *attributes = [part.strip() for part in rest.split(";")]
    assert name == "wampline" and "HttpOnly" in attributes and "SameSite=Strict" in attributes
    head = [f"Cookie: wampline={value}"]
    # Nobody has logged in with it yet.
    stranger = await raw.WebSocket.open(guarded.plain, "json", extra=head)
    assert (await hello(stranger, ["cookie"]))[0] == raw.ABORT
    assert (await hello(first, ["cookie", "ticket"]))[0] == raw.CHALLENGE
    await first.send([raw.AUTHENTICATE, PASSWORD, {}])
    await first.expect(raw.WELCOME)
    second = await raw.WebSocket.open(guarded.plain, "json", extra=head)
    assert "set-cookie" not in second.headers
    welcome = await hello(second, ["cookie", "ticket"])
    assert welcome[0] == raw.WELCOME and (welcome[2]["authid"], welcome[2]["authmethod"]) == ("joe", "cookie")
    other = await raw.WebSocket.open(guarded.plain, "json", extra=["Cookie: wampline=" + "A" * len(value)])
    assert (await hello(other, ["cookie"]))[0] == raw.ABORT
    for connection in (first, stranger, second, other):
        await connection.close()


OURS = {"iss": "https://issuer.example.com", "aud": "wampline", "role": "user"}


async def test_tokens(join):
    login = Login("jwt", None, token(fresh(**OURS)))
    peer = await join("autobahn-ws-json", login=login)
    assert (peer.details.authid, peer.details.authrole, peer.details.authmethod) == ("joe", "user", "jwt")
    for bad in (
        token(fresh(**OURS), secret="another secret that is as long as ours"),
        token(fresh(**OURS) | {"exp": int(time.time()) - 10}),
        token(fresh(**OURS) | {"aud": "another"}),
        token(fresh(**OURS) | {"role": "admin"}),
        token(fresh(**OURS), algorithm="none").rsplit(".", 1)[0] + ".",
        "nonsense",
    ):
        assert await refused(join, "autobahn-ws-json", Login("jwt", None, bad)) == DENIED


@pytest.mark.parametrize("method", ["ticket", "wampcra", "wampcra-salted", "cryptosign"])
async def test_the_load_generator_logs_in(guarded, method):
    from test_loadgen import generator

    login = RIGHT[method]
    line = ["churn", "--sessions", "30", "--warmup-sessions", "5", "--url", guarded.url("rs"), "--authmethod", login.method, "--json"]

    async def generate(secret):
        environment = dict(os.environ, WAMPLINE_LOADGEN_SECRET=secret)
        arguments = [*line, "--authid", login.authid]
        process = await asyncio.create_subprocess_exec(
            str(generator()), *arguments, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        return process.returncode, out.decode() + err.decode()

    code, said = await generate(login.secret)
    assert code == 0, said
    code, said = await generate(WRONG[method].secret)
    assert code == 2 and DENIED in said


PEOPLE_OF_AUTHENTICATOR = {
    "ada": {"ticket": "of ada", "role": "user"},
    "bob": {"secret": "of bob", "role": "user", "authid": "robert", "extra": {"floor": 3}},
}


async def test_a_dynamic_authenticator(join):
    """As users of Crossbar write them: a component registers the procedure."""
    from autobahn.wamp.exception import ApplicationError

    asked = []

    def authenticate(realm, authid, details):
        asked.append((realm, authid, details))
        if authid == "slow":
            return asyncio.get_running_loop().create_future()
        if authid not in PEOPLE_OF_AUTHENTICATOR:
            raise ApplicationError("com.example.no_such_user", f"{authid} is not known")
        person = PEOPLE_OF_AUTHENTICATOR[authid]
        if details["authmethod"] == "ticket":
            if details["ticket"] != person.get("ticket"):
                raise ApplicationError("com.example.invalid_ticket", "it is another")
            return person["role"]
        return {key: value for key, value in person.items() if key != "ticket"}

    client = "autobahn-ws-cbor"
    # Nobody knows tickets until the authenticator is there.
    assert (await refused(join, client, Login("ticket", "ada", "of ada"), realm="realm2")).startswith("wamp.error.authentication_")
    authenticator = await join(client, realm="realm2", login=Login("wampcra", "authenticator", PASSWORD))
    await authenticator.inner.register(authenticate, "com.example.authenticate")
    peer = await join(client, realm="realm2", login=Login("ticket", "ada", "of ada"))
    assert (peer.details.authid, peer.details.authrole, peer.details.authprovider) == ("ada", "user", "dynamic")
    realm, authid, details = asked[-1]
    assert (realm, authid, details["authmethod"]) == ("realm2", "ada", "ticket") and details["session"] == peer.session
    peer = await join("xconn-rs-cbor", realm="realm2", login=Login("wampcra", "bob", "of bob"))
    found = await whoami(peer)
    assert (found["authid"], found["authrole"]) == ("robert", "user")
    for login in (Login("ticket", "ada", "another"), Login("ticket", "eve", "x"), Login("wampcra", "bob", "x"), Login("wampcra", "eve", "x")):
        assert await refused(join, client, login, realm="realm2") == DENIED


def test_keys_of_the_tool_are_what_clients_read(tmp_path):
    """A private key of `wampline keygen`, read by autobahn in both forms."""
    from autobahn.wamp.cryptosign import CryptosignKey

    for form in ("hex", "raw"):
        path = tmp_path / form
        made = subprocess.run([str(binary()), "keygen", "--form", form, str(path)], capture_output=True, text=True, check=True)
        assert path.stat().st_mode & 0o777 == 0o600
        key = CryptosignKey.from_file(str(path)) if form == "raw" else CryptosignKey.from_bytes(bytes.fromhex(path.read_text()))
        assert key.public_key() == made.stdout.strip()
        again = subprocess.run([str(binary()), "keygen", str(path)], capture_output=True, text=True)
        assert again.returncode == 1 and "cannot be written" in again.stderr
