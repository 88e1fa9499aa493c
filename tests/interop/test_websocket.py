"""The WebSocket transport octet by octet: opening handshake, subprotocols, frames. RFC 6455 itself is Autobahn|Testsuite's part."""

import asyncio
import base64
import os
import struct

import pytest

from harness import raw
from harness.raw import ABORT, SUBSCRIBED, WebSocket


async def request(address, octets, *, closes=True):
    """The status of the answer to `octets`, its headers, and whether the router then closed."""
    reader, writer = await raw.connect(address)
    writer.write(octets)
    connection = WebSocket(reader, writer, "json")
    status, headers = await connection.read_head()
    if closes:
        await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return status, headers


def upgrade(protocols=("wamp.2.json",), **options):
    return WebSocket.request(base64.b64encode(os.urandom(16)), list(protocols), **options)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["wamp.2.cbor", "wamp.2.json"], "wamp.2.cbor"),
        (["wamp.2.json", "wamp.2.cbor"], "wamp.2.json"),
        (["wamp.2.msgpack"], "wamp.2.msgpack"),
        (["mqtt", "wamp.2.nonsense", "wamp.2.msgpack", "wamp.2.json"], "wamp.2.msgpack"),
    ],
)
@pytest.mark.parametrize("separator", [", ", ",", " ,\t"])
async def test_first_known_subprotocol_is_chosen(address, offered, chosen, separator):
    octets = upgrade(offered).replace(", ".join(offered).encode(), separator.join(offered).encode())
    status, headers = await request(address, octets, closes=False)
    assert status == 101 and headers["sec-websocket-protocol"] == chosen
    assert headers["upgrade"].lower() == "websocket" and headers["connection"].lower() == "upgrade"
    assert "sec-websocket-extensions" not in headers


@pytest.mark.parametrize("offered", [[], ["mqtt"], ["wamp.1", "wamp.2", "wamp.2.unknown"]])
async def test_no_known_subprotocol_is_refused(address, offered):
    status, _ = await request(address, upgrade(offered))
    assert status == 400


REFUSED = {
    "unknown_path": (upgrade(path="/nowhere"), {404}),
    "no_upgrade": (b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404, 426}),
    "post": (upgrade().replace(b"GET", b"POST"), {400, 405}),
    "no_key": (upgrade().replace(b"Sec-WebSocket-Key", b"X-Key"), {400}),
    "short_key": (WebSocket.request(b"c2hvcnQ=", ["wamp.2.json"]), {400}),
    "version_8": (upgrade().replace(b"Version: 13", b"Version: 8"), {400, 426}),
    "http_1_0": (upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"), {400, 426, 505}),
    "not_http": (b"GET /ws\r\n\r\n", {400}),
    "long_head": (upgrade(extra=["X-Long: " + "x" * 20_000]), {431}),
    "many_headers": (upgrade(extra=[f"X-{i}: {i}" for i in range(150)]), {431}),
}


@pytest.mark.parametrize(("octets", "statuses"), REFUSED.values(), ids=REFUSED.keys())
async def test_refused_with_a_status(address, octets, statuses):
    status, _ = await request(address, octets)
    assert status in statuses


async def test_head_octet_by_octet(address, connections, uri):
    reader, writer = await raw.connect(address)
    connection = WebSocket(reader, writer, "json")
    connections.append(connection)
    for octet in upgrade():
        writer.write(bytes([octet]))
        await asyncio.sleep(0)
    status, _ = await connection.read_head()
    assert status == 101
    await connection.hello()
    await connection.subscribe(uri)


