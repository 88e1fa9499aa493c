"""Mutated messages: each connection is answered or ended, and a healthy pair beside them notices nothing."""

import asyncio
import os
import random
import struct

import pytest

from harness import raw
from harness.raw import (
    ALL_ROLES,
    CALL,
    CANCEL,
    ERROR,
    GOODBYE,
    HELLO,
    INVOCATION,
    PUBLISH,
    REGISTER,
    SUBSCRIBE,
    UNREGISTER,
    UNSUBSCRIBE,
    YIELD,
)

SEED = int(os.environ.get("WAMPLINE_TEST_SEED", "20260501"))
# For each framing and serializer: 12,000 in all.
MESSAGES = 2_000
PROBE = "com.example.hostile.no.such.procedure"
PROBE_REQUEST = 2**52

SEEDS = [
    [HELLO, "realm1", ALL_ROLES],
    [SUBSCRIBE, 1, {"match": "prefix"}, "com.example.hostile"],
    [UNSUBSCRIBE, 2, 1],
    [PUBLISH, 3, {"acknowledge": True, "exclude_me": False}, "com.example.hostile.topic", [1, "two", 3.5, None, [True]], {"k": {"v": -7}}],
    [PUBLISH, 4, {"eligible": [1, 2], "exclude": [3]}, "com.example.hostile.topic", ["x" * 300], {"n": 2**60}],
    [REGISTER, 5, {"match": "wildcard", "invoke": "roundrobin"}, "com.example..hostile"],
    [UNREGISTER, 6, 1],
    [CALL, 7, {"timeout": 10, "receive_progress": True}, "com.example.hostile.procedure", [[[[1]]]], {"a": {"b": {"c": 1}}}],
    [CANCEL, 7, {"mode": "kill"}],
    [YIELD, 1, {"progress": True}, [1], {}],
    [ERROR, INVOCATION, 1, {}, "com.example.error", ["args"], {"k": "w"}],
    [GOODBYE, {}, "wamp.close.close_realm"],
]

INTERESTING = [0, 1, 0x7F, 0x80, 0xC1, 0xFF, 0x22, 0x5B, 0x5D, 0x7B, 0x7D, 0x5C, 0xF7, 0x9F, 0xBF, 0xDC, 0xDF, 0xFB]


def mutate(octets, rng):
    """`octets` with a few octets changed, cut, doubled or put in."""
    changed = bytearray(octets)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(changed) + 1)
        kind = rng.randrange(6)
        if kind == 0 and changed:
            changed[at % len(changed)] ^= 1 << rng.randrange(8)
        elif kind == 1 and changed:
            changed[at % len(changed)] = rng.choice(INTERESTING)
        elif kind == 2:
            del changed[at : at + rng.randrange(1, 9)]
        elif kind == 3:
            changed[at:at] = bytes(rng.choice(INTERESTING) for _ in range(rng.randrange(1, 5)))
        elif kind == 4:
            changed[at:at] = changed[max(0, at - rng.randrange(1, 40)) : at]
        else:
            changed[at : at + 8] = struct.pack(">Q", rng.choice((0, 2**31, 2**32 - 1, 2**53 + 1, 2**64 - 1)))
    return bytes(changed)


class ProbePair:
    """A caller and a callee that go on calling while something else happens."""

    def __init__(self, caller, callee, uri):
        self.caller, self.callee, self.uri = caller, callee, uri
        self.calls = 0

    async def __aenter__(self):
        await self.callee.register(self.uri)
        self.task = asyncio.ensure_future(self.run())
        return self

    async def run(self):
        while True:
            result = await self.caller.call(self.uri, [self.calls])
            assert result.args == [self.calls]
            self.calls += 1
            await asyncio.sleep(0.005)

    async def __aexit__(self, *failure):
        # Whatever happened, a few more calls go through at once.
        enough = self.calls + 3
        async with asyncio.timeout(5):
            while self.calls < enough and not self.task.done():
                await asyncio.sleep(0.01)
        if self.task.done():
            self.task.result()
        self.task.cancel()


@pytest.mark.limit(90)
@pytest.mark.parametrize("framing", ["rs", "ws"])
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
async def test_mutated_messages(address, join, uri, framing, serializer):
    rng = random.Random(f"{SEED} {framing} {serializer}")
    async with ProbePair(await join("autobahn-ws-json"), await join("autobahn-rs-msgpack"), uri):
        connection = None
        for i in range(MESSAGES):
            message = mutate(raw.encode(rng.choice(SEEDS), serializer), rng)
            if connection is None:
                connection = await raw.FRAMINGS[framing].open(address, serializer)
                if rng.random() < 0.9:
                    await connection.hello()
            if not await is_answered(connection, message, i):
                await connection.close()
                connection = None
        if connection:
            await connection.close()


async def is_answered(connection, message, i):
    """Sends `message` and a call that must be answered. Whether it was; otherwise the connection has ended."""
    try:
        await connection.send_payload(message)
        await connection.send([CALL, PROBE_REQUEST + i, {}, PROBE])
        while True:
            answer = await connection.receive(5)
            if answer[0] == ERROR and answer[2] == PROBE_REQUEST + i:
                return True
    except (raw.Closed, ConnectionError):
        return False
    except asyncio.TimeoutError:
        raise AssertionError(f"neither answered nor ended within 5 s (seed {SEED}): {message.hex()}") from None


@pytest.mark.limit(90)
@pytest.mark.parametrize("framing", ["rs", "ws"])
async def test_mutated_streams(address, join, uri, framing):
    """The framing itself is mutated; the client then says that nothing more comes, and the router must end."""
    rng = random.Random(f"{SEED} streams {framing}")
    head = b"\x7f\xf1\0\0" if framing == "rs" else raw.WebSocket.request(b"AAAAAAAAAAAAAAAAAAAAAA==", ["wamp.2.json"])
    form = raw.FRAMINGS[framing](None, None, "json")
    stream = head + b"".join(form.frame(raw.encode(message, "json")) for message in SEEDS[:5])
    async with ProbePair(await join("autobahn-unix-cbor"), await join("autobahn-ws-json"), uri):
        for _ in range(15):
            streams = [mutate(stream, rng) for _ in range(10)]
            ended = await asyncio.gather(*(ends(address, octets) for octets in streams))
            for octets, is_ended in zip(streams, ended):
                assert is_ended, f"still open 8 s after the end of the stream (seed {SEED}): {octets.hex()}"


async def ends(address, octets):
    reader, writer = await raw.connect(address)
    try:
        writer.write(octets)
        writer.write_eof()
        await asyncio.wait_for(reader.read(-1), 8)
        return True
    except ConnectionError:
        return True
    except asyncio.TimeoutError:
        return False
    finally:
        writer.transport.abort()


@pytest.mark.limit(60)
async def test_junk(address, join, uri):
    rng = random.Random(f"{SEED} junk")
    async with ProbePair(await join("autobahn-ws-msgpack"), await join("autobahn-rs-json"), uri):
        junk = [rng.randbytes(rng.randrange(1, 3000)) for _ in range(100)]
        ended = await asyncio.gather(*(ends(address, octets) for octets in junk))
        assert all(ended)
