"""The RawSocket transport octet by octet: handshake, frames, limits."""

import asyncio
import struct

import pytest

from harness import raw
from harness.raw import ABORT, ALL_ROLES, CALL, ERROR, EVENT, HELLO, INVOCATION, RESULT, SUBSCRIBED, WELCOME, YIELD

SMALL_CONFIG = """
router = { shards = 2 }
limits = { message_bytes_max = "64KiB" }
listeners = [{ listen = "127.0.0.1:0" }]
realms = [{ name = "realm1" }]
"""
SMALL_BYTES_MAX = 64 * 1024


async def handshake(address, octets):
    """Sends `octets` and returns everything that comes until the router closes or a moment has passed."""
    reader, writer = await raw.connect(address)
    writer.write(octets)
    answer = b""
    try:
        async with asyncio.timeout(1):
            while piece := await reader.read(100):
                answer += piece
        is_closed = True
    except TimeoutError:
        is_closed = False
    except ConnectionError:
        is_closed = True
    writer.close()
    return answer, is_closed


@pytest.mark.parametrize("serializer", [1, 2, 3])
async def test_every_length_is_accepted(address, serializer):
    for length in range(16):
        answer, is_closed = await short_handshake(address, bytes([0x7F, length << 4 | serializer, 0, 0]))
        assert answer == bytes([0x7F, 0xF0 | serializer, 0, 0]) and not is_closed


async def short_handshake(address, octets):
    reader, writer = await raw.connect(address)
    writer.write(octets)
    answer = await asyncio.wait_for(reader.readexactly(4), 5)
    writer.close()
    return answer, reader.at_eof()


@pytest.mark.parametrize("serializer", range(4, 16))
async def test_unsupported_serializer_is_error_1(address, serializer):
    assert await handshake(address, bytes([0x7F, 0xF0 | serializer, 0, 0])) == (b"\x7f\x10\0\0", True)


async def test_serializer_0_fails_the_connection(address):
    answer, is_closed = await handshake(address, b"\x7f\xf0\0\0")
    assert is_closed and answer in (b"", b"\x7f\x10\0\0")


@pytest.mark.parametrize("reserved", [b"\0\x01", b"\x80\0", b"\xff\xff"])
async def test_reserved_octets_are_error_3(address, reserved):
    assert await handshake(address, b"\x7f\xf1" + reserved) == (b"\x7f\x30\0\0", True)


@pytest.mark.parametrize("octets", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x80\xf1\0\0", b"\x16\x03\x01\0\x05abcde"])
async def test_neither_rawsocket_nor_http(address, octets):
    answer, is_closed = await handshake(address, octets)
    assert is_closed and not answer.startswith(b"\x7f")


async def test_octet_by_octet(address, connections, uri):
    """However the octets are cut, they mean the same."""
    reader, writer = await raw.connect(address)
    connection = raw.RawSocket(reader, writer, "msgpack")
    connections.append(connection)
    octets = b"\x7f\xf2\0\0" + connection.frame(raw.encode([HELLO, "realm1", ALL_ROLES], "msgpack"))
    octets += connection.frame(raw.encode([raw.SUBSCRIBE, 1, {}, uri], "msgpack"))
    for octet in octets:
        writer.write(bytes([octet]))
        await writer.drain()
        await asyncio.sleep(0)
    assert await asyncio.wait_for(reader.readexactly(4), 5) == b"\x7f\xf2\0\0"
    await connection.expect(WELCOME)
    await connection.expect(SUBSCRIBED)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 70_000])
@pytest.mark.parametrize("has_session", [False, True])
async def test_ping_is_answered_with_the_same_octets(open_connection, size, has_session):
    connection = await open_connection()
    if has_session:
        await connection.hello()
    octets = bytes(i % 251 for i in range(size))
    assert await connection.ping(octets) == octets
    if not has_session:
        await connection.hello()


async def test_ping_between_messages(open_session, uri):
    connection = await open_session()
    await connection.send_octets(connection.frame(b"one", kind=1) + connection.frame(b'[32,1,{},"%s"]' % uri.encode()) + connection.frame(b"two", kind=1))
    await connection.expect(SUBSCRIBED)
    await connection.publish(uri)
    assert connection.pongs == [b"one", b"two"]


BAD_HEADERS = {
    "reserved_bits": 0x1000_0004,
    "all_reserved_bits": 0xF000_0004,
    "type_3": 0x0300_0004,
    "type_7": 0x0700_0004,
    "extra_bit_with_a_length": 0x0800_0004,
    "extra_bit_of_a_ping": 0x0900_0004,
}


