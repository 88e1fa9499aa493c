"""WAMP over plain sockets, without a client library: what is sent is exactly what the test says, right or wrong."""

import asyncio
import base64
import hashlib
import json
import os
import struct

import cbor2
import msgpack

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE, ERROR = 1, 2, 3, 4, 5, 6, 8
PUBLISH, PUBLISHED, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED, EVENT = 16, 17, 32, 33, 34, 35, 36
CALL, CANCEL, RESULT, REGISTER, REGISTERED, UNREGISTER, UNREGISTERED = 48, 49, 50, 64, 65, 66, 67
INVOCATION, INTERRUPT, YIELD = 68, 69, 70

ALL_ROLES = {"roles": {"publisher": {}, "subscriber": {}, "caller": {}, "callee": {}}}
SERIALIZER_IDS = {"json": 1, "msgpack": 2, "cbor": 3}
PROTOCOL_VIOLATION = "wamp.error.protocol_violation"

# How long an answer may take before the test fails.
ANSWER_SECONDS = 10.0


def encode(message, serializer):
    if serializer == "json":
        return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    if serializer == "msgpack":
        return msgpack.packb(message, use_bin_type=True)
    return cbor2.dumps(message)


def decode(octets, serializer):
    if serializer == "json":
        return json.loads(octets.decode("utf-8"))
    if serializer == "msgpack":
        return msgpack.unpackb(octets, raw=False, strict_map_key=False)
    return cbor2.loads(octets)


class Closed(Exception):
    """The router ended the connection; `code` is that of a WebSocket close frame, if there was one."""

    def __init__(self, code=None):
        super().__init__(f"closed ({code})")
        self.code = code


class Connection:
    """What both framings share: messages in and out, requests and answers."""

    def __init__(self, reader, writer, serializer):
        self.reader = reader
        self.writer = writer
        self.serializer = serializer
        self.session = None
        self.details = None
        self.requests = 0

    async def send(self, *messages):
        """Sends all `messages` in one write."""
        self.writer.write(b"".join(self.frame(encode(message, self.serializer)) for message in messages))
        await self.writer.drain()

    async def send_payload(self, octets):
        """Sends `octets` as one message, whatever they are."""
        self.writer.write(self.frame(octets))
        await self.writer.drain()

    async def send_octets(self, octets):
        """Sends `octets` without any framing."""
        self.writer.write(octets)
        await self.writer.drain()

    async def receive(self, seconds=ANSWER_SECONDS):
        """The next message; raises `Closed` at the end of the connection."""
        return decode(await self.receive_payload(seconds), self.serializer)

    async def receive_payload(self, seconds=ANSWER_SECONDS):
        try:
            return await asyncio.wait_for(self.read_message(), seconds)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Closed from None

    async def expect(self, kind, seconds=ANSWER_SECONDS):
        message = await self.receive(seconds)
        assert message[0] == kind, f"a message of type {kind} expected, {message!r:.300} came"
        return message

    async def expect_abort(self, reason=PROTOCOL_VIOLATION):
        """ABORT with `reason`, and then the end of the connection. Events that were on their way may come first."""
        message = await self.receive()
        while message[0] == EVENT:
            message = await self.receive()
        assert message[0] == ABORT and message[2] == reason, f"ABORT {reason} expected, {message!r:.300} came"
        await self.expect_end()
        return message

    async def expect_end(self, seconds=ANSWER_SECONDS):
        """The end of the connection, with nothing before it. Returns the WebSocket close code."""
        try:
            octets = await self.receive_payload(seconds)
        except Closed as closed:
            return closed.code
        raise AssertionError(f"the end of the connection expected, {octets!r:.300} came")

    async def expect_silence(self, seconds=0.3):
        try:
            octets = await self.receive_payload(seconds)
        except asyncio.TimeoutError:
            return
        raise AssertionError(f"no message expected, {octets!r:.300} came")

    async def hello(self, realm="realm1", details=None):
        await self.send([HELLO, realm, ALL_ROLES if details is None else details])
        welcome = await self.expect(WELCOME)
        self.session, self.details = welcome[1], welcome[2]
        self.requests = 0
        return welcome

    def next_request(self):
        self.requests += 1
        return self.requests

    async def subscribe(self, topic, options=None):
        await self.send([SUBSCRIBE, self.next_request(), options or {}, topic])
        answer = await self.expect(SUBSCRIBED)
        assert answer[1] == self.requests
        return answer[2]

    async def register(self, procedure, options=None):
        await self.send([REGISTER, self.next_request(), options or {}, procedure])
        answer = await self.expect(REGISTERED)
        assert answer[1] == self.requests
        return answer[2]

    async def publish(self, topic, *payload, **options):
        await self.send([PUBLISH, self.next_request(), {"acknowledge": True, **options}, topic, *payload])
        answer = await self.expect(PUBLISHED)
        assert answer[1] == self.requests
        return answer[2]

    def abort(self):
        """Cuts the connection."""
        self.writer.transport.abort()

    async def close(self):
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (ConnectionError, OSError):
            pass


