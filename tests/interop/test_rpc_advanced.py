"""The advanced profile's remote procedure calls through each client library that has them."""

import asyncio

import pytest

from harness import raw
from harness.peers import CallError, Event, Subscription

# Each client once, every transport that it has; autobahn-js speaks JSON alone over RawSocket.
CLIENTS = ["autobahn-ws-json", "autobahn-rs-cbor", "autobahn_js-ws-msgpack", "autobahn_js-rs-json", "wampy-ws-cbor", "xconn-ws-msgpack", "xconn-rs-json"]

# xconn for Python ends a call with its first result, and a callee of it sends one.
STREAMING = ["autobahn-ws-msgpack", "autobahn-rs-json", "autobahn_js-ws-cbor", "autobahn_js-rs-json", "wampy-ws-json", "wampy-ws-msgpack"]
OTHER_SIDE = ["autobahn-rs-cbor", "autobahn_js-ws-json", "wampy-ws-cbor"]


@pytest.mark.parametrize("callee", OTHER_SIDE)
@pytest.mark.parametrize("caller", STREAMING)
async def test_progressive_results(join, uri, caller, callee):
    caller, callee = await join(caller), await join(callee)
    await callee.register(uri, "count")
    progress = Subscription(None, uri)
    assert (await caller.call(uri, [5], progress=progress)).args == ["done"]
    assert [result.args for result in await progress.take(5)] == [[n] for n in range(5)]
    # Who did not ask for them gets the last one alone.
    assert (await caller.call(uri, [5])).args == ["done"]
    assert progress.is_empty and caller.is_open and callee.is_open


async def test_a_callee_that_leaves_between_progressive_results(join, node, open_session, uri):
    for client in STREAMING:
        caller, callee = await join(client), await open_session()
        await callee.register(uri)
        progress = Subscription(None, uri)
        call = asyncio.ensure_future(caller.call(uri, [], progress=progress))
        invocation = await callee.expect(raw.INVOCATION)
        await callee.send([raw.YIELD, invocation[1], {"progress": True}, ["half"]])
        assert (await progress.next()).args == ["half"]
        callee.abort()
        with pytest.raises(CallError) as caught:
            await call
        assert caught.value.uri == "wamp.error.canceled", client


# What each client can ask for. autobahn for Python sends no mode. autobahn-js forgets a call that it cancels unless the mode is
# `kill`, takes the ERROR that answers it for a violation of the protocol and drops its connection.
CANCELS = [("autobahn-ws-json", None), ("autobahn-rs-msgpack", None), ("autobahn_js-ws-json", "kill"), ("autobahn_js-rs-json", "kill")]
CANCELS += [("wampy-ws-msgpack", mode) for mode in (None, "skip", "kill", "killnowait")]


@pytest.mark.parametrize("callee", ["autobahn-ws-cbor", "autobahn-rs-json", "autobahn_js-ws-msgpack", "wampy-ws-json", "xconn-rs-cbor"])
@pytest.mark.parametrize(("caller", "mode"), CANCELS)
async def test_cancel(join, uri, caller, mode, callee):
    caller, callee = await join(caller), await join(callee)
    await callee.register(uri, "hold")
    await callee.register(f"{uri}.echo")
    call = await caller.begin(uri, ["held"])
    await arrived(callee, uri)
    await caller.cancel(call, mode)
    can_cancel = callee.spec.client == "autobahn"
    if caller.spec.client == "autobahn":
        # Its future is cancelled at once; the ERROR finds it so.
        with pytest.raises(asyncio.CancelledError):
            await call
    else:
        with pytest.raises(CallError) as caught:
            await caller.ended(call)
        # autobahn for Python answers an INTERRUPT with an ERROR of its own, which under `kill` is the caller's.
        expected = "wamp.error.runtime_error" if mode == "kill" and can_cancel else "wamp.error.canceled"
        assert caught.value.uri == expected
    # Nobody is the worse for it. The callee has heard of the CANCEL by now, unless it was to be left alone.
    assert (await caller.call(f"{uri}.echo", ["after"])).args == ["after"]
    if can_cancel:
        assert len(callee.inner.user_errors) == (mode != "skip")
    assert caller.is_open and callee.is_open


@pytest.mark.parametrize("client", ["autobahn_js-ws-cbor", "autobahn_js-rs-json"])
@pytest.mark.parametrize("mode", [None, "skip", "killnowait"])
async def test_autobahn_js_gives_up_its_connection_when_it_cancels(join, uri, client, mode):
    """A fault of that client, pinned so that it is noticed when it goes away; the router and the callee go on."""
    caller, callee, other = await join(client), await join("autobahn-ws-json"), await join("xconn-rs-json")
    await callee.register(uri, "hold")
    await callee.register(f"{uri}.echo")
    call = await caller.begin(uri)
    await arrived(callee, uri)
    await caller.cancel(call, mode)
    with pytest.raises(CallError):
        await caller.ended(call)
    await asyncio.wait_for(caller.closed, 5)
    assert (await other.call(f"{uri}.echo", [1])).args == [1]


