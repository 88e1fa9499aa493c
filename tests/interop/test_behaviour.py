"""Publish & subscribe and remote procedure calls as applications see them, through each client library."""

import asyncio

import pytest

from harness.peers import CallError

# Each client once, every transport and every serializer at least once.
CLIENTS = [
    "autobahn-ws-json",
    "autobahn-rs-msgpack",
    "autobahn-unix-cbor",
    "autobahn_js-ws-cbor",
    "autobahn_js-rs-json",
    "wampy-ws-msgpack",
    "xconn-rs-cbor",
]
EVERY_SERIALIZER = ["autobahn-ws-json", "autobahn-rs-msgpack", "autobahn-unix-cbor"]

# Callers wait for an answer after their callee is gone; the pairs mix clients and transports.
CALLS = [
    ("autobahn-ws-json", "autobahn-rs-cbor"),
    ("autobahn-rs-msgpack", "wampy-ws-json"),
    ("autobahn_js-ws-msgpack", "autobahn-unix-json"),
    ("wampy-ws-cbor", "xconn-rs-msgpack"),
    ("xconn-ws-json", "autobahn_js-ws-cbor"),
]


@pytest.mark.parametrize("client", CLIENTS)
async def test_call_of_unknown_procedure(join, uri, client):
    caller = await join(client)
    with pytest.raises(CallError) as caught:
        await caller.call(uri, [1])
    assert caught.value.uri == "wamp.error.no_such_procedure"


@pytest.mark.parametrize("client", CLIENTS)
async def test_one_callee_per_procedure(join, uri, client):
    first, second = await join(client), await join(client)
    registration = await first.register(uri)
    with pytest.raises(CallError) as caught:
        await second.register(uri)
    assert caught.value.uri == "wamp.error.procedure_already_exists"
    await first.unregister(registration)
    await second.register(uri)
    assert (await first.call(uri, ["again"])).args == ["again"]


@pytest.mark.parametrize("client", CLIENTS)
async def test_unregistered_procedure_is_gone(join, uri, client):
    callee, caller = await join(client), await join("autobahn-ws-json")
    registration = await callee.register(uri)
    assert (await caller.call(uri, [7])).args == [7]
    await callee.unregister(registration)
    with pytest.raises(CallError) as caught:
        await caller.call(uri, [7])
    assert caught.value.uri == "wamp.error.no_such_procedure"


@pytest.mark.parametrize("client", CLIENTS)
async def test_no_event_after_unsubscribe(join, uri, client):
    subscriber, publisher = await join(client), await join("autobahn-rs-json")
    left, kept = await subscriber.subscribe(f"{uri}.left"), await subscriber.subscribe(f"{uri}.kept")
    await publisher.publish(f"{uri}.left", [1])
    assert (await left.next()).args == [1]
    await subscriber.unsubscribe(left)
    await publisher.publish(f"{uri}.left", [2])
    await publisher.publish(f"{uri}.kept", [3])
    # Events of one publisher keep their order over all topics: what came before this one has arrived.
    assert (await kept.next()).args == [3]
    assert left.is_empty


@pytest.mark.parametrize("client", CLIENTS)
async def test_acknowledged_and_plain_publications(join, uri, client):
    publisher, subscriber = await join(client), await join("autobahn-ws-msgpack")
    subscription = await subscriber.subscribe(uri)
    for acknowledge in (True, False, True):
        await publisher.publish(uri, [acknowledge], acknowledge=acknowledge)
    assert [event.args for event in await subscription.take(3)] == [[True], [False], [True]]
    # Without subscribers a publication is acknowledged all the same.
    await publisher.publish(f"{uri}.nobody", [1])


async def test_publications_have_different_ids(join, uri):
    publisher = await join("autobahn-ws-cbor")
    idents = [await publisher.publish(uri, [i]) for i in range(20)]
    assert len(set(idents)) == 20 and all(1 <= ident <= 2**53 for ident in idents)


@pytest.mark.parametrize("client", CLIENTS)
async def test_publishers_get_their_own_events_only_if_they_ask(join, uri, client):
    publisher, other = await join(client), await join("autobahn-rs-cbor")
    own, others = await publisher.subscribe(uri), await other.subscribe(uri)
    await publisher.publish(uri, ["default"])
    expected = ["default"]
    # wampy.js sends `exclude_me` only when it is true.
    if publisher.spec.client != "wampy":
        await publisher.publish(uri, ["included"], exclude_me=False)
        expected.append("included")
    await publisher.publish(uri, ["excluded"], exclude_me=True)
    await other.publish(uri, ["foreign"])
    expected.append("excluded")
    assert [event.args[0] for event in await others.take(len(expected))] == expected
    mine = ["included", "foreign"] if "included" in expected else ["foreign"]
    assert [event.args[0] for event in await own.take(len(mine))] == mine
    assert own.is_empty


