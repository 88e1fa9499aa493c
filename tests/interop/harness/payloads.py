"""The payload matrix: what is sent through the router, and which client can express it."""

from dataclasses import dataclass, field

from .values import octets_as_text


@dataclass(frozen=True)
class Payload:
    """Arguments and keyword arguments of one publication or call.

    `needs` names what a client must be able to express; see `LACKS`.
    """

    name: str
    args: list = field(default_factory=list)
    kwargs: dict = field(default_factory=dict)
    needs: frozenset = frozenset()


def nested(depth, wrap):
    value = "innermost"
    for _ in range(depth):
        value = wrap(value)
    return value


UNICODE = "Grüße 你好 🜂𝄞👩‍👩‍👧 e\u0301 \u202ertl zero\u0000inside \ufeff \uffff \u007f\u0080 \"\\/\b\f\n\r\t"

PAYLOADS = [
    Payload("nothing"),
    Payload("args", ["text", 3, 2.5]),
    Payload("kwargs", [], {"name": "value", "number": 7}),
    Payload("both", [1, "two"], {"three": [4], "five": {"six": 7}}),
    Payload("null_argument", [None, None], {"nothing": None}),
    Payload("booleans", [True, False, None, [True], {"no": False}]),
    Payload("empty_containers", [[], {}, "", [[]], [{}]], {"list": [], "dict": {}, "text": ""}),
    Payload("unicode", [UNICODE], {"text": UNICODE}),
    Payload("unicode_keys", [{UNICODE: 1, "": 2, " ": 3, "日本": {"🜂": 4}}], {"schlüssel": 1, "ключ": 2}),
    Payload("long_text", ["x" * 31, "y" * 32, "z" * 255, "ä" * 256, "𝄞" * 20_000]),
    Payload("nested_lists", [nested(60, lambda inner: [inner])]),
    Payload("nested_dicts", [nested(60, lambda inner: {"in": inner})]),
    Payload("small_integers", [0, 1, 23, 24, 127, 128, 255, 256, 32767, 32768, 65535, 65536, -1, -24, -25, -128, -129, -32769]),
    Payload("integers", [2**31 - 1, 2**31, 2**32 - 1, 2**32, -(2**31), -(2**31) - 1, 2**53 - 1, -(2**53) + 1], {"n": 2**40}),
    Payload("integer_2_to_53", [2**53, -(2**53)]),
    Payload("integers_64", [2**63 - 1, -(2**63), 2**53 + 1], needs=frozenset({"integer64"})),
    Payload("integers_unsigned_64", [2**64 - 1, 2**63], needs=frozenset({"integer64"})),
    Payload("floats", [0.1, -0.1, 1 / 3, 1.5e-300, 2.2250738585072014e-308, 123456.789e3 + 0.25, 3.141592653589793]),
    Payload("floats_extreme", [1e300, -1e300, 1.7976931348623157e308, 5e-324], needs=frozenset({"float_extreme"})),
    Payload("floats_integral", [1.0, -2.0, 1e15, 65536.0], needs=frozenset({"float_integral"})),
    Payload("negative_zero", [-0.0, 0.5, -0.0], needs=frozenset({"negative_zero"})),
    Payload("octets", [b"", b"\0", bytes(range(256)), [b"inside"]], {"octets": b"\xff\xfe", "deep": {"er": b"\x80"}}),
    Payload("octets_32k", [bytes(i * 7 % 256 for i in range(32_768))]),
    Payload("many_items", [list(range(5_000)), [f"item {i}" for i in range(5_000)]]),
    Payload("many_keys", [], {f"key_{i}": {"index": i, "flag": i % 2 == 0} for i in range(2_000)}),
    Payload("records", [[{"id": i, "name": f"record {i}", "tags": ["a", "b"], "ratio": i / 8 + 0.03125} for i in range(800)]]),
]

TEN_MEGABYTES = 10_000_000


def large_text(size=TEN_MEGABYTES):
    pattern = "0123456789abcdefghijklmnopqrstuvwxyz äöü "
    return (pattern * (size // len(pattern) + 1))[:size]


def large_octets(size=TEN_MEGABYTES):
    return (bytes(range(256)) * (size // 256 + 1))[:size]


# What a client cannot send or cannot receive, by client and serializer. Everything else must arrive unharmed.
#
# - JavaScript has one number type: what is beyond 2^53 is rounded by whatever does not use BigInt,
#   and whether a number goes out as integer or float depends on its value, not on its origin.
# - autobahn-js writes floats with an integral value as 64-bit integers where they fit (msgpack5, cbor).
LACKS = {
    ("autobahn_js", "json"): {"send": {"integer64", "negative_zero"}, "receive": {"integer64"}},
    ("autobahn_js", "msgpack"): {"send": {"integer64", "negative_zero", "float_extreme"}, "receive": {"integer64"}},
    ("autobahn_js", "cbor"): {"send": set(), "receive": set()},
    ("wampy", "json"): {"send": {"integer64", "negative_zero"}, "receive": {"integer64"}},
    ("wampy", "msgpack"): {"send": {"negative_zero"}, "receive": set()},
    ("wampy", "cbor"): {"send": set(), "receive": {"integer64"}},
}

# Clients that follow the convention for octets in JSON by themselves; the others see and send plain text.
OCTETS_IN_JSON = {"autobahn"}


def is_expressible(payload, sender, receiver):
    """Whether `sender` can send `payload` and `receiver` can receive it (both are `peers.Spec`)."""
    lacks = LACKS.get((sender.client, sender.serializer), {}).get("send", set())
    lacks = lacks | LACKS.get((receiver.client, receiver.serializer), {}).get("receive", set())
    return not (payload.needs & lacks)


def outgoing(value, spec):
    """`value` as the application behind `spec` hands it to its client."""
    plain = spec.serializer == "json" and spec.client not in OCTETS_IN_JSON
    return octets_as_text(value) if plain else value


def incoming(value, spec):
    """`value` as the application behind `spec` gets it from its client."""
    return outgoing(value, spec)
