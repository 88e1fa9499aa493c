"""One client's octets never break another: payloads that trip decoders are published to subscribers of every kind."""

import asyncio
import struct

import cbor2
import msgpack
import pytest

from harness import raw
from harness.peers import CallError
from harness.raw import ABORT, ERROR, EVENT, PUBLISH, PUBLISHED

TOPIC = "com.example.poison"

SUBSCRIBERS = [f"autobahn-{transport}-{name}" for transport, name in (("ws", "json"), ("rs", "json"), ("ws", "msgpack"), ("rs", "cbor"))]
SUBSCRIBERS += [f"{client}-ws-{name}" for client in ("autobahn_js", "wampy") for name in ("json", "msgpack", "cbor")]
SUBSCRIBERS += ["autobahn_js-rs-json", "xconn-rs-json", "xconn-ws-msgpack", "xconn-rs-cbor"]

SURVIVAL_SECONDS = 5.0

# What a client cannot take although nothing is wrong with it, so that no router can help: the poison and the client.
# - msgpack5 (autobahn-js) refuses the key `__proto__` and a list within a list a hundred times.
# - autobahn for Python hands keyword arguments to functions that have a parameter of the same name.
DEFECTS_OF_CLIENTS = {("prototype_keys", "autobahn_js-ws-msgpack"), ("nested_100", "autobahn_js-ws-msgpack")}
DEFECTS_OF_CLIENTS |= {("self_keyword", client) for client in SUBSCRIBERS if client.startswith("autobahn-")}

JSON_POISONS = {
    "invalid_utf8": b'["\xff\xfe"]',
    "overlong_utf8": b'["\xc0\x80"]',
    "utf8_surrogate": b'["\xed\xa0\x80"]',
    "truncated_utf8": b'["\xf0\x9f\x98"]',
    "lone_high_surrogate": b'["\\ud800"]',
    "lone_low_surrogate": b'["\\udc00 x"]',
    "swapped_surrogates": b'["\\udc00\\ud800"]',
    "nan": b"[NaN]",
    "infinity": b"[Infinity]",
    "minus_infinity": b"[-Infinity]",
    "beyond_double": b"[1e400]",
    "far_beyond_double": b"[1e99999999]",
    "tiny": b"[1e-400]",
    "integer_of_400_digits": b"[" + b"9" * 400 + b"]",
    "integer_of_5000_digits": b"[" + b"9" * 5000 + b"]",
    "fraction_of_5000_digits": b"[0." + b"3" * 5000 + b"]",
    "integer_beyond_64_bits": b"[18446744073709551616]",
    "integer_below_64_bits": b"[-9223372036854775809]",
    "leading_zero": b"[01]",
    "plus_sign": b"[+1]",
    "bare_fraction": b"[.5]",
    "hexadecimal": b"[0x10]",
    "control_character": b'["a\x01b"]',
    "raw_newline": b'["a\nb"]',
    "bad_escape": b'["\\x41"]',
    "zero_inside": b'["a\\u0000b"]',
    "zero_and_no_base64": b'["\\u0000%%%not base64"]',
    "zero_and_short_base64": b'["\\u0000QUJ"]',
    "zero_alone": b'["\\u0000"]',
    "duplicate_keys": b'[],{"a":1,"a":2}',
    "duplicate_keys_inside": b'[{"a":1,"a":{"b":2,"b":3}}]',
    "prototype_keys": b'[{"__proto__":{"polluted":1},"constructor":{"prototype":1},"hasOwnProperty":1}]',
    "empty_key": b'[{"":1}],{"":2}',
    "self_keyword": b'[],{"self":1,"args":2,"kwargs":3,"details":4,"topic":5}',
    "trailing_comma": b"[1,]",
    "comment": b"[/*x*/1]",
    "single_quotes": b"['a']",
    "nested_100": b"[" * 100 + b"]" * 100,
    "nested_1000": b"[" * 1000 + b"]" * 1000,
    "nested_100000": b"[" * 100_000 + b"]" * 100_000,
    "nested_dicts_1000": b"[" + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"]",
    "long_key": b'[{"' + b"k" * 100_000 + b'":1}]',
    "many_keys": b"[{" + b",".join(b'"k%d":%d' % (i, i) for i in range(5000)) + b"}]",
    "escaped_everything": b'["\\u0022\\u005c\\u2028\\u2029\\uFEFF\\uFFFF\\ud83d\\ude00"]',
}

