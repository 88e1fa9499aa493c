"""The meta API, asked by client libraries: sessions, subscriptions, registrations, testaments, revocation, reflection."""

import asyncio
import re

import pytest

from harness.peers import CallError
from harness.router import Endpoints

FULL = """
[router]
shards = 2
[[listeners]]
listen = "127.0.0.1:0"
[[realms]]
name = "realm1"
meta = "full"
"""

CLIENTS = ["autobahn-ws-json", "autobahn-rs-msgpack", "autobahn_js-ws-cbor", "autobahn_js-rs-json", "wampy-ws-msgpack", "xconn-rs-cbor"]


@pytest.fixture
def full(configured_router):
    _, (address,) = configured_router(FULL)
    return Endpoints(plain=address)


async def test_autobahn_knows_what_the_router_announces(join):
    peer = await join("autobahn-ws-json")
    roles = peer.inner._router_roles
    assert roles["broker"].session_meta_api and roles["dealer"].session_meta_api
    assert roles["broker"].subscription_meta_api and roles["broker"].subscription_revocation
    assert roles["dealer"].registration_meta_api and roles["dealer"].registration_revocation
    assert roles["dealer"].testament_meta_api


@pytest.mark.parametrize("client", CLIENTS)
async def test_sessions_are_counted_listed_and_described(join, full, client):
    peer = await join(client, endpoints=full)
    other = await join("autobahn-rs-cbor", endpoints=full)
    assert (await peer.call("wamp.session.count")).args == [2]
    assert sorted((await peer.call("wamp.session.list")).args[0]) == sorted([peer.session, other.session])
    assert (await peer.call("wamp.session.list", [["nobody"]])).args == [[]]
    (details,) = (await peer.call("wamp.session.get", [other.session])).args
    assert details["session"] == other.session and details["authid"] == other.details.authid
    assert details["authrole"] == details["authmethod"] == "anonymous"
    transport = details["transport"]
    assert transport["type"] == "rawsocket" and transport["serializer"] == "cbor" and transport["tls"] is False
    assert re.fullmatch(r"127\.0\.0\.1:\d+", transport["peer"])
    with pytest.raises(CallError) as caught:
        await peer.call("wamp.session.get", [other.session ^ 1])
    assert caught.value.uri == "wamp.error.no_such_session"


@pytest.mark.parametrize("client", CLIENTS)
async def test_joining_and_leaving_are_told(join, full, client):
    watcher = await join(client, endpoints=full)
    joins = await watcher.subscribe("wamp.session.on_join")
    leaves = await watcher.subscribe("wamp.session.on_leave")
    for end in ("leave", "drop"):
        other = await join("autobahn-ws-json", endpoints=full)
        (details,) = (await joins.next()).args
        assert details["session"] == other.session and details["transport"]["type"] == "websocket"
        await getattr(other, end)()
        assert (await leaves.next()).args == [other.session, other.details.authid, "anonymous"]


@pytest.mark.parametrize("client", ["autobahn-rs-json", "autobahn_js-ws-msgpack", "wampy-ws-cbor"])
async def test_a_client_is_killed(join, full, client):
    victim, killer = await join(client, endpoints=full), await join("autobahn-ws-json", endpoints=full)
    await victim.register("com.example.held")
    await killer.call("wamp.session.kill", [victim.session], {"reason": "com.example.bye", "message": "enough"})
    await killer.register("com.example.held")
    reason = await asyncio.wait_for(victim.closed, 5)
    # wampy.js and autobahn-js tell only that the connection ended, or this reason.
    assert reason in ("com.example.bye", None) or client.startswith("wampy")
    assert (await killer.call("wamp.session.count")).args == [1]


async def test_destructive_procedures_are_refused_by_default(join):
    peer = await join("autobahn-ws-json")
    for procedure in ("wamp.session.kill", "wamp.session.kill_all", "wamp.subscription.remove_subscriber", "wamp.reflect.define"):
        with pytest.raises(CallError) as caught:
            await peer.call(procedure, [1, 1])
        assert caught.value.uri == "wamp.error.not_authorized"


