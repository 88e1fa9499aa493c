"""Many clients at a time, spread over two shards: nothing is lost, and order is kept."""

import asyncio
import itertools

import pytest

MIXED = ["autobahn-ws-json", "autobahn-rs-msgpack", "autobahn-ws-cbor", "autobahn-unix-json", "autobahn_js-ws-msgpack", "wampy-ws-json"]
MIXED += ["xconn-rs-cbor", "autobahn-rss-cbor"]


@pytest.fixture
def started_node(node):
    return node


async def sixteen(join):
    """Two of each; the kernel spreads their connections over the shards."""
    return [await join(client) for client in MIXED * 2]


@pytest.mark.limit(60)
async def test_sixteen_clients_all_to_all_events(join, started_node, uri):
    peers = await sixteen(join)
    common = [await peer.subscribe(uri) for peer in peers]
    own = [await peer.subscribe(f"{uri}.{i}") for i, peer in enumerate(peers)]
    for i, peer in enumerate(peers):
        await peer.publish(uri, [i])
        for j in range(len(peers)):
            await peer.publish(f"{uri}.{j}", [i])
    for i, subscription in enumerate(common):
        others = [j for j in range(len(peers)) if j != i]
        assert sorted(event.args[0] for event in await subscription.take(len(others))) == others
    for i, subscription in enumerate(own):
        others = [j for j in range(len(peers)) if j != i]
        assert sorted(event.args[0] for event in await subscription.take(len(others))) == others
    assert all(subscription.is_empty for subscription in common + own)


@pytest.mark.limit(60)
async def test_sixteen_clients_all_to_all_calls(join, started_node, uri):
    peers = await sixteen(join)
    for i, peer in enumerate(peers):
        await peer.register(f"{uri}.{i}")

    async def call(caller, i, j):
        result = await caller.call(f"{uri}.{j}", [i, j])
        assert result.args == [i, j]

    pairs = itertools.product(range(len(peers)), range(len(peers)))
    await asyncio.gather(*(call(peers[i], i, j) for i, j in pairs))


@pytest.mark.limit(60)
@pytest.mark.parametrize("publisher", ["autobahn-rs-json", "autobahn-ws-msgpack", "xconn-ws-cbor"])
async def test_a_thousand_events_over_two_topics_keep_their_order(join, started_node, uri, publisher):
    publisher = await join(publisher)
    subscribers = [await join(client) for client in MIXED * 2]
    received = []
    for peer in subscribers:
        # One queue for both topics shows the order in which the client got the events.
        one, other = await peer.subscribe(f"{uri}.one"), await peer.subscribe(f"{uri}.other")
        other.queue = one.queue
        received.append(one)
    for i in range(999):
        await publisher.publish(f"{uri}.{'one' if i % 3 else 'other'}", [i], acknowledge=False)
    await publisher.publish(f"{uri}.one", [999])
    for peer, subscription in zip(subscribers, received):
        events = [event.args[0] for event in await subscription.take(1000)]
        assert events == list(range(1000)), peer.spec


@pytest.mark.limit(60)
@pytest.mark.parametrize(
    ("caller", "callee"),
    [("autobahn-ws-json", "autobahn-rs-msgpack"), ("autobahn-rs-cbor", "autobahn_js-ws-json"), ("xconn-ws-msgpack", "autobahn-unix-cbor")],
)
async def test_five_hundred_concurrent_calls(join, uri, caller, callee):
    caller, callee = await join(caller), await join(callee)
    await callee.register(uri)
    results = await asyncio.gather(*(caller.call(uri, [i], {"i": i}) for i in range(500)))
    assert [(result.args, result.kwargs) for result in results] == [([i], {"i": i}) for i in range(500)]


@pytest.mark.limit(60)
async def test_invocations_of_one_caller_keep_their_order(join, uri):
    """Calls of one caller reach one callee in order over all procedures."""
    caller, callee = await join("autobahn-ws-cbor"), await join("autobahn-rs-json")
    order = []

    def note(i):
        order.append(i)

    for name in ("one", "other"):
        await callee.step(callee.inner.register(note, f"{uri}.{name}"))
    await asyncio.gather(*(caller.call(f"{uri}.{'one' if i % 2 else 'other'}", [i]) for i in range(400)))
    assert order == list(range(400))