@pytest.mark.parametrize(("caller", "callee"), CALLS)
@pytest.mark.parametrize("how", ["leave", "drop", "unregister"])
async def test_callee_goes_away_during_a_call(join, uri, caller, callee, how):
    caller, callee = await join(caller), await join(callee)
    registration = await callee.register(uri, "hold")
    call = asyncio.ensure_future(caller.call(uri, ["held"]))
    await reached(callee, uri)
    if how == "unregister":
        # The call is not lost with the registration, only with the session.
        await callee.unregister(registration)
        await asyncio.sleep(0.1)
        assert not call.done()
        await callee.drop()
    else:
        await getattr(callee, how)()
    with pytest.raises(CallError) as caught:
        await call
    assert caught.value.uri == "wamp.error.canceled"


async def reached(callee, uri):
    """Waits until the calls that other sessions sent before have surely been queued to `callee`."""
    await asyncio.sleep(0.1)
    subscription = await callee.subscribe(f"{uri}.reached")
    await callee.unsubscribe(subscription)


@pytest.mark.parametrize(("caller", "callee"), CALLS)
@pytest.mark.parametrize("how", ["leave", "drop"])
async def test_caller_goes_away_during_a_call(join, uri, caller, callee, how):
    leaving, staying, callee = await join(caller), await join(caller), await join(callee)
    await callee.register(f"{uri}.hold", "hold")
    await callee.register(f"{uri}.echo", "echo")
    call = asyncio.ensure_future(leaving.call(f"{uri}.hold"))
    await reached(callee, uri)
    await getattr(leaving, how)()
    call.cancel()
    # The callee is none the worse for it, and a session that stays is not answered for one that left.
    assert (await staying.call(f"{uri}.echo", ["still here"])).args == ["still here"]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("how", ["leave", "drop"])
async def test_what_a_session_owned_goes_with_it(join, uri, client, how):
    gone, other = await join(client), await join("autobahn-ws-json")
    await gone.register(uri)
    await gone.subscribe(f"{uri}.topic")
    assert (await other.call(uri, [1])).args == [1]
    await getattr(gone, how)()
    async with asyncio.timeout(5):
        while True:
            try:
                registration = await other.register(uri)
                break
            except CallError as error:
                # A dropped connection may be noticed a moment later; a session that said GOODBYE is gone when it is answered.
                assert error.uri == "wamp.error.procedure_already_exists" and how == "drop"
                await asyncio.sleep(0.02)
    await other.unregister(registration)


async def test_wampy_yields_twice_and_keeps_its_session(join, uri):
    """A handler that used `result_handler` and then returned: the second YIELD is ignored."""
    callee, caller = await join("wampy-ws-json"), await join("autobahn-rs-json")
    await callee.register(uri, "echo_twice")
    for i in range(5):
        assert (await caller.call(uri, [i])).args == [i]
    assert callee.is_open


@pytest.mark.parametrize("client", CLIENTS)
async def test_subscribe_unsubscribe_churn(join, uri, client):
    churning, steady, publisher = await join(client), await join(client), await join("autobahn-rs-msgpack")
    kept = await steady.subscribe(uri)
    for round_ in range(20):
        subscription = await churning.subscribe(uri)
        await publisher.publish(uri, [round_])
        assert (await subscription.next()).args == [round_], "once SUBSCRIBED has come, a publication that follows is delivered"
        await churning.unsubscribe(subscription)
    assert [event.args[0] for event in await kept.take(20)] == list(range(20))


@pytest.mark.parametrize("client", EVERY_SERIALIZER)
async def test_register_unregister_churn(join, uri, client):
    callee, caller = await join(client), await join("autobahn-ws-cbor")
    for round_ in range(20):
        registration = await callee.register(uri)
        assert (await caller.call(uri, [round_])).args == [round_]
        await callee.unregister(registration)
        with pytest.raises(CallError):
            await caller.call(uri, [round_])


@pytest.mark.parametrize("match", ["prefix", "wildcard"])
@pytest.mark.parametrize("client", EVERY_SERIALIZER + ["autobahn_js-ws-json", "wampy-ws-cbor"])
async def test_pattern_subscriptions(join, uri, client, match):
    subscriber, publisher = await join(client), await join("autobahn-ws-json")
    pattern = f"{uri}.a" if match == "prefix" else f"{uri}..end"
    subscription = await subscriber.subscribe(pattern, {"match": match})
    for topic in (f"{uri}.a.end", f"{uri}.b.start", f"{uri}.a"):
        await publisher.publish(topic, [topic])
    expected = [f"{uri}.a.end", f"{uri}.a"] if match == "prefix" else [f"{uri}.a.end"]
    assert [event.args[0] for event in await subscription.take(len(expected))] == expected
    assert subscription.is_empty