class RawSocket(Connection):
    """WAMP-over-RawSocket. `ping` and `pong` frames can be sent by hand; PINGs that come in are kept in `pings`."""

    def __init__(self, reader, writer, serializer):
        super().__init__(reader, writer, serializer)
        self.pings = []
        self.pongs = []

    @classmethod
    async def open(cls, address, serializer="json", length=15):
        reader, writer = await connect(address)
        writer.write(bytes([0x7F, length << 4 | SERIALIZER_IDS[serializer], 0, 0]))
        connection = cls(reader, writer, serializer)
        answer = await asyncio.wait_for(reader.readexactly(4), ANSWER_SECONDS)
        assert answer[0] == 0x7F and answer[1] & 15 == SERIALIZER_IDS[serializer] and answer[2:] == b"\0\0", answer.hex()
        connection.length_max = 2 ** (9 + (answer[1] >> 4))
        return connection

    def frame(self, octets, kind=0):
        return struct.pack(">I", kind << 24 | len(octets)) + octets

    async def read_message(self):
        while True:
            (header,) = struct.unpack(">I", await self.reader.readexactly(4))
            octets = await self.reader.readexactly(header & 0xFF_FFFF)
            kind = header >> 24
            if kind == 0:
                return octets
            if kind == 2:
                self.pongs.append(octets)
                return await self.read_message()
            assert kind == 1, f"frame type {kind}"
            self.pings.append(octets)

    async def ping(self, octets):
        """Sends a PING and returns the payload of the PONG."""
        self.writer.write(self.frame(octets, kind=1))
        (header,) = struct.unpack(">I", await asyncio.wait_for(self.reader.readexactly(4), ANSWER_SECONDS))
        assert header >> 24 == 2, f"a PONG expected, frame type {header >> 24} came"
        return await asyncio.wait_for(self.reader.readexactly(header & 0xFF_FFFF), ANSWER_SECONDS)


class WebSocket(Connection):
    """WAMP-over-WebSocket with frames made by hand. Pings are answered."""

    GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

    @classmethod
    async def open(cls, address, serializer="json", extra=()):
        """`extra`: further lines of the request's head."""
        reader, writer = await connect(address)
        key = base64.b64encode(os.urandom(16))
        writer.write(cls.request(key, [f"wamp.2.{serializer}"], extra=extra))
        connection = cls(reader, writer, serializer)
        status, headers = await connection.read_head()
        connection.headers = headers
        assert status == 101, f"101 expected, {status} came"
        accept = base64.b64encode(hashlib.sha1(key + cls.GUID).digest()).decode()
        assert headers["sec-websocket-accept"] == accept and headers["sec-websocket-protocol"] == f"wamp.2.{serializer}"
        return connection

    @staticmethod
    def request(key, protocols, path="/ws", extra=()):
        lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key.decode()}", "Sec-WebSocket-Version: 13"]
        lines += [f"Sec-WebSocket-Protocol: {', '.join(protocols)}"] if protocols else []
        return "\r\n".join([*lines, *extra, "", ""]).encode()

    async def read_head(self):
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), ANSWER_SECONDS)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(":", 1) for line in lines if line)
        return int(first.split()[1]), {name.lower(): value.strip() for name, value in headers.items()}

    def frame(self, octets, opcode=None, *, final=True, masked=True, reserved=0):
        if opcode is None:
            opcode = self.TEXT if self.serializer == "json" else self.BINARY
        size = len(octets)
        first = (0x80 if final else 0) | reserved << 4 | opcode
        mask_bit = 0x80 if masked else 0
        if size < 126:
            head = struct.pack(">BB", first, mask_bit | size)
        elif size < 1 << 16:
            head = struct.pack(">BBH", first, mask_bit | 126, size)
        else:
            head = struct.pack(">BBQ", first, mask_bit | 127, size)
        if not masked:
            return head + octets
        key = os.urandom(4)
        return head + key + mask(octets, key)

    async def read_message(self):
        parts = []
        while True:
            opcode, final, octets = await self.read_frame()
            if opcode == self.PING:
                self.writer.write(self.frame(octets, self.PONG))
            elif opcode == self.CLOSE:
                code = struct.unpack(">H", octets[:2])[0] if len(octets) >= 2 else None
                self.writer.write(self.frame(octets, self.CLOSE))
                await self.reader.read()
                raise Closed(code)
            elif opcode in (self.TEXT, self.BINARY, self.CONTINUATION):
                parts.append(octets)
                if final:
                    return b"".join(parts)

    async def read_frame(self):
        first, second = await self.reader.readexactly(2)
        assert first & 0x70 == 0 and second & 0x80 == 0, "reserved bits or a mask from the router"
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
        return first & 15, bool(first & 0x80), await self.reader.readexactly(size)


FRAMINGS = {"rs": RawSocket, "ws": WebSocket}


async def connect(address):
    """A stream to `(host, port)`, to the path of a Unix socket, or over TLS (`harness.tls`)."""
    if isinstance(address, str):
        opening = asyncio.open_unix_connection(address)
    else:
        opening = asyncio.open_connection(*address) if isinstance(address, tuple) else address.open()
    return await asyncio.wait_for(opening, ANSWER_SECONDS)


def mask(octets, key):
    if not octets:
        return octets
    repeated = key * (len(octets) // 4 + 1)
    return (int.from_bytes(octets, "big") ^ int.from_bytes(repeated[: len(octets)], "big")).to_bytes(len(octets), "big")