async def arrived(callee, uri):
    """Waits until what other sessions have called has surely come to `callee`."""
    await asyncio.sleep(0.1)
    await callee.unsubscribe(await callee.subscribe(f"{uri}.arrived"))


@pytest.mark.parametrize("callee", ["autobahn-rs-msgpack", "autobahn_js-ws-json", "wampy-ws-cbor", "xconn-rs-json"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_call_timeout(join, uri, client, callee):
    caller, callee = await join(client), await join(callee)
    await callee.register(uri, "hold")
    await callee.register(f"{uri}.echo")
    with pytest.raises(CallError) as caught:
        await caller.call(uri, options={"timeout": 150})
    assert caught.value.uri == "wamp.error.timeout"
    assert (await caller.call(f"{uri}.echo", ["in time"], options={"timeout": 5000})).args == ["in time"]
    assert caller.is_open and callee.is_open


# autobahn for Python cannot ask to be disclosed.
@pytest.mark.parametrize("callee", CLIENTS)
@pytest.mark.parametrize("client", ["autobahn_js-ws-msgpack", "autobahn_js-rs-json", "wampy-ws-cbor", "xconn-rs-msgpack"])
async def test_disclosed_caller(join, uri, client, callee):
    caller, callee = await join(client), await join(callee)
    await callee.register(uri, "details")
    _, session, authid, authrole = (await caller.call(uri, options={"disclose_me": True})).args
    assert (session, authrole) == (caller.session, "anonymous") and authid
    assert (await caller.call(uri)).args[1:] == [None, None, None]


async def test_a_callee_asks_who_calls(join, node, uri):
    callee = await join("autobahn_js-ws-cbor")
    await callee.register(uri, "details", {"disclose_caller": True})
    for client in CLIENTS:
        caller = await join(client)
        assert (await caller.call(uri)).args[1] == caller.session


@pytest.mark.parametrize("policy", ["roundrobin", "first", "last", "random"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_shared_registration(join, node, uri, client, policy):
    others = ["autobahn-rs-json", "xconn-ws-cbor"]
    callees = [await join(spec) for spec in [client, *others]]
    registrations = [await callee.register(uri, "name", {"invoke": policy}) for callee in callees]
    caller = await join("autobahn-ws-msgpack")
    sessions = [callee.session for callee in callees]
    served = [(await caller.call(uri)).args[0] for _ in range(30)]
    assert served == {"roundrobin": sessions * 10, "first": sessions[:1] * 30, "last": sessions[2:] * 30}.get(policy, served)
    assert set(served) <= set(sessions) and (policy != "random" or len(set(served)) > 1)
    # Another policy is refused, and so is none.
    stranger = await join("wampy-ws-json")
    for options in ({"invoke": "first" if policy == "last" else "last"}, None):
        with pytest.raises(CallError) as caught:
            await stranger.register(uri, "name", options)
        assert caught.value.uri == "wamp.error.procedure_exists_with_different_invocation_policy"
    # One that unregisters and one whose connection breaks: the calls go to who is left.
    await callees[0].unregister(registrations[0])
    await callees[1].drop()
    async with asyncio.timeout(5):
        # The broken connection may be noticed a moment later.
        registration = (await caller.call("wamp.registration.lookup", [uri])).args
        while (await caller.call("wamp.registration.count_callees", registration)).args != [1]:
            await asyncio.sleep(0.02)
    assert [(await caller.call(uri)).args[0] for _ in range(5)] == [sessions[2]] * 5


@pytest.mark.parametrize("client", CLIENTS)
async def test_rerouting(join, uri, client):
    """A callee that is not available asks for another one, and its caller does not notice."""
    busy, other, caller = await join(client), await join("autobahn-rs-msgpack"), await join("xconn-ws-json")
    await busy.register(uri, "unavailable", {"invoke": "first"})
    registration = await other.register(uri, "echo", {"invoke": "first"})
    assert (await caller.call(uri, [1, "two"], {"three": 3})) == Event([1, "two"], {"three": 3})
    await other.unregister(registration)
    with pytest.raises(CallError) as caught:
        await caller.call(uri)
    assert caught.value.uri == "wamp.error.no_available_callee"


@pytest.mark.parametrize("client", CLIENTS)
async def test_pattern_based_registration(join, uri, client):
    callee, caller = await join(client), await join("autobahn-rs-cbor")
    await callee.register(f"{uri}.a", "details", {"match": "prefix"})
    await callee.register(f"{uri}..end", "details", {"match": "wildcard"})
    await callee.register(f"{uri}.a.exact", "name")
    for procedure in (f"{uri}.a.b.c", f"{uri}.a", f"{uri}.a.end", f"{uri}.z.end"):
        assert (await caller.call(procedure)).args[0] == procedure
    assert (await caller.call(f"{uri}.a.exact")).args == [callee.session]
    with pytest.raises(CallError) as caught:
        await caller.call(f"{uri}.z.other")
    assert caught.value.uri == "wamp.error.no_such_procedure"


# No callee of these libraries takes a call in chunks: it is played by the codec.
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
@pytest.mark.parametrize("framing", ["ws", "rs"])
async def test_progressive_invocations(join, node, open_connection, uri, framing, serializer):
    caller, callee = await join(f"wampy-ws-{serializer}"), await open_connection(framing, serializer)
    features = {"progressive_call_invocations": True, "call_canceling": True}
    await callee.hello(details={"roles": {"callee": {"features": features}}})
    await callee.register(uri)
    call = asyncio.ensure_future(caller.call_in_chunks(uri, [["one"], ["two"], ["three"]]))
    chunks = [await callee.expect(raw.INVOCATION) for _ in range(3)]
    assert len({(chunk[1], chunk[2]) for chunk in chunks}) == 1
    assert [(chunk[3].get("progress"), chunk[4]) for chunk in chunks] == [(True, ["one"]), (True, ["two"]), (None, ["three"])]
    await callee.send([raw.YIELD, chunks[0][1], {}, ["all"]])
    assert (await call).args == ["all"]


async def test_progressive_invocations_of_a_callee_that_cannot(join, node, uri):
    caller, callee = await join("wampy-ws-msgpack"), await join("autobahn-ws-json")
    await callee.register(uri)
    with pytest.raises(CallError) as caught:
        await caller.call_in_chunks(uri, [["one"], ["two"], ["three"]])
    assert caught.value.uri == "wamp.error.feature_not_supported"
    assert (await caller.call(uri, ["whole"])).args == ["whole"]


# wampy.js alone has payload passthru. Its session serializer must have octets.
@pytest.mark.parametrize("caller", ["wampy-ws-msgpack", "wampy-ws-cbor"])
@pytest.mark.parametrize("callee", ["wampy-ws-msgpack", "wampy-ws-cbor"])
async def test_payload_passthru(join, uri, caller, callee):
    caller, callee = await join(caller), await join(callee)
    await callee.register(uri, "sealed")
    options = {"ppt_scheme": "x_example", "ppt_serializer": "cbor", "ppt_keyid": "key"}
    assert await caller.call(uri, ["secret", 1], {"more": True}, options=options) == Event(["secret", 1], {"more": True})


async def test_payload_passthru_towards_those_who_cannot(join, node, uri):
    wampy, other = await join("wampy-ws-cbor"), await join("autobahn-rs-json")
    await other.register(f"{uri}.plain")
    await wampy.register(f"{uri}.sealed", "sealed")
    with pytest.raises(CallError) as caught:
        await wampy.call(f"{uri}.plain", [1], options={"ppt_scheme": "x_example", "ppt_serializer": "cbor"})
    assert caught.value.uri == "wamp.error.feature_not_supported"
    with pytest.raises(CallError) as caught:
        await other.call(f"{uri}.sealed", [1])
    assert caught.value.uri == "wamp.error.feature_not_supported"
    assert wampy.is_open and other.is_open


# wampy.js cannot send the option.
@pytest.mark.parametrize("client", ["autobahn-ws-json", "autobahn-rs-cbor", "autobahn_js-ws-msgpack", "xconn-rs-json"])
@pytest.mark.parametrize("loser", ["autobahn-rs-msgpack", "autobahn_js-ws-json", "wampy-ws-cbor", "xconn-ws-json"])
async def test_force_reregister(join, uri, client, loser):
    loser, winner, caller = await join(loser), await join(client), await join("autobahn-ws-cbor")
    registration = await loser.register(uri, "name")
    await winner.register(uri, "name", {"force_reregister": True})
    assert (await caller.call(uri)).args == [winner.session]
    # autobahn has been told; the others have not announced that they understand it, and may give up what they believe to have.
    if not loser.spec.client.startswith("autobahn"):
        await loser.unregister(registration)
    await loser.register(f"{uri}.other")
    assert (await caller.call(uri)).args == [winner.session]
    assert loser.is_open


@pytest.mark.parametrize("client", ["autobahn-ws-json", "autobahn-rs-msgpack", "xconn-rs-cbor"])
async def test_concurrency(join, uri, client):
    callee, callers = await join(client), [await join("autobahn-ws-msgpack"), await join("xconn-rs-json")]
    await callee.register(uri, "crowd", {"concurrency": 2})
    calls = [caller.call(uri) for _ in range(4) for caller in callers]
    crowds = [result.args[0] for result in await asyncio.gather(*calls)]
    assert len(crowds) == 8 and max(crowds) == 2