@pytest.mark.parametrize("client", CLIENTS)
async def test_subscriptions_and_registrations_are_described(join, full, client):
    peer = await join(client, endpoints=full)
    events = await peer.subscribe("wamp.registration.on_register")
    await peer.subscribe("com.example.topic")
    callee = await join("autobahn-rs-msgpack", endpoints=full)
    await callee.register("com.example.add")
    (registration,) = (await peer.call("wamp.registration.lookup", ["com.example.add"])).args
    assert (await events.next()).args == [callee.session, registration]
    (details,) = (await peer.call("wamp.registration.get", [registration])).args
    assert details["uri"] == "com.example.add" and details["match"] == "exact" and details["invoke"] == "single"
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", details["created"])
    assert (await peer.call("wamp.registration.list_callees", [registration])).args == [[callee.session]]
    (found,) = (await callee.call("wamp.subscription.match", ["com.example.topic"])).args
    assert (await callee.call("wamp.subscription.list_subscribers", found)).args == [[peer.session]]
    assert (await callee.call("wamp.subscription.match", ["com.example.other"])).args in ([], [None])
    assert found[0] in (await callee.call("wamp.subscription.list")).args[0]["exact"]


@pytest.mark.parametrize("client", CLIENTS)
async def test_testaments_are_published_when_a_client_is_lost(join, full, client):
    watcher = await join("autobahn-ws-json", endpoints=full)
    wills = await watcher.subscribe("com.example.will")
    peer = await join(client, endpoints=full)
    await peer.call("wamp.session.add_testament", ["com.example.will", ["destroyed"], {"n": 1}])
    await peer.call("wamp.session.add_testament", ["com.example.will", ["detached"], {}], {"scope": "detached"})
    await peer.drop()
    first, second = await wills.take(2)
    assert first.args == ["detached"] and second.args == ["destroyed"] and second.kwargs == {"n": 1}


@pytest.mark.parametrize("client", ["autobahn-ws-json", "autobahn_js-ws-json", "wampy-ws-cbor"])
async def test_a_callee_outlives_the_revocation_of_its_registration(join, full, client):
    peer, other = await join(client, endpoints=full), await join("autobahn-rs-cbor", endpoints=full)
    await peer.register("com.example.add")
    (registration,) = (await other.call("wamp.registration.lookup", ["com.example.add"])).args
    await other.call("wamp.registration.remove_callee", [registration, peer.session, "com.example.over"])
    await other.register("com.example.add")
    assert (await peer.call("com.example.add", [1])).args == [1]
    assert peer.is_open


# autobahn for Python announces subscription_revocation, but takes the notice for a violation of the protocol and closes.
@pytest.mark.parametrize("client", ["autobahn_js-ws-json", "wampy-ws-cbor", "xconn-rs-json"])
async def test_a_subscriber_outlives_the_revocation_of_its_subscription(join, full, client):
    peer, other = await join(client, endpoints=full), await join("autobahn-rs-cbor", endpoints=full)
    events = await peer.subscribe("com.example.topic")
    (subscription,) = (await other.call("wamp.subscription.lookup", ["com.example.topic"])).args
    await other.call("wamp.subscription.remove_subscriber", [subscription, peer.session, "com.example.over"])
    await other.publish("com.example.topic", [1])
    assert (await peer.call("wamp.session.count")).args == [2]
    assert peer.is_open and events.is_empty


async def test_reflection(join, full):
    peer = await join("autobahn-ws-msgpack", endpoints=full)
    await peer.call("wamp.reflect.define", ["com.example.add", {"args": ["int", "int"]}])
    (described,) = (await peer.call("wamp.reflection.procedure.describe", ["com.example.add"])).args
    assert described["description"] == {"args": ["int", "int"]}
    (listed,) = (await peer.call("wamp.reflection.procedure.list")).args
    assert "com.example.add" in listed and "wamp.session.count" in listed
