"""Publications on terms (lists, disclosure, retention, resource keys) through each client library that offers them."""

import pytest

# wampy.js writes session ids above 2^32 as float64, autobahn-js as its serializer does.
PUBLISHERS = ["autobahn-ws-json", "autobahn-rs-cbor", "autobahn_js-ws-msgpack", "autobahn_js-rs-json", "wampy-ws-msgpack", "wampy-ws-cbor", "xconn-ws-json"]
SUBSCRIBERS = ["autobahn-rs-msgpack", "autobahn_js-ws-cbor", "wampy-ws-json", "xconn-rs-cbor"]


@pytest.mark.parametrize("client", PUBLISHERS)
async def test_lists_of_sessions(join, uri, client):
    publisher, one, other = await join(client), await join("autobahn-rs-json"), await join("xconn-ws-msgpack")
    first, second = await one.subscribe(uri), await other.subscribe(uri)
    await publisher.publish(uri, [1], options={"exclude": [one.session]})
    await publisher.publish(uri, [2], options={"eligible": [one.session]})
    if publisher.spec.client != "wampy":  # which does not send an empty list
        await publisher.publish(uri, [3], options={"eligible": []})
    await publisher.publish(uri, [4])
    assert [event.args for event in await first.take(2)] == [[2], [4]]
    assert [event.args for event in await second.take(2)] == [[1], [4]]


@pytest.mark.parametrize("client", PUBLISHERS)
async def test_lists_of_roles(join, uri, client):
    publisher, subscriber = await join(client), await join("autobahn-ws-cbor")
    subscription = await subscriber.subscribe(uri)
    await publisher.publish(uri, [1], options={"exclude_authrole": ["anonymous"]})
    await publisher.publish(uri, [2], options={"eligible_authrole": ["admin"]})
    await publisher.publish(uri, [3], options={"eligible_authrole": ["anonymous"]})
    assert (await subscription.next()).args == [3]


@pytest.mark.parametrize("client", SUBSCRIBERS)
async def test_retained_event(join, uri, client):
    publisher, subscriber = await join("autobahn-ws-json"), await join(client)
    await publisher.publish(f"{uri}.one", [1], options={"retain": True})
    await publisher.publish(f"{uri}.one", [2], options={"retain": True})
    await publisher.publish(f"{uri}.two", [3], options={"retain": True})
    exact = await subscriber.subscribe(f"{uri}.one", {"get_retained": True})
    assert (await exact.next()).args == [2]
    prefix = await subscriber.subscribe(uri, {"match": "prefix", "get_retained": True})
    assert [event.args for event in await prefix.take(2)] == [[2], [3]]
    await publisher.publish(f"{uri}.one", [4])
    assert (await exact.next()).args == [4]
    assert (await prefix.next()).args == [4]


async def test_disclosed_publisher(uri, join):
    """The event's details as autobahn for Python hands them out."""
    from autobahn.wamp.types import SubscribeOptions

    # autobahn for Python cannot ask for it.
    publisher, subscriber = await join("wampy-ws-msgpack"), await join("autobahn-ws-json")
    seen = []
    options = SubscribeOptions(details=True)
    await subscriber.step(subscriber.inner.subscribe(lambda *_, details: seen.append(details), uri, options=options))
    marker = await subscriber.subscribe(f"{uri}.marker")
    await publisher.publish(uri, [1], options={"disclose_me": True})
    await publisher.publish(uri, [2])
    await publisher.publish(f"{uri}.marker", [])
    await marker.next()
    assert [details.publisher for details in seen] == [publisher.session, None]
    assert seen[0].publisher_authid
    assert seen[0].publisher_authrole == "anonymous"
