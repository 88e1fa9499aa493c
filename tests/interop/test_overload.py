"""A slow consumer hurts itself only."""

import asyncio
import socket
import time

import pytest

from harness import raw
from harness.raw import CALL, ERROR, EVENT, PUBLISH
from harness.router import Endpoints

# A message limit of 1 MiB leaves the bound of the outbox at its default of 4 MiB.
CONFIG = """
router = { shards = 2 }
limits = { message_bytes_max = "1MiB" }
listeners = [{ listen = "127.0.0.1:0" }]
realms = [{ name = "realm1" }]
"""
# A multiple of 16.
EVENTS = 400
EVENT_BYTES = 64_000
OUTBOX_BYTES = 4 * 1024 * 1024
STALL_CONFIG = CONFIG.replace("limits = {", 'limits = { write_stall_timeout = "1s",')


async def open_slow(address):
    """A session whose kernel takes little and which reads nothing after it has joined."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, address)
    reader, writer = await asyncio.open_connection(sock=plain, limit=16_384)
    connection = raw.RawSocket(reader, writer, "json")
    writer.write(b"\x7f\xf1\0\0")
    assert await reader.readexactly(4) == b"\x7f\xf1\0\0"
    await connection.hello()
    return connection


@pytest.mark.limit(90)
async def test_slow_consumer_is_cut_and_nobody_else_suffers(configured_router, join, open_session, uri):
    router, (address,) = configured_router(CONFIG)
    endpoints = Endpoints(plain=address)
    healthy = [await join(client, endpoints=endpoints) for client in ("autobahn-rs-msgpack", "autobahn-ws-cbor", "xconn-rs-json")]
    subscriptions = [await peer.subscribe(uri) for peer in healthy]
    slow = await open_slow(address)
    await slow.register(f"{uri}.slow")
    await slow.subscribe(uri)
    publisher = await open_session("rs", "json", address=address)
    slowest, received = 0.0, [[] for _ in healthy]
    text = "x" * EVENT_BYTES
    for i in range(EVENTS):
        start = time.monotonic()
        await publisher.publish(uri, [i, text])
        slowest = max(slowest, time.monotonic() - start)
        # Healthy is who keeps up: at most 16 events, a quarter of the bound, are under way to anybody.
        if i % 16 == 15:
            for subscription, numbers in zip(subscriptions, received):
                numbers += [event.args[0] for event in await subscription.take(16)]
    assert received == [list(range(EVENTS))] * len(healthy)
    assert all(peer.is_open for peer in healthy)
    assert slowest < 5.0, f"a publication took {slowest:.1f} s"
    await is_gone(publisher, f"{uri}.slow")
    # What the slow one was sent before it was cut is without a gap.
    received = []
    try:
        while True:
            message = await slow.receive(5)
            if message[0] == EVENT:
                received.append(message[4][0])
    except (raw.Closed, ConnectionError):
        pass
    assert received == list(range(len(received))) and len(received) < EVENTS
    assert any("slow" in line.lower() or "outbox" in line.lower() for line in router.log), "the cut is not in the log"


async def is_gone(connection, procedure, seconds=15.0):
    """Waits until nobody serves `procedure` any more."""
    async with asyncio.timeout(seconds):
        while True:
            await connection.send([CALL, connection.next_request(), {}, procedure])
            try:
                answer = await connection.receive(1)
            except asyncio.TimeoutError:
                continue
            if answer[0] == ERROR and answer[4] == "wamp.error.no_such_procedure":
                return
            await asyncio.sleep(0.1)


@pytest.mark.limit(60)
async def test_stalled_consumer_is_cut_after_a_while(configured_router, open_session, uri):
    """Less is queued than the outbox may hold, but the peer takes none of it."""
    _, (address,) = configured_router(STALL_CONFIG)
    slow = await open_slow(address)
    await slow.register(f"{uri}.slow")
    await slow.subscribe(uri)
    publisher = await open_session("rs", "json", address=address)
    # The kernel takes some megabytes; what is left over waits in the outbox.
    text = "x" * EVENT_BYTES
    for i in range(90):
        await publisher.publish(uri, [i, text])
    await is_gone(publisher, f"{uri}.slow")


@pytest.mark.limit(60)
@pytest.mark.parametrize("count", [1_500, 20_000])
async def test_a_flood_of_publications_arrives_whole_or_ends(open_session, uri, count):
    """Sent without waiting. What fits the outbox arrives; a reader that is left too far behind is cut, never short of an event."""
    reader, publisher = await open_session("ws", "msgpack"), await open_session("rs", "cbor")
    await reader.subscribe(uri)
    text = "x" * 2000

    async def flood():
        for i in range(0, count, 50):
            await publisher.send(*([PUBLISH, j + 1, {}, uri, [j, text]] for j in range(i, i + 50)))

    sending = asyncio.ensure_future(flood())
    received = 0
    try:
        while received < count:
            assert (await reader.expect(EVENT))[4][0] == received
            received += 1
    except raw.Closed:
        assert count * len(text) > OUTBOX_BYTES, f"cut after {received} of {count} events"
    await sending
    await publisher.publish(uri, ["after"])