@pytest.mark.parametrize("header", BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
async def test_bad_frame_header_ends_the_connection(open_session, header):
    connection = await open_session()
    await connection.send_octets(struct.pack(">I", header) + b"[16]")
    await ends(connection)


async def ends(connection):
    """The connection ends; an ABORT may come first."""
    try:
        message = await connection.receive()
        assert message[0] == ABORT
    except raw.Closed:
        return
    await connection.expect_end()


@pytest.mark.limit(60)
async def test_longest_message(open_session, uri):
    """2^24 - 1 octets, the longest message on every transport, and one octet more."""
    reader, connection = await open_session("rs", "msgpack"), await open_session("rs", "msgpack")
    await reader.subscribe(uri)
    envelope = len(raw.encode([raw.PUBLISH, 1, {"acknowledge": True}, uri, [b"x" * 2**20]], "msgpack")) - 2**20
    # The EVENT's envelope is shorter than that of the PUBLISH.
    payload = b"x" * (2**24 - 1 - envelope)
    await connection.send([raw.PUBLISH, 1, {"acknowledge": True}, uri, [payload]])
    await connection.expect(raw.PUBLISHED)
    assert (await reader.expect(EVENT))[4] == [payload]
    too_long = raw.encode([raw.PUBLISH, 2, {"acknowledge": True}, uri, [payload + b"x"]], "msgpack")
    assert len(too_long) == 2**24
    try:
        await connection.send_octets(struct.pack(">I", 0x0800_0000) + too_long)
    except ConnectionError:
        pass
    await ends(connection)
    await reader.expect_silence()


async def test_configured_limit(configured_router, open_session, open_connection, uri):
    _, (address,) = configured_router(SMALL_CONFIG)
    reader = await open_session("ws", "cbor", address=address)
    await reader.subscribe(uri)
    connection = await open_session("rs", "json", address=address)
    envelope = len(raw.encode([raw.PUBLISH, 1, {"acknowledge": True}, uri, [""]], "json"))
    fits = "x" * (SMALL_BYTES_MAX - envelope)
    await connection.send([raw.PUBLISH, 1, {"acknowledge": True}, uri, [fits]])
    await connection.expect(raw.PUBLISHED)
    assert (await reader.expect(EVENT))[4] == [fits]
    try:
        await connection.send([raw.PUBLISH, 2, {"acknowledge": True}, uri, [fits + "x"]])
    except ConnectionError:
        pass
    await ends(connection)
    await reader.expect_silence()


async def test_declared_length_alone_ends_it(configured_router, open_session):
    """A length beyond the limit is refused before the octets come."""
    _, (address,) = configured_router(SMALL_CONFIG)
    connection = await open_session("rs", "json", address=address)
    await connection.send_octets(struct.pack(">I", 0x00FF_FFFF))
    await ends(connection)


async def test_clients_own_limit_binds_events(open_connection, open_session, uri):
    """What is too long for one receiver is dropped for it alone."""
    small = await open_connection("rs", "json", length=0)
    await small.hello()
    large, publisher = await open_session("rs", "json"), await open_session("ws", "json")
    for connection in (small, large):
        await connection.subscribe(uri)
    for text in ("a" * 100, "b" * 600, "c" * 100):
        await publisher.publish(uri, [text])
    assert [(await large.expect(EVENT))[4][0][0] for _ in range(3)] == ["a", "b", "c"]
    assert [(await small.expect(EVENT))[4][0][0] for _ in range(2)] == ["a", "c"]


async def test_clients_own_limit_binds_calls(open_connection, open_session, uri):
    small = await open_connection("rs", "json", length=0)
    await small.hello()
    other = await open_session("ws", "msgpack")
    await small.register(uri)
    await other.register(f"{uri}.long")
    # The INVOCATION does not fit.
    await other.send([CALL, other.next_request(), {}, uri, ["x" * 600]])
    assert (await other.expect(ERROR))[4] == "wamp.error.payload_size_exceeded"
    # The RESULT does not fit.
    await small.send([CALL, small.next_request(), {}, f"{uri}.long"])
    invocation = await other.expect(INVOCATION)
    await other.send([YIELD, invocation[1], {}, ["x" * 600]])
    assert (await small.expect(ERROR))[4] == "wamp.error.payload_size_exceeded"
    # Both sessions go on.
    await other.send([CALL, other.next_request(), {}, uri, ["fits"]])
    invocation = await small.expect(INVOCATION)
    await small.send([YIELD, invocation[1], {}, ["fits too"]])
    assert (await other.expect(RESULT))[3] == ["fits too"]
