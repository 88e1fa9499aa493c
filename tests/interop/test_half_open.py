"""A connection that does not become a session is gone in 6 s, and newcomers do not notice it."""

import asyncio
import ssl
import time

import pytest

from harness import raw
from harness.raw import ALL_ROLES, GOODBYE

# One budget of 5 s from accept to HELLO, and what a loaded machine may add.
GONE_SECONDS = 6.0

UPGRADE = raw.WebSocket.request(b"AAAAAAAAAAAAAAAAAAAAAA==", ["wamp.2.json"])
HALF_HELLO = b"\0\0\0\x40" + b'[1,"realm1",{"roles"'

STARTS = {
    "silence": b"",
    "half_a_handshake": b"\x7f\xf1",
    "handshake_alone": b"\x7f\xf1\0\0",
    "half_a_frame": b"\x7f\xf1\0\0" + HALF_HELLO,
    "pings_alone": b"\x7f\xf1\0\0" + b"\x01\0\0\x01p" * 3,
    "half_a_request_line": b"GET /w",
    "half_a_head": UPGRADE[:-20],
    "upgrade_alone": UPGRADE,
    "upgrade_and_half_a_frame": UPGRADE + b"\x81\xff",
}
COPIES = 8


@pytest.mark.limit(40)
async def test_half_open_connections_are_gone(endpoints, open_session):
    opened = []
    for octets in STARTS.values():
        for _ in range(COPIES):
            reader, writer = await raw.connect(endpoints.plain)
            writer.write(octets)
            opened.append((reader, writer))
    # On the TLS port: silence, half a ClientHello, and a finished handshake without anything after it.
    for octets in (b"", b"\x16\x03\x01\x02\0\x01\0"):
        reader, writer = await raw.connect(endpoints.secure)
        writer.write(octets)
        opened.append((reader, writer))
    opened.append(await asyncio.open_connection(*endpoints.secure, ssl=endpoints.client_tls(), server_hostname="localhost"))
    start = time.monotonic()
    ends = [asyncio.ensure_future(until_closed(reader)) for reader, _ in opened]
    slowest = 0.0
    while not all(end.done() for end in ends):
        assert time.monotonic() - start < GONE_SECONDS + 4, f"{sum(not end.done() for end in ends)} connections still open"
        joining = time.monotonic()
        newcomer = await open_session("ws", "json")
        slowest = max(slowest, time.monotonic() - joining)
        await newcomer.close()
        await asyncio.sleep(0.2)
    took = [end.result() - start for end in ends]
    assert max(took) < GONE_SECONDS, f"the last one was closed after {max(took):.1f} s"
    assert slowest < 1.0, f"a newcomer took {slowest:.2f} s"
    for _, writer in opened:
        writer.close()


async def until_closed(reader):
    try:
        while await reader.read(4096):
            pass
    except (ConnectionError, ssl.SSLError):
        pass
    return time.monotonic()


@pytest.mark.limit(40)
async def test_slow_hello_octets_do_not_prolong_the_budget(endpoints):
    """One octet every now and then is still one budget."""
    reader, writer = await raw.connect(endpoints.plain)
    start = time.monotonic()
    end = asyncio.ensure_future(until_closed(reader))
    for octet in b"\x7f\xf1\0\0" + HALF_HELLO:
        if end.done():
            break
        try:
            writer.write(bytes([octet]))
            await writer.drain()
        except ConnectionError:
            break
        await asyncio.sleep(0.3)
    assert await end - start < GONE_SECONDS
    writer.close()


@pytest.mark.limit(40)
async def test_transport_without_another_session_is_closed(open_session):
    """After GOODBYE the transport waits for another HELLO, but not for ever."""
    connections = [await open_session("rs", "json"), await open_session("ws", "cbor")]
    start = time.monotonic()
    for connection in connections:
        await connection.send([GOODBYE, {}, "wamp.close.close_realm"])
        await connection.expect(GOODBYE)
    for connection in connections:
        await connection.expect_end(GONE_SECONDS + 3)
    assert time.monotonic() - start < GONE_SECONDS + 2


async def test_a_session_in_time_stays(open_connection, uri):
    connection = await open_connection("rs", "json")
    await asyncio.sleep(1.5)
    await connection.hello(details=ALL_ROLES)
    await connection.subscribe(uri)
