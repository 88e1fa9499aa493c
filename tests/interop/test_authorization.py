"""What sessions may do: rules of roles, and a dynamic authorizer, as client libraries meet them."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from harness.peers import CallError, Login
from harness.principals import PASSWORD
from harness.router import Endpoints, binary, scratch, start_configured

NOT_AUTHORIZED = "wamp.error.not_authorized"

CONFIG = """
[router]
shards = 2
[[listeners]]
listen = "127.0.0.1:0"

[[realms]]
name = "realm1"
[realms.authentication]
anonymous = {{ role = "guest" }}
ticket = {{}}

[[realms.principals]]
authid = "admin"
role = "admin"
ticket = "{password}"
[[realms.principals]]
authid = "authorizer"
role = "authorizer"
ticket = "{password}"
[[realms.principals]]
authid = "joe"
role = "member"
ticket = "{password}"

[[realms.roles]]
name = "guest"
permissions = [
  {{ uri = "com.example.", match = "prefix", allow = ["call", "subscribe"] }},
  {{ uri = "com.example.internal.", match = "prefix" }},
  {{ uri = "com..open", match = "wildcard", allow = ["publish", "register"], disclose_publisher = "always" }},
  {{ uri = "wamp.session.", match = "prefix", allow = ["call"] }},
  {{ uri = "wamp.session.kill" }},
]

[[realms.roles]]
name = "admin"
allow_by_default = true
permissions = [{{ uri = "wamp.session.", match = "prefix", allow = ["call", "subscribe"] }}]

[[realms.roles]]
name = "authorizer"
permissions = [{{ uri = "com.example.authorize", allow = ["register"] }}, {{ uri = "wampline.", match = "prefix", allow = ["call"] }}]

[[realms.roles]]
name = "member"
permissions = [{{ uri = "com.example.free", allow = ["publish", "subscribe"] }}]
authorizer = {{ procedure = "com.example.authorize", timeout = "2s" }}

