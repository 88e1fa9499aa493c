"""What arrives is what was sent: the payload matrix between clients, transports and serializers."""

import pytest

from conftest import parse
from harness.payloads import PAYLOADS, incoming, is_expressible, large_octets, large_text, outgoing
from harness.peers import CallError, FAILURE
from harness.values import difference

SERIALIZERS = ("json", "msgpack", "cbor")
AUTOBAHN = {transport: [f"autobahn-{transport}-{name}" for name in SERIALIZERS] for transport in ("ws", "wss", "rs", "rss", "unix")}
JAVASCRIPT = [f"{client}-ws-{name}" for client in ("autobahn_js", "wampy") for name in SERIALIZERS] + ["autobahn_js-rs-json"]
XCONN = [f"xconn-{transport}-{name}" for transport in ("ws", "rs") for name in SERIALIZERS]

# Every client with every serializer, each over one transport: all ordered pairs of these are tried.
CORE = AUTOBAHN["ws"] + JAVASCRIPT + XCONN[3:]
# Every other combination of client, transport and serializer is tried with these two.
REFERENCES = ["autobahn-ws-json", "autobahn-rs-cbor"]
REST = AUTOBAHN["rs"] + AUTOBAHN["unix"] + AUTOBAHN["wss"] + AUTOBAHN["rss"] + XCONN[:3]
REST += ["autobahn_js-wss-json", "wampy-wss-cbor", "xconn-unix-msgpack", "autobahn_js-unix-json"]

PAIRS = [(one, other) for one in CORE for other in CORE]
PAIRS += [(one, other) for one in REST for other in REFERENCES] + [(other, one) for one in REST for other in REFERENCES]
PAIRS += [(one, one) for one in REST]


def check(payload, sender, receiver, args, kwargs, *, via=None):
    """Fails unless `args` and `kwargs` are what `payload` becomes on its way from `sender` to `receiver`, or there and back `via` a callee."""
    typed = sender.typed and receiver.typed and (via is None or via.typed)
    for what, sent, got in (("args", payload.args, args), ("kwargs", payload.kwargs, kwargs)):
        found = difference(incoming(sent, receiver), got, typed=typed)
        assert found is None, f"{payload.name}, {sender} to {receiver}: {what} {found}"


@pytest.mark.parametrize(("sender", "receiver"), PAIRS)
async def test_events_arrive_as_published(pool, uri, sender, receiver):
    publisher = await pool.get(parse(sender), "publisher")
    subscriber = await pool.get(parse(receiver), "subscriber")
    subscription = await subscriber.subscribe(uri)
    payloads = [payload for payload in PAYLOADS if is_expressible(payload, publisher.spec, subscriber.spec)]
    for payload in payloads:
        await publisher.publish(uri, outgoing(payload.args, publisher.spec), outgoing(payload.kwargs, publisher.spec))
    for payload in payloads:
        event = await subscription.next()
        check(payload, publisher.spec, subscriber.spec, event.args, event.kwargs)
    assert subscription.is_empty
    await subscriber.unsubscribe(subscription)


@pytest.mark.parametrize(("sender", "receiver"), PAIRS)
async def test_results_return_as_called(pool, uri, sender, receiver):
    caller = await pool.get(parse(sender), "caller")
    callee = await pool.get(parse(receiver), "callee")
    registration = await callee.register(uri, "echo")
    for payload in PAYLOADS:
        if not (is_expressible(payload, caller.spec, callee.spec) and is_expressible(payload, callee.spec, caller.spec)):
            continue
        result = await caller.call(uri, outgoing(payload.args, caller.spec), outgoing(payload.kwargs, caller.spec))
        check(payload, caller.spec, caller.spec, result.args, result.kwargs, via=callee.spec)
    await callee.unregister(registration)


# xconn's ERROR carries no keyword arguments.
ERROR_PAIRS = [(one, other) for one in CORE for other in CORE if REFERENCES[0] in (one, other) or one == other]


@pytest.mark.parametrize(("sender", "receiver"), ERROR_PAIRS)
async def test_errors_carry_their_payload(pool, uri, sender, receiver):
    caller = await pool.get(parse(sender), "caller")
    callee = await pool.get(parse(receiver), "callee")
    registration = await callee.register(uri, "fail")
    args, kwargs = ["went wrong", 7, [True, None]], {"why": {"deep": "ünicode 🜂"}}
    with pytest.raises(CallError) as caught:
        await caller.call(uri, args, kwargs)
    assert caught.value.uri == FAILURE
    assert caught.value.error_args == args
    assert caught.value.error_kwargs == ({} if callee.spec.client == "xconn" else kwargs)
    await callee.unregister(registration)


# Ten megabytes are more than xconn announces to take (1 MiB over RawSocket, 1 MiB over WebSocket).
LARGE = [(one, other) for one in AUTOBAHN["ws"] for other in AUTOBAHN["rs"]]
LARGE += [("autobahn-wss-msgpack", "autobahn-rss-json"), ("autobahn-unix-json", "autobahn-wss-cbor")]
LARGE += [("autobahn-ws-msgpack", f"{name}-ws-{serializer}") for name in ("autobahn_js", "wampy") for serializer in SERIALIZERS]
LARGE += [(f"{name}-ws-{serializer}", "autobahn-rs-json") for name in ("autobahn_js", "wampy") for serializer in SERIALIZERS]


@pytest.mark.limit(60)
@pytest.mark.parametrize(("sender", "receiver"), LARGE)
async def test_ten_megabytes(pool, uri, sender, receiver):
    publisher = await pool.get(parse(sender), "publisher")
    subscriber = await pool.get(parse(receiver), "subscriber")
    subscription = await subscriber.subscribe(uri)
    for value in (large_text(), large_octets()):
        sent = outgoing([value], publisher.spec)
        await publisher.publish(uri, sent)
        event = await subscription.next()
        # Not `==` in the assertion: nobody wants to read ten megabytes of difference.
        is_same = event.args == incoming([value], subscriber.spec)
        assert is_same, f"{type(value).__name__} of {len(value)} came as {type(event.args[0]).__name__} of {len(event.args[0])}"
    await subscriber.unsubscribe(subscription)


@pytest.mark.limit(60)
@pytest.mark.parametrize(("sender", "receiver"), [("autobahn-ws-json", "autobahn-rs-msgpack"), ("autobahn-rs-cbor", "autobahn-ws-json")])
async def test_ten_megabytes_there_and_back(pool, uri, sender, receiver):
    caller = await pool.get(parse(sender), "caller")
    callee = await pool.get(parse(receiver), "callee")
    registration = await callee.register(uri, "echo")
    for value in (large_text(), large_octets()):
        result = await caller.call(uri, [value], {"size": len(value)})
        is_same = result.args == [value] and result.kwargs == {"size": len(value)}
        assert is_same
    await callee.unregister(registration)
