"""Payloads that rules want to be validated, as client libraries send them."""

from pathlib import Path

import pytest

from harness.peers import CallError
from harness.router import Endpoints, scratch, start_configured

INVALID = "wamp.error.invalid_argument"

CONFIG = """
[router]
shards = 2
[[listeners]]
listen = "127.0.0.1:0"

[[realms]]
name = "realm1"
[[realms.roles]]
name = "anonymous"
permissions = [
  { uri = "", match = "prefix", allow = ["call", "register", "publish", "subscribe"] },
  { uri = "com.example.sum", allow = ["call", "register"], validate = { call = "sum.json" } },
  { uri = "com.example.echo", allow = ["call", "register"], validate = { call_result = "sum.json" } },
  { uri = "com.example.news", allow = ["publish", "subscribe"], validate = { event = "sum.json" } },
]
"""

SCHEMA = """{"properties": {
  "args": {"items": {"type": "integer"}, "minItems": 2},
  "kwargs": {"properties": {"unit": {"enum": ["m", "km"]}}, "additionalProperties": false}
}}"""

CLIENTS = ["autobahn-ws-json", "autobahn-ws-msgpack", "autobahn-rs-cbor", "autobahn_js-ws-cbor", "wampy-ws-msgpack", "xconn-rs-msgpack"]


@pytest.fixture(scope="module")
def validating():
    """A router with a rule for each kind of payload."""
    with scratch() as directory:
        (Path(directory) / "sum.json").write_text(SCHEMA, encoding="utf-8")
        router, (plain,) = start_configured(directory, CONFIG)
        yield Endpoints(plain=plain)
        router.stop()


@pytest.fixture
def join(loop, validating, request, node_if_needed):
    """Opens peers of that router that are closed after the test."""
    from conftest import Joiner

    joiner = Joiner(loop, validating, request)
    yield joiner
    loop.run_until_complete(joiner.close())


async def error_of(request):
    """The error that answers a request."""
    with pytest.raises(CallError) as caught:
        await request
    return caught.value.uri


@pytest.mark.parametrize("client", CLIENTS)
async def test_payloads_are_validated(join, client):
    peer, other = await join(client), await join("autobahn-ws-json")
    for procedure in ("com.example.sum", "com.example.echo"):
        await other.register(procedure)
    news = await other.subscribe("com.example.news")
    assert await error_of(peer.call("com.example.sum", [1])) == INVALID
    assert await error_of(peer.call("com.example.sum", [1, "two"])) == INVALID
    assert await error_of(peer.call("com.example.sum", [1, 2], {"unit": "mile"})) == INVALID
    await peer.call("com.example.sum", [1, 2], {"unit": "km"})
    assert await error_of(peer.call("com.example.echo", ["text", "text"])) == INVALID
    await peer.call("com.example.echo", [1, 2])
    assert await error_of(peer.publish("com.example.news", ["text"])) == INVALID
    await peer.publish("com.example.news", [3, 4])
    event = await news.next()
    assert event.args == [3, 4]