[[realms]]
name = "com.example.tenant."
match = "prefix"
roles = [{{ name = "anonymous", permissions = [{{ uri = "com.tenant.", match = "prefix", allow = ["publish", "subscribe"] }}] }}]
"""

CLIENTS = ["autobahn-ws-json", "autobahn-rs-cbor", "autobahn_js-ws-cbor", "wampy-ws-msgpack", "xconn-rs-msgpack"]
ADMIN, AUTHORIZER, MEMBER = (Login("ticket", authid, PASSWORD) for authid in ("admin", "authorizer", "joe"))


@pytest.fixture(scope="module")
def ruled():
    """A router whose roles have rules."""
    with scratch() as directory:
        router, (plain,) = start_configured(directory, CONFIG.format(password=PASSWORD))
        endpoints = Endpoints(plain=plain)
        endpoints.config = Path(directory) / "wampline.toml"
        yield endpoints
        router.stop()


@pytest.fixture
def join(loop, ruled, request, node_if_needed):
    """Opens peers of that router that are closed after the test."""
    from conftest import Joiner

    joiner = Joiner(loop, ruled, request)
    yield joiner
    loop.run_until_complete(joiner.close())


async def error_of(request):
    """The error that answers a request."""
    with pytest.raises(CallError) as caught:
        await request
    return caught.value.uri


@pytest.mark.parametrize("client", CLIENTS)
async def test_rules(join, uri, client):
    guest = await join(client)
    await guest.subscribe(uri)
    assert await error_of(guest.publish(uri, [1])) == NOT_AUTHORIZED
    assert await error_of(guest.register(uri)) == NOT_AUTHORIZED
    assert await error_of(guest.call(uri)) == "wamp.error.no_such_procedure"
    assert await error_of(guest.call("com.example.internal.reset")) == NOT_AUTHORIZED
    assert await error_of(guest.subscribe("com.example.internal.log")) == NOT_AUTHORIZED
    assert await error_of(guest.call("org.example.other")) == NOT_AUTHORIZED
    await guest.publish("com.anything.open", [1])


async def test_patterns_must_be_permitted_as_a_whole(join):
    guest = await join("autobahn-ws-json")
    assert await error_of(guest.subscribe("com.example.", {"match": "prefix"})) == NOT_AUTHORIZED
    await guest.subscribe("com.example.public.", {"match": "prefix"})
    assert await error_of(guest.subscribe("com..news", {"match": "wildcard"})) == NOT_AUTHORIZED


async def test_kill_is_denied_unless_it_is_permitted(join):
    guest, other = await join("autobahn-ws-json"), await join("autobahn-rs-json")
    admin = await join("autobahn-ws-cbor", login=ADMIN)
    assert (await guest.call("wamp.session.count")).args[0] >= 3
    assert await error_of(guest.call("wamp.session.kill", [other.session])) == NOT_AUTHORIZED
    assert other.is_open
    await admin.call("wamp.session.kill", [other.session], {"reason": "com.example.enough"})
    assert await asyncio.wait_for(other.closed, 5) == "com.example.enough"


async def test_a_dynamic_authorizer(join):
    """As users of Crossbar write them: a component registers the procedure."""
    asked = []

    def authorize(session, uri, action, options):
        asked.append((session["authid"], session["authrole"], uri, action))
        if uri == "com.example.slow":
            return asyncio.get_running_loop().create_future()
        return {"allow": uri.endswith(".yes"), "cache": True, "disclose": action == "publish"}

    member = await join("autobahn-ws-json", login=MEMBER)
    await member.publish("com.example.free")
    # Nobody answers yet.
    assert await error_of(member.publish("com.example.topic.yes")) == "wamp.error.authorization_failed"
    authorizer = await join("autobahn-rs-msgpack", login=AUTHORIZER)
    await authorizer.inner.register(authorize, "com.example.authorize")
    # Who serves is decided by rules alone.
    assert await error_of(authorizer.call("com.example.other.yes")) == NOT_AUTHORIZED

    events = await member.subscribe("com.example.topic.yes")
    for _ in range(3):
        await member.publish("com.example.topic.yes", ["x"], exclude_me=False)
    assert [event.args for event in await events.take(3)] == [["x"]] * 3
    for _ in range(3):
        assert await error_of(member.publish("com.example.topic.no")) == NOT_AUTHORIZED
        assert await error_of(member.register("com.example.topic.no")) == NOT_AUTHORIZED
    # Kept answers are not asked for again.
    assert asked.count(("joe", "member", "com.example.topic.yes", "publish")) == 1
    assert asked.count(("joe", "member", "com.example.topic.no", "publish")) == 1
    await authorizer.call("wampline.authorizer.purge")
    await member.publish("com.example.topic.yes", ["x"])
    assert asked.count(("joe", "member", "com.example.topic.yes", "publish")) == 2
    # A question that is not answered holds up the session that asks, and nobody else.
    slow = asyncio.ensure_future(error_of(member.call("com.example.slow")))
    await asyncio.sleep(0.1)
    guest = await join("autobahn-ws-cbor")
    assert (await guest.call("wamp.session.count")).args[0] >= 3
    assert not slow.done()
    assert await slow == "wamp.error.authorization_failed"


async def test_realms_of_a_template(join):
    first = await join("autobahn-ws-json", realm="com.example.tenant.one")
    second = await join("autobahn-rs-cbor", realm="com.example.tenant.one")
    elsewhere = await join("autobahn-ws-json", realm="com.example.tenant.two")
    events, others = await first.subscribe("com.tenant.news"), await elsewhere.subscribe("com.tenant.news")
    await second.publish("com.tenant.news", [1])
    assert (await events.next()).args == [1]
    assert await error_of(second.publish("com.other.news")) == NOT_AUTHORIZED
    assert others.is_empty


def test_the_tool_says_what_the_router_does(ruled):
    def check(role, action, uri, *more, realm="realm1"):
        line = ["authz", "check", "--config", str(ruled.config), "--realm", realm, "--role", role, "--action", action, "--uri", uri]
        ended = subprocess.run([str(binary()), *line, *more], capture_output=True, text=True)
        return ended.returncode, ended.stdout.strip()

    assert check("guest", "call", "com.example.add") == (0, 'allowed: role "guest", the prefix rule "com.example." decides')
    assert check("guest", "call", "com.example.internal.x")[0] == 4
    code, why = check("guest", "subscribe", "com.example.", "--match", "prefix")
    assert code == 4 and "denies some of what the pattern matches" in why
    assert check("guest", "call", "wamp.session.kill")[0] == 4
    assert check("admin", "call", "wamp.session.kill")[0] == 0
    assert check("member", "call", "org.example.x") == (3, 'up to the authorizer: no rule matches, so "com.example.authorize" is asked')
    assert check("anonymous", "publish", "com.tenant.a", realm="com.example.tenant.x")[0] == 0
    assert check("guest", "call", "x", realm="none")[0] == 1
