"""Sessions from HELLO to GOODBYE, as client libraries see them."""

import asyncio
import os

import pytest

from harness.peers import JoinError
from harness.router import Endpoints, Router, scratch

CLIENTS = [
    "autobahn-ws-json",
    "autobahn-rs-msgpack",
    "autobahn-unix-cbor",
    "autobahn-wss-cbor",
    "autobahn-rss-json",
    "autobahn_js-ws-cbor",
    "autobahn_js-wss-json",
    "autobahn_js-rs-json",
    "wampy-ws-msgpack",
    "wampy-wss-json",
    "xconn-rs-cbor",
    "xconn-ws-json",
    "xconn-wss-msgpack",
]
OVER_TCP = [client for client in CLIENTS if "-wss-" not in client and "-rss-" not in client and "-unix-" not in client]

# Which clients tell the application why a session ended.
TELLS_REASON = ("autobahn", "autobahn_js")


@pytest.mark.parametrize("client", CLIENTS)
async def test_join_and_leave(join, client):
    first, second = await join(client), await join(client)
    assert first.session != second.session
    assert 1 <= first.session <= 2**53 and 1 <= second.session <= 2**53
    reason = await first.leave()
    if first.spec.client in TELLS_REASON:
        assert reason == "wamp.close.goodbye_and_out"
    assert not first.is_open and second.is_open


@pytest.mark.parametrize("client", CLIENTS)
async def test_unknown_realm(join, client):
    if client.startswith("xconn"):
        # xconn raises an exception without the reason.
        with pytest.raises(Exception, match="no_such_realm"):
            await join(client, realm="com.example.no.such.realm")
        return
    with pytest.raises(JoinError) as caught:
        await join(client, realm="com.example.no.such.realm")
    assert caught.value.reason == "wamp.error.no_such_realm"


async def test_welcome_has_what_clients_read(join):
    for client in ("autobahn-ws-json", "autobahn-rs-msgpack", "autobahn-ws-cbor"):
        peer = await join(client)
        details = peer.details
        assert details.realm == "realm1"
        assert details.authid and details.authrole == "anonymous" and details.authmethod == "anonymous" and details.authprovider


@pytest.mark.parametrize("client", ["autobahn-ws-json", "autobahn-rs-cbor", "autobahn-unix-msgpack"])
async def test_second_session_on_one_transport(join, uri, client):
    peer = await join(client)
    await peer.register(uri)
    first, session = peer.session, peer.inner
    left = asyncio.get_running_loop().create_future()
    session.onLeave = lambda details: left.set_result(details.reason)
    session.leave()
    assert await asyncio.wait_for(left, 5) == "wamp.close.goodbye_and_out"
    session.joined = asyncio.get_running_loop().create_future()
    session.onLeave = type(session).onLeave.__get__(session)
    session._registrations.clear()
    session.join("realm1")
    details = await asyncio.wait_for(session.joined, 5)
    assert details.session != first
    # What the first session owned is gone, and the second one works.
    await peer.register(uri)
    other = await join("autobahn-ws-json")
    assert (await other.call(uri, ["second"])).args == ["second"]


@pytest.mark.parametrize("shutdown", ["idle", "busy"])
async def test_shutdown_says_goodbye(own_router, node, join, uri, shutdown):
    router, endpoints = own_router
    peers = [await join(client, endpoints=endpoints) for client in OVER_TCP]
    if shutdown == "busy":
        await peers[0].register(uri, "hold")
        calls = [asyncio.ensure_future(peer.call(uri)) for peer in peers[1:]]
        await asyncio.sleep(0.2)
    router.terminate()
    for peer in peers:
        reason = await asyncio.wait_for(peer.closed, 10)
        if peer.spec.client in TELLS_REASON:
            assert reason == "wamp.close.system_shutdown", peer.spec
    assert await router.wait_async() == 0
    if shutdown == "busy":
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(outcome, BaseException)


@pytest.mark.parametrize("client", ["autobahn-ws-json", "wampy-ws-cbor", "xconn-rs-msgpack"])
async def test_many_sessions_come_and_go(join, client):
    for _ in range(25):
        peer = await join(client)
        await peer.leave()


async def test_listening_on_a_unix_socket_alone(join, uri):
    with scratch() as directory:
        path = os.path.join(directory, "wampline.sock")
        router = Router(["--listen", f"unix:{path}", "--shards", "2"])
        try:
            assert router.endpoints == [path]
            endpoints = Endpoints(unix_path=path)
            callee, caller = await join("autobahn-unix-msgpack", endpoints=endpoints), await join("xconn-unix-json", endpoints=endpoints)
            await callee.register(uri)
            assert (await caller.call(uri, [1, "two"])).args == [1, "two"]
            await caller.leave()
        finally:
            router.stop()


async def test_one_shard_serves_too(join, uri):
    router = Router(["--listen", "127.0.0.1:0", "--shards", "1"])
    try:
        endpoints = Endpoints(plain=router.endpoints[0])
        callee, caller = await join("autobahn-ws-json", endpoints=endpoints), await join("autobahn-rs-cbor", endpoints=endpoints)
        await callee.register(uri)
        assert (await caller.call(uri, [1, "two"])).args == [1, "two"]
    finally:
        router.stop()