MSGPACK_POISONS = {
    "invalid_utf8": b"\x91\xa2\xff\xfe",
    "overlong_utf8": b"\x91\xa2\xc0\x80",
    "utf8_surrogate": b"\x91\xa3\xed\xa0\x80",
    "never_used_octet": b"\x91\xc1",
    "nan": b"\x91\xcb" + struct.pack(">d", float("nan")),
    "nan_with_payload": b"\x91\xcb\xff\xf8\0\0\0\0\0\x01",
    "infinity": b"\x91\xcb" + struct.pack(">d", float("inf")),
    "float32_nan": b"\x91\xca\x7f\xc0\0\0",
    "record_extension": b"\x91\xd4\x72\x40\x91\xa1a",
    "record_reference": b"\x91\xd5\x72\x40\x41",
    "extension_0": b"\x91\xd4\x00\x00",
    "structured_extensions": b"\x94\xd6\x70\0\0\0\x01\xd6\x69\0\0\0\x01\xd4\x65\x01\xd4\x78\x01",
    "timestamp_32": b"\x91\xd6\xff\x00\x00\x00\x01",
    "timestamp_nanoseconds_too_many": b"\x91\xd7\xff\xff\xff\xff\xff\0\0\0\0",
    "timestamp_96_far": b"\x91\xc7\x0c\xff\x3b\x9a\xca\x00\x7f\xff\xff\xff\xff\xff\xff\xff",
    "timestamp_wrong_length": b"\x91\xc7\x03\xff\x01\x02\x03",
    "array_claims_2_to_32": b"\xdd\xff\xff\xff\xff",
    "map_claims_2_to_32": b"\x91\xdf\xff\xff\xff\xff",
    "string_claims_2_to_32": b"\x91\xdb\xff\xff\xff\xff",
    "integer_key": b"\x91\x81\x01\x02",
    "null_key": b"\x91\x81\xc0\x02",
    "list_key": b"\x91\x81\x91\x01\x02",
    "octets_key": b"\x91\x81\xc4\x01a\x02",
    "duplicate_keys": b"\x90\x82\xa1a\x01\xa1a\x02",
    "prototype_keys": msgpack.packb([{"__proto__": {"polluted": 1}, "constructor": 1}]),
    "unsigned_64": msgpack.packb([2**64 - 1, -(2**63)]),
    "nested_1000": b"\x91" * 1000 + b"\xc0",
    "nested_100000": b"\x91" * 100_000 + b"\xc0",
    "overlong_forms": b"\xdd\0\0\0\x03\xcf\0\0\0\0\0\0\0\x01\xdb\0\0\0\x01a\xdf\0\0\0\0",
    "truncated": b"\x95\x01\x02",
    "zero_string": b"\x91\xa1\x00",
}

CBOR_POISONS = {
    "invalid_utf8": b"\x81\x62\xff\xfe",
    "invalid_utf8_in_pieces": b"\x81\x7f\x61\xc3\x61\xa9\xff",
    "indefinite_text": b"\x81\x7f\x61a\x61b\xff",
    "indefinite_octets": b"\x81\x5f\x41a\x41b\xff",
    "indefinite_list": b"\x81\x9f\x01\x02\xff",
    "indefinite_dict": b"\x81\xbf\x61a\x01\xff",
    "indefinite_dict_odd": b"\x81\xbf\x61a\xff",
    "break_alone": b"\x81\xff",
    "nan": b"\x81\xfb\x7f\xf8\0\0\0\0\0\0",
    "half_nan": b"\x81\xf9\x7e\x00",
    "half_infinity": b"\x81\xf9\x7c\x00",
    "half_smallest": b"\x81\xf9\x00\x01",
    "undefined": b"\x81\xf7",
    "simple_19": b"\x81\xf3",
    "simple_255": b"\x81\xf8\xff",
    "simple_in_long_form": b"\x81\xf8\x14",
    "reserved_length": b"\x81\x1c",
    "unknown_tag": b"\x81\xd9\x30\x39\x01",
    "date_that_is_none": b"\x81\xc0\x6anot a date",
    "date_of_number": b"\x81\xc0\x01",
    "epoch_nan": b"\x81\xc1\xfb\x7f\xf8\0\0\0\0\0\0",
    "epoch_far": b"\x81\xc1\x1b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "bignum": b"\x81\xc2\x58\x20" + b"\xff" * 32,
    "bignum_of_text": b"\x81\xc2\x61a",
    "bignum_long": b"\x81\xc2\x59\x10\x00" + b"\xff" * 4096,
    "negative_bignum": b"\x81\xc3\x49\x01\0\0\0\0\0\0\0\0",
    "integer_below_64_bits": b"\x81\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
    "decimal_fraction": b"\x81\xc4\x82\x21\x19\x6a\xb3",
    "decimal_fraction_huge": b"\x81\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",
    "bigfloat_bad": b"\x81\xc5\x81\x01",
    "typed_array": b"\x81\xd8\x40\x43\x01\x02\x03",
    "typed_array_odd": b"\x81\xd8\x55\x43\x01\x02\x03",
    "string_reference": b"\x81\xd9\x01\x00\x82\x63aaa\xd8\x19\x00",
    "string_reference_bad": b"\x81\xd8\x19\x18\x63",
    "shared_value_bad": b"\x81\xd8\x1d\x18\x63",
    "shared_cycle": b"\xd8\x1c\x81\xd8\x1d\x00",
    "rational_by_zero": b"\x81\xd8\x1e\x82\x01\x00",
    "regular_expression_bad": b"\x81\xd8\x23\x61(",
    "mime_bad": b"\x81\xd8\x24\x01",
    "uuid_short": b"\x81\xd8\x25\x41\x00",
    "set_of_lists": b"\x81\xd9\x01\x02\x82\x81\x01\x81\x02",
    "ip_address_bad": b"\x81\xd9\x01\x04\x43\x01\x02\x03",
    "date_100": b"\x81\xd8\x64\x1b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "record_tag": b"\x81\xd8\x69\x83\x19\x10\x00\x81\x61a\x01",
    "record_tag_unknown": b"\x81\xd9\xe0\x00\x82\x01\x02",
    "self_described": b"\xd9\xd9\xf7\x81\x01",
    "nested_tags": b"\x81" + b"\xd8\x40" * 500 + b"\x01",
    "list_claims_2_to_64": b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    "text_claims_2_to_63": b"\x81\x7b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "integer_key": b"\x81\xa1\x01\x02",
    "octets_key": b"\x81\xa1\x41a\x02",
    "list_key": b"\x81\xa1\x81\x01\x02",
    "duplicate_keys": b"\x80\xa2\x61a\x01\x61a\x02",
    "prototype_keys": cbor2.dumps([{"__proto__": {"polluted": 1}}]),
    "unsigned_64": cbor2.dumps([2**64 - 1]),
    "nested_1000": b"\x81" * 1000 + b"\xf6",
    "nested_100000": b"\x81" * 100_000 + b"\xf6",
    "nested_indefinite_1000": b"\x9f" * 1000 + b"\xff" * 1000,
    "overlong_forms": b"\x9b\0\0\0\0\0\0\0\x02\x1b\0\0\0\0\0\0\0\x01\x78\x01a",
    "truncated": b"\x85\x01\x02",
}