async def test_fragments_and_pings_between_them(open_session, uri):
    connection = await open_session("ws", "json")
    octets = raw.encode([raw.SUBSCRIBE, 1, {}, uri], "json")
    pieces = [octets[:1], b"", octets[1:7], octets[7:]]
    frames = [
        connection.frame(piece, connection.CONTINUATION if i else connection.TEXT, final=i == len(pieces) - 1) + connection.frame(b"p", connection.PING)
        for i, piece in enumerate(pieces)
    ]
    await connection.send_octets(b"".join(frames))
    pongs = 0
    while True:
        opcode, _, payload = await asyncio.wait_for(connection.read_frame(), 5)
        if opcode == connection.PONG:
            assert payload == b"p"
            pongs += 1
            continue
        assert raw.decode(payload, "json")[0] == SUBSCRIBED
        break
    assert pongs >= 3


def violations():
    connection = WebSocket(None, None, "json")
    message = b"[48,1,{},\"a.b\"]"
    return {
        "unmasked": (connection.frame(message, masked=False), 1002),
        "reserved_bit_1": (connection.frame(message, reserved=4), 1002),
        "reserved_bit_3": (connection.frame(message, reserved=1), 1002),
        "reserved_opcode": (connection.frame(message, 3), 1002),
        "reserved_control_opcode": (connection.frame(b"", 11), 1002),
        "long_ping": (connection.frame(b"x" * 126, connection.PING), 1002),
        "fragmented_ping": (connection.frame(b"x", connection.PING, final=False), 1002),
        "continuation_of_nothing": (connection.frame(message, connection.CONTINUATION), 1002),
        "text_within_fragments": (connection.frame(b"[", connection.TEXT, final=False) + connection.frame(message), 1002),
        "invalid_text": (connection.frame(b"[48,1,{},\"\xff\"]"), 1007),
        "length_with_top_bit": (b"\x81\xff" + struct.pack(">Q", 1 << 63) + b"mask", 1002),
    }


@pytest.mark.parametrize(("octets", "code"), violations().values(), ids=violations().keys())
async def test_violation_of_rfc_6455(open_session, octets, code):
    connection = await open_session("ws", "json")
    await connection.send_octets(octets)
    assert await end_code(connection) == code


async def end_code(connection):
    """The close code; an ABORT may come before it."""
    try:
        message = await connection.receive()
        assert message[0] == ABORT
    except raw.Closed as closed:
        return closed.code
    return await connection.expect_end()


@pytest.mark.parametrize(("serializer", "opcode"), [("json", WebSocket.BINARY), ("msgpack", WebSocket.TEXT), ("cbor", WebSocket.TEXT)])
async def test_frame_type_must_fit_the_serializer(open_session, serializer, opcode):
    connection = await open_session("ws", serializer)
    message = b"[48,1,{},\"a.b\"]" if serializer == "json" else b"text"
    await connection.send_octets(connection.frame(message, opcode))
    assert await end_code(connection) in (1002, 1003, 1007, 1008)


async def test_too_long_is_1009(open_session):
    connection = await open_session("ws", "json")
    await connection.send_octets(b"\x81\xff" + struct.pack(">Q", 1 << 30) + b"mask")
    assert await end_code(connection) == 1009


async def test_endless_fragments_are_1009(open_session):
    connection = await open_session("ws", "msgpack")
    piece = connection.frame(b"x" * 1_000_000, connection.BINARY, final=False)
    more = connection.frame(b"x" * 1_000_000, connection.CONTINUATION, final=False)
    try:
        await connection.send_octets(piece)
        for _ in range(20):
            await connection.send_octets(more)
    except ConnectionError:
        pass
    try:
        assert await end_code(connection) == 1009
    except ConnectionError:
        pass


async def test_close_frame_is_echoed(open_session):
    connection = await open_session("ws", "json")
    await connection.send_octets(connection.frame(struct.pack(">H", 1000) + b"bye", connection.CLOSE))
    opcode, _, payload = await asyncio.wait_for(connection.read_frame(), 5)
    assert opcode == connection.CLOSE and payload[:2] == struct.pack(">H", 1000)
    assert await asyncio.wait_for(connection.reader.read(), 5) == b""