POISONS = {"json": JSON_POISONS, "msgpack": MSGPACK_POISONS, "cbor": CBOR_POISONS}


def publication(serializer, request, payload):
    """An acknowledged PUBLISH whose payload is `payload`, octet by octet.

    A payload that starts with an empty list has keyword arguments after it.
    """
    elements = 6 if payload[:1] in (b"\x80", b"\x90") else 5
    if serializer == "json":
        return b'[16,%d,{"acknowledge":true},"%s",' % (request, TOPIC.encode()) + payload + b"]"
    head = [PUBLISH, request, {"acknowledge": True}, TOPIC]
    if serializer == "msgpack":
        return bytes([0x90 | elements]) + b"".join(msgpack.packb(item) for item in head) + payload
    return bytes([0x80 | elements]) + b"".join(cbor2.dumps(item) for item in head) + payload


class Poisoner:
    """Publishes poisons over plain sockets; a connection that the router ends is opened again."""

    def __init__(self, address, framing, serializer):
        self.address, self.framing, self.serializer = address, framing, serializer
        self.connection = None

    async def publish(self, payload):
        """What became of it: `published`, `refused` or `ended`."""
        if self.connection is None:
            self.connection = await raw.FRAMINGS[self.framing].open(self.address, self.serializer)
            await self.connection.hello()
        connection = self.connection
        try:
            await connection.send_payload(publication(self.serializer, connection.next_request(), payload))
            answer = await connection.receive()
        except (raw.Closed, ConnectionError):
            answer = None
        if answer is not None and answer[0] in (PUBLISHED, ERROR):
            return "published" if answer[0] == PUBLISHED else "refused"
        assert answer is None or answer[0] == ABORT, f"{answer!r:.200}"
        await connection.close()
        self.connection = None
        return "ended"

    async def close(self):
        if self.connection:
            await self.connection.close()


@pytest.fixture
def started_node(node):
    return node


@pytest.mark.limit(120)
@pytest.mark.parametrize(("framing", "serializer"), [("rs", "json"), ("rs", "msgpack"), ("rs", "cbor"), ("ws", "cbor")])
async def test_poisons_break_nobody(address, join, started_node, framing, serializer):
    subscribers = [await Subscriber.join(join, client) for client in SUBSCRIBERS]
    healthy = await join("autobahn-ws-json")
    poisoner = Poisoner(address, framing, serializer)
    outcomes, broken = {}, []
    for number, (name, payload) in enumerate(POISONS[serializer].items()):
        outcomes[name] = await poisoner.publish(payload)
        await healthy.publish(TOPIC, ["healthy", number])
        survived = await asyncio.gather(*(subscriber.survives(number) for subscriber in subscribers))
        for subscriber, is_alive in zip(subscribers, survived):
            if not is_alive:
                broken.append((name, str(subscriber.peer.spec), f"the publication was {outcomes[name]}"))
                await subscriber.rejoin(join)
    await poisoner.close()
    complain(broken)
    assert all(outcomes[name] == "ended" for name in ("truncated", "invalid_utf8") if name in outcomes)
    assert "published" in outcomes.values()


class Subscriber:
    """A peer that must get every healthy event, whatever comes between them."""

    @classmethod
    async def join(cls, join, client):
        subscriber = cls()
        subscriber.client = client
        await subscriber.rejoin(join)
        return subscriber

    async def rejoin(self, join):
        self.peer = await join(self.client)
        self.subscription = await self.peer.subscribe(TOPIC)

    async def survives(self, number):
        """Whether the healthy event arrives; what the poison became may come before it, once."""
        try:
            for _ in range(2):
                event = await self.subscription.next(SURVIVAL_SECONDS)
                if event.args[:2] == ["healthy", number]:
                    return self.peer.is_open
        except asyncio.TimeoutError:
            pass
        return False


@pytest.mark.limit(120)
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
async def test_poisonous_results_break_nobody(address, join, started_node, uri, serializer):
    """A callee that returns poisons: each call ends, and the caller's session goes on."""
    callers = [await join(client) for client in ("autobahn-ws-json", "autobahn-rs-cbor", "wampy-ws-msgpack", "autobahn_js-ws-cbor")]
    broken = []
    for name, payload in POISONS[serializer].items():
        for number, caller in enumerate(callers):
            procedure = f"{uri}.{name}.{number}"
            callee = await raw.RawSocket.open(address, serializer)
            await callee.hello()
            await callee.register(procedure)
            call = asyncio.ensure_future(caller.call(procedure))
            invocation = await callee.expect(raw.INVOCATION)
            await callee.send_payload(yield_of(serializer, invocation[1], payload))
            try:
                await asyncio.wait_for(call, SURVIVAL_SECONDS)
            except CallError as error:
                if error.uri not in ("wamp.error.canceled", "wamp.error.invalid_argument"):
                    broken.append((name, str(caller.spec), error.uri))
            except Exception as error:  # noqa: BLE001  whatever the client throws
                broken.append((name, str(caller.spec), repr(error)))
            await callee.close()
            if not caller.is_open:
                broken.append((name, str(caller.spec), "closed"))
                callers[number] = await join(str(caller.spec))
    complain(broken)


def complain(broken):
    """Fails when a poison broke a client that is not known to break on it."""
    cases = [f"{name} broke {client}: {how}" for name, client, how in broken if (name, client) not in DEFECTS_OF_CLIENTS]
    assert not cases, "\n".join(cases)


def yield_of(serializer, request, payload):
    elements = 5 if payload[:1] in (b"\x80", b"\x90") else 4
    if serializer == "json":
        return b"[70,%d,{}," % request + payload + b"]"
    if serializer == "msgpack":
        return bytes([0x90 | elements]) + b"\x46" + msgpack.packb(request) + b"\x80" + payload
    return bytes([0x80 | elements]) + b"\x18\x46" + cbor2.dumps(request) + b"\xa0" + payload


async def test_publication_reaches_a_plain_reader(open_session):
    """The frames that the poisons travel in are right: a harmless payload in them arrives."""
    reader = await open_session("rs", "json")
    await reader.subscribe(TOPIC)
    for serializer, payload in (("json", b"[7]"), ("msgpack", b"\x91\x07"), ("cbor", b"\x81\x07")):
        connection = await open_session("rs", serializer)
        await connection.send_payload(publication(serializer, 1, payload))
        await connection.expect(PUBLISHED)
        assert (await reader.expect(EVENT))[4:] == [[7]]


async def test_extension_types_reach_readers_of_messagepack_alone(open_session):
    """Types of an application's own go from MessagePack to MessagePack unchanged; what cannot express them gets nothing. (Not among
    the poisons: autobahn-js and wampy fail on every type that they do not know.)"""
    publisher, reader, other = await open_session("rs", "msgpack"), await open_session("rs", "msgpack"), await open_session("rs", "json")
    await reader.subscribe(TOPIC)
    await other.subscribe(TOPIC)
    for content in (b"\xd4\x05\x00", b"\xd8\x2a" + b"x" * 16, b"\xc7\x10\x42" + b"\xff" * 16):
        await publisher.send_payload(publication("msgpack", publisher.next_request(), b"\x91" + content))
        await publisher.expect(PUBLISHED)
        assert (await reader.expect(EVENT))[4] == msgpack.unpackb(b"\x91" + content)
    await publisher.send_payload(publication("msgpack", publisher.next_request(), b"\x91\x07"))
    assert (await other.expect(EVENT))[4] == [7]
