"""The Basic Profile over plain sockets: protocol errors, identifiers, URIs, and what a router must take as it comes."""

import struct

import cbor2
import msgpack
import pytest

from harness.raw import (
    ABORT,
    ALL_ROLES,
    AUTHENTICATE,
    CALL,
    CANCEL,
    CHALLENGE,
    ERROR,
    EVENT,
    GOODBYE,
    HELLO,
    INTERRUPT,
    INVOCATION,
    PUBLISH,
    PUBLISHED,
    REGISTER,
    REGISTERED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    UNREGISTER,
    UNREGISTERED,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
    WELCOME,
    YIELD,
)

FORMS = [("rs", "json"), ("ws", "msgpack"), ("rs", "cbor")]
ALL_FORMS = [(framing, serializer) for framing in ("rs", "ws") for serializer in ("json", "msgpack", "cbor")]
INVALID_URI = "wamp.error.invalid_uri"
URI = "com.example.protocol"

# Building Blocks, Protocol Errors: what may not come before a session is established.
BEFORE_SESSION = {
    "welcome": [WELCOME, 7, {}],
    "challenge": [CHALLENGE, "ticket", {}],
    "authenticate": [AUTHENTICATE, "secret", {}],
    "goodbye": [GOODBYE, {}, "wamp.close.close_realm"],
    "error": [ERROR, CALL, 1, {}, "com.example.error"],
    "publish": [PUBLISH, 1, {}, URI],
    "published": [PUBLISHED, 1, 2],
    "subscribe": [SUBSCRIBE, 1, {}, URI],
    "subscribed": [SUBSCRIBED, 1, 2],
    "unsubscribe": [UNSUBSCRIBE, 1, 2],
    "unsubscribed": [UNSUBSCRIBED, 1],
    "event": [EVENT, 1, 2, {}],
    "call": [CALL, 1, {}, URI],
    "cancel": [CANCEL, 1, {}],
    "result": [RESULT, 1, {}],
    "register": [REGISTER, 1, {}, URI],
    "registered": [REGISTERED, 1, 2],
    "unregister": [UNREGISTER, 1, 2],
    "unregistered": [UNREGISTERED, 1],
    "invocation": [INVOCATION, 1, 2, {}],
    "interrupt": [INTERRUPT, 1, {}],
    "yield": [YIELD, 1, {}],
}

# What may not come from a client while a session is established.
DURING_SESSION = {
    "hello": [HELLO, "realm1", ALL_ROLES],
    "welcome": [WELCOME, 7, {}],
    "challenge": [CHALLENGE, "ticket", {}],
    "authenticate": [AUTHENTICATE, "secret", {}],
    "published": [PUBLISHED, 1, 2],
    "subscribed": [SUBSCRIBED, 1, 2],
    "unsubscribed": [UNSUBSCRIBED, 1],
    "event": [EVENT, 1, 2, {}],
    "result": [RESULT, 1, {}],
    "registered": [REGISTERED, 1, 2],
    "unregistered": [UNREGISTERED, 1],
    "invocation": [INVOCATION, 1, 2, {}],
    "interrupt": [INTERRUPT, 1, {}],
    "error_of_call": [ERROR, CALL, 1, {}, "com.example.error"],
    "error_of_publish": [ERROR, PUBLISH, 1, {}, "com.example.error"],
    "error_of_nothing": [ERROR, 99, 1, {}, "com.example.error"],
    "error_of_unknown_invocation": [ERROR, INVOCATION, 4711, {}, "com.example.error"],
    "yield_of_unknown_invocation": [YIELD, 4711, {}],
}

# Protocol incompatible messages: right for no state.
MALFORMED = {
    "empty_list": [],
    "dict": {},
    "number": 42,
    "text": "text",
    "null": None,
    "type_0": [0, 1, {}],
    "type_7": [7, {}, URI],
    "type_71": [71, 1, {}],
    "type_256": [256, 1, {}],
    "type_1023": [1023, 1, {}],
    "type_1024": [1024, 1, {}],
    "type_2_to_40": [2**40, 1, {}],
    "type_negative": [-16, 1, {}, URI],
    "type_text": ["16", 1, {}, URI],
    "type_half": [16.5, 1, {}, URI],
    "type_null": [None, 1, {}, URI],
    "type_list": [[16], 1, {}, URI],
    "publish_short": [PUBLISH, 1, {}],
    "publish_long": [PUBLISH, 1, {}, URI, [], {}, 0],
    "subscribe_short": [SUBSCRIBE, 1, {}],
    "subscribe_long": [SUBSCRIBE, 1, {}, URI, []],
    "unsubscribe_short": [UNSUBSCRIBE, 1],
    "unsubscribe_long": [UNSUBSCRIBE, 1, 2, {}, {}],
    "call_short": [CALL, 1, {}],
    "call_long": [CALL, 1, {}, URI, [], {}, 0],
    "cancel_short": [CANCEL, 1],
    "cancel_long": [CANCEL, 1, {}, {}],
    "register_short": [REGISTER, 1, {}],
    "register_long": [REGISTER, 1, {}, URI, []],
    "unregister_short": [UNREGISTER, 1],
    "yield_short": [YIELD, 1],
    "yield_long": [YIELD, 1, {}, [], {}, 0],
    "error_short": [ERROR, INVOCATION, 1, {}],
    "error_long": [ERROR, INVOCATION, 1, {}, URI, [], {}, 0],
    "goodbye_short": [GOODBYE, {}],
    "request_text": [SUBSCRIBE, "1", {}, URI],
    "request_zero": [SUBSCRIBE, 0, {}, URI],
    "request_negative": [SUBSCRIBE, -1, {}, URI],
    "request_beyond_2_to_53": [SUBSCRIBE, 2**53 + 1, {}, URI],
    "request_half": [SUBSCRIBE, 1.5, {}, URI],
    "request_true": [SUBSCRIBE, True, {}, URI],
    "request_null": [SUBSCRIBE, None, {}, URI],
    "options_list": [SUBSCRIBE, 1, [], URI],
    "options_text": [PUBLISH, 1, "options", URI],
    "topic_number": [SUBSCRIBE, 1, {}, 7],
    "topic_null": [SUBSCRIBE, 1, {}, None],
    "procedure_list": [CALL, 1, {}, [URI]],
    "arguments_dict": [PUBLISH, 1, {}, URI, {}],
    "arguments_text": [CALL, 1, {}, URI, "args"],
    "keywords_list": [PUBLISH, 1, {}, URI, [], []],
    "keywords_text": [CALL, 1, {}, URI, [], "kwargs"],
    "subscription_text": [UNSUBSCRIBE, 1, "2"],
    "subscription_zero": [UNSUBSCRIBE, 1, 0],
    "reason_number": [GOODBYE, {}, 7],
}

# Octets that are no message, by serializer.
UNDECODABLE = {
    "json": [b"", b" ", b"[", b"[1,", b"]", b"[16,1,{},\"a\"]x", b"{\"a\"}", b"[01]", b"\xff", b"[\"\xff\"]", b"nul", b"[16,1,{},\"a\",[NaN]]"],
    "msgpack": [b"", b"\xc1", b"\x94\x10", b"\xdd\xff\xff\xff\xff", b"\x93\x10\x01\x80\x00", b"\xdb\xff\xff\xff\xffx", b"\x94\x10\x01\x80\xa1\xff"],
    "cbor": [b"", b"\xff", b"\x84\x10", b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", b"\x1c", b"\x83\x10\x01\xa0\x00", b"\x84\x10\x01\xa0\x61\xff"],
}


def rotated(cases):
    """Each case in one form after the other: every case runs, and every form sees a third of them."""
    return [pytest.param(case, *FORMS[i % len(FORMS)], id=f"{name}-{'-'.join(FORMS[i % len(FORMS)])}") for i, (name, case) in enumerate(cases)]


@pytest.mark.parametrize(("message", "framing", "serializer"), rotated(BEFORE_SESSION.items()))
async def test_wrong_before_session(open_connection, message, framing, serializer):
    connection = await open_connection(framing, serializer)
    await connection.send(message)
    await connection.expect_abort()


@pytest.mark.parametrize(("message", "framing", "serializer"), rotated(DURING_SESSION.items()))
async def test_wrong_during_session(open_session, message, framing, serializer):
    connection = await open_session(framing, serializer)
    await connection.send(message)
    await connection.expect_abort()


@pytest.mark.parametrize(("message", "framing", "serializer"), rotated(MALFORMED.items()))
async def test_malformed(open_session, message, framing, serializer):
    connection = await open_session(framing, serializer)
    await connection.send(message)
    await connection.expect_abort()


@pytest.mark.parametrize(("message", "framing", "serializer"), rotated(list(MALFORMED.items())[:20]))
async def test_malformed_before_session(open_connection, message, framing, serializer):
    connection = await open_connection(framing, serializer)
    await connection.send(message)
    await connection.expect_abort()


@pytest.mark.parametrize(
    ("serializer", "octets"), [(serializer, octets) for serializer, all_ in UNDECODABLE.items() for octets in all_]
)
async def test_undecodable(open_session, serializer, octets):
    connection = await open_session("rs", serializer)
    await connection.send_payload(octets)
    await connection.expect_abort()


@pytest.mark.parametrize(("framing", "serializer"), ALL_FORMS)
async def test_violation_ends_everything_the_session_owned(open_session, uri, framing, serializer):
    offender, other = await open_session(framing, serializer), await open_session("rs", "json")
    await offender.register(uri)
    await offender.subscribe(uri)
    await offender.send([SUBSCRIBE, 0, {}, uri])
    await offender.expect_abort()
    # Nothing that the offender sent later counts, and its procedure is free again.
    await other.send([CALL, other.next_request(), {}, uri])
    assert (await other.expect(ERROR))[4] == "wamp.error.no_such_procedure"
    await other.register(uri)
    await other.publish(uri, ["to nobody"])


async def test_nothing_after_the_violation_counts(open_session, uri):
    offender, other = await open_session("rs", "json"), await open_session("rs", "json")
    await other.subscribe(uri)
    await offender.send([PUBLISH, 1, {}, uri, ["before"]], [0], [PUBLISH, 2, {}, uri, ["after"]])
    await offender.expect_abort()
    assert (await other.expect(EVENT))[4] == ["before"]
    await other.expect_silence()


@pytest.mark.parametrize(("framing", "serializer"), ALL_FORMS)
async def test_hello_and_requests_in_one_write(open_connection, uri, framing, serializer):
    connection = await open_connection(framing, serializer)
    await connection.send([HELLO, "realm1", ALL_ROLES], [SUBSCRIBE, 1, {}, uri], [REGISTER, 2, {}, uri], [CALL, 3, {}, uri, [7]])
    await connection.expect(WELCOME)
    assert (await connection.expect(SUBSCRIBED))[1] == 1
    assert (await connection.expect(REGISTERED))[1] == 2
    invocation = await connection.expect(INVOCATION)
    await connection.send([YIELD, invocation[1], {}, invocation[4]])
    assert await connection.expect(RESULT) == [RESULT, 3, {}, [7]]


@pytest.mark.parametrize(
    ("details", "is_valid"),
    [
        (ALL_ROLES, True),
        ({"roles": {"publisher": {}}}, True),
        ({"roles": {"subscriber": {"features": {}}}}, True),
        ({"roles": {"caller": {}, "x_custom": {}}}, True),
        ({}, False),
        ({"roles": {}}, False),
        ({"roles": None}, False),
        ({"roles": []}, False),
        ({"roles": "caller"}, False),
    ],
)
async def test_hello_needs_a_role(open_connection, details, is_valid):
    connection = await open_connection()
    await connection.send([HELLO, "realm1", details])
    if is_valid:
        await connection.expect(WELCOME)
    else:
        assert (await connection.receive())[0] == ABORT
        await connection.expect_end()


@pytest.mark.parametrize("realm", ["", " ", "com example", "com..example", ".com", "com.", "com.#.x", "a\tb", "com.exa mple"])
async def test_invalid_realm(open_connection, realm):
    connection = await open_connection()
    await connection.send([HELLO, realm, ALL_ROLES])
    await connection.expect_abort(INVALID_URI)


async def test_unknown_realm(open_connection):
    connection = await open_connection()
    await connection.send([HELLO, "com.example.unknown", ALL_ROLES])
    await connection.expect_abort("wamp.error.no_such_realm")


INVALID_URIS = ["", ".", "com..example", ".com", "com.", "com.exa mple", "com.#.x", "com.\texample", "com.example\n", "com.\u2003x"]
REQUESTS = {
    "subscribe": lambda uri: [SUBSCRIBE, 1, {}, uri],
    "publish": lambda uri: [PUBLISH, 1, {"acknowledge": True}, uri],
    "register": lambda uri: [REGISTER, 1, {}, uri],
    "call": lambda uri: [CALL, 1, {}, uri],
}


@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS.keys())
async def test_invalid_uri_is_an_error(open_session, request_of):
    connection = await open_session()
    for request, uri in enumerate(INVALID_URIS, 1):
        message = request_of(uri)
        message[1] = request
        await connection.send(message)
        assert (await connection.expect(ERROR))[:5] == [ERROR, message[0], request, {}, INVALID_URI], repr(uri)
    # The session is none the worse for it.
    await connection.send([SUBSCRIBE, len(INVALID_URIS) + 1, {}, URI])
    await connection.expect(SUBSCRIBED)


async def test_loose_uris_are_taken(open_session):
    connection = await open_session()
    for topic in ("a", "A.B", "com.example.ünicode.日本", "com.with-dash", "a:b/c", "http://example", "x" * 200):
        await connection.subscribe(topic)


async def test_unacknowledged_publish_with_invalid_uri_is_silent(open_session):
    connection = await open_session()
    for request, uri in enumerate([*INVALID_URIS, "wamp.session.on_join"], 1):
        await connection.send([PUBLISH, request, {}, uri, ["x"]])
    await connection.expect_silence()
    await connection.send([SUBSCRIBE, 100, {}, URI])
    await connection.expect(SUBSCRIBED)


@pytest.mark.parametrize("reserved", ["wamp", "wamp.session.on_join", "wamp.error.x", "wamp.my.own"])
async def test_reserved_uris(open_session, reserved):
    connection, witness = await open_session(), await open_session("ws", "cbor")
    if reserved != "wamp":
        await witness.subscribe(reserved)
    await connection.send([REGISTER, 1, {}, reserved])
    answer = await connection.expect(ERROR)
    assert answer[1:3] == [REGISTER, 1] and answer[4].startswith("wamp.error.")
    await connection.send([PUBLISH, 2, {"acknowledge": True}, reserved, ["forged"]])
    answer = await connection.expect(ERROR)
    assert answer[1:3] == [PUBLISH, 2] and answer[4].startswith("wamp.error.")
    await connection.send([PUBLISH, 3, {}, reserved, ["forged"]])
    # A component that only begins with the word is nobody's.
    await connection.send([REGISTER, 4, {}, f"wampum.{connection.session}"])
    await connection.expect(REGISTERED)
    message = None
    try:
        message = await witness.receive(0.3)
    except TimeoutError:
        pass
    assert message is None or "forged" not in (message[4:5] or [[]])[0]


async def test_reserved_procedures_can_be_called_and_are_unknown_or_answered(open_session):
    connection = await open_session()
    await connection.send([CALL, 1, {}, "wamp.no.such.procedure"])
    assert (await connection.expect(ERROR))[4] == "wamp.error.no_such_procedure"


async def test_unsubscribe_and_unregister_of_what_is_not_there(open_session):
    connection, other = await open_session(), await open_session()
    subscription = await other.subscribe(URI)
    registration = await other.register(f"{URI}.foreign")
    for request, subscription in enumerate([subscription, 2**53, 4_000_000_000], 1):
        await connection.send([UNSUBSCRIBE, request, subscription])
        assert (await connection.expect(ERROR))[:5] == [ERROR, UNSUBSCRIBE, request, {}, "wamp.error.no_such_subscription"]
    for request, registration in enumerate([registration, 2**53, 4_000_000_000], 11):
        await connection.send([UNREGISTER, request, registration])
        assert (await connection.expect(ERROR))[:5] == [ERROR, UNREGISTER, request, {}, "wamp.error.no_such_registration"]


async def test_subscribing_twice_is_one_subscription(open_session, uri):
    connection, publisher = await open_session(), await open_session()
    one, other = await connection.subscribe(uri), await connection.subscribe(uri)
    assert one == other
    await publisher.publish(uri, ["once"])
    assert (await connection.expect(EVENT))[1] == one
    await connection.expect_silence()


async def test_nobody_yields_for_another(open_session, uri):
    callee, caller, thief = await open_session(), await open_session(), await open_session()
    await callee.register(uri)
    await thief.register(f"{uri}.thief")
    await caller.send([CALL, 1, {}, uri])
    invocation = await callee.expect(INVOCATION)
    # The thief was never sent an invocation with this id: a violation, and of no effect for the caller.
    await thief.send([YIELD, invocation[1], {}, ["stolen"]])
    await thief.expect_abort()
    await callee.send([YIELD, invocation[1], {}, ["mine"]])
    assert (await caller.expect(RESULT))[3] == ["mine"]


async def test_late_yields_are_ignored(open_session, uri):
    callee, caller = await open_session(), await open_session()
    await callee.register(uri)
    for request in (1, 2):
        await caller.send([CALL, request, {}, uri])
        invocation = await callee.expect(INVOCATION)
        await callee.send([YIELD, invocation[1], {}, [request]], [YIELD, invocation[1], {}, ["late"]])
        await callee.send([ERROR, INVOCATION, invocation[1], {}, "com.example.late"])
        assert await caller.expect(RESULT) == [RESULT, request, {}, [request]]
    await caller.expect_silence()
    await callee.subscribe(uri)


async def test_error_of_callee_reaches_caller(open_session, uri):
    callee, caller = await open_session("rs", "cbor"), await open_session("ws", "json")
    await callee.register(uri)
    await caller.send([CALL, 1, {}, uri])
    invocation = await callee.expect(INVOCATION)
    await callee.send([ERROR, INVOCATION, invocation[1], {}, "com.example.error", ["a"], {"b": 1}])
    assert await caller.expect(ERROR) == [ERROR, CALL, 1, {}, "com.example.error", ["a"], {"b": 1}]
    # An error URI that is none costs nobody a session.
    await caller.send([CALL, 2, {}, uri])
    invocation = await callee.expect(INVOCATION)
    await callee.send([ERROR, INVOCATION, invocation[1], {}, "not a uri", ["a"]])
    assert await caller.expect(ERROR) == [ERROR, CALL, 2, {}, "wamp.error.runtime_error", ["a"]]


async def test_request_ids_may_jump_and_come_again(open_session, uri):
    """The default: any id in [1, 2^53] that is not in progress."""
    connection = await open_session()
    for request in (5, 3, 100, 2**53, 3, 1):
        await connection.send([SUBSCRIBE, request, {}, f"{uri}.{request}"])
        assert (await connection.expect(SUBSCRIBED))[1] == request
        await connection.send([PUBLISH, request, {"acknowledge": True}, uri])
        assert (await connection.expect(PUBLISHED))[1] == request


async def test_a_request_id_in_progress_is_a_violation(open_session, uri):
    callee, caller = await open_session(), await open_session()
    await callee.register(uri)
    await caller.send([CALL, 9, {}, uri])
    await callee.expect(INVOCATION)
    await caller.send([CALL, 9, {}, uri])
    await caller.expect_abort()


STRICT_CONFIG = """
router = { shards = 2 }
listeners = [{ listen = "127.0.0.1:0" }]
realms = [{ name = "realm1", request_ids = "strict" }, { name = "lenient" }]
"""


async def test_strict_request_ids(configured_router, open_session):
    _, (address,) = configured_router(STRICT_CONFIG)
    good = await open_session(address=address)
    for request in range(1, 30):
        await good.send([SUBSCRIBE, request, {}, f"{URI}.{request}"])
        assert (await good.expect(SUBSCRIBED))[1] == request
    for accepted, refused in (([], 2), ([1], 1), ([1], 3), ([1, 2], 1), ([], 2**53)):
        connection = await open_session(address=address)
        for request in accepted:
            await connection.send([SUBSCRIBE, request, {}, f"{URI}.{request}"])
            await connection.expect(SUBSCRIBED)
        await connection.send([SUBSCRIBE, refused, {}, URI])
        await connection.expect_abort()
    lenient = await open_session(address=address, realm="lenient")
    await lenient.send([SUBSCRIBE, 77, {}, URI])
    await lenient.expect(SUBSCRIBED)


NULLS = [
    [SUBSCRIBE, 1, None, URI],
    [SUBSCRIBE, 2, {"match": None, "get_retained": None}, URI],
    [PUBLISH, 3, {"acknowledge": True, "exclude_me": None, "eligible": None}, URI, None],
    [PUBLISH, 4, {"acknowledge": True}, URI, None, None],
    [PUBLISH, 5, {"acknowledge": True}, URI, [], None],
    [REGISTER, 6, {"invoke": None}, f"{URI}.nulls"],
    [CALL, 7, None, f"{URI}.no.such", None, None],
]
NULL_ANSWERS = [SUBSCRIBED, SUBSCRIBED, PUBLISHED, PUBLISHED, PUBLISHED, REGISTERED, ERROR]


@pytest.mark.parametrize(("framing", "serializer"), ALL_FORMS)
async def test_null_means_absent(open_session, framing, serializer):
    connection = await open_session(framing, serializer, details={**ALL_ROLES, "authextra": None, "authid": None})
    for message, kind in zip(NULLS, NULL_ANSWERS):
        await connection.send(message)
        answer = await connection.expect(kind)
        assert (answer[2] if kind == ERROR else answer[1]) == message[1]


@pytest.mark.parametrize("serializer", ["msgpack", "cbor"])
async def test_undefined_means_null(open_session, uri, serializer):
    """What JavaScript encoders write for `undefined`: CBOR f7, MsgPack extension type 0 with one zero octet."""
    undefined = cbor2.undefined if serializer == "cbor" else msgpack.ExtType(0, b"\0")
    connection, reader = await open_session("ws", serializer), await open_session("rs", "json")
    await connection.send([SUBSCRIBE, 1, {"match": undefined, "get_retained": undefined}, uri])
    await connection.expect(SUBSCRIBED)
    await reader.subscribe(uri)
    await connection.send([PUBLISH, 2, {"acknowledge": True}, uri, [1, undefined, {"a": undefined}]])
    await connection.expect(PUBLISHED)
    assert (await reader.expect(EVENT))[4] == [1, None, {"a": None}]


@pytest.mark.parametrize("serializer", ["msgpack", "cbor"])
async def test_integral_floats_are_ids(open_session, uri, serializer):
    """JavaScript encoders write integers above 2^32 as floats."""
    connection = await open_session("rs", serializer)
    for request in (1.0, 5_000_000_000.0, 2.0**53):
        if serializer == "msgpack":
            octets = b"\x94\x20\xcb" + struct.pack(">d", request) + b"\x80" + msgpack.packb(uri)
        else:
            octets = b"\x84\x18\x20\xfb" + struct.pack(">d", request) + b"\xa0" + cbor2.dumps(uri)
        await connection.send_payload(octets)
        answer = await connection.expect(SUBSCRIBED)
        assert answer[1] == request and isinstance(answer[1], int)


async def test_unknown_options_are_ignored(open_session, uri):
    connection = await open_session()
    await connection.send([SUBSCRIBE, 1, {"x_custom": 1, "nonsense": {"deep": [1, 2]}}, uri])
    await connection.expect(SUBSCRIBED)
    await connection.send([PUBLISH, 2, {"acknowledge": True, "_own": "x"}, uri, [1]])
    await connection.expect(PUBLISHED)


@pytest.mark.parametrize(("framing", "serializer"), ALL_FORMS)
async def test_goodbye_and_another_session(open_session, uri, framing, serializer):
    connection = await open_session(framing, serializer)
    await connection.register(uri)
    first = connection.session
    await connection.send([GOODBYE, {}, "wamp.close.logout"])
    assert (await connection.expect(GOODBYE))[2] == "wamp.close.goodbye_and_out"
    # A stray GOODBYE between two sessions is ignored.
    await connection.send([GOODBYE, {}, "wamp.close.goodbye_and_out"])
    await connection.hello()
    assert connection.session != first
    await connection.register(uri)


async def test_welcome_announces_only_what_clients_understand(open_session):
    for framing, serializer in ALL_FORMS:
        connection = await open_session(framing, serializer)
        details = connection.details
        assert details["realm"] == "realm1"
        assert all(isinstance(details[key], str) and details[key] for key in ("authid", "authrole", "authmethod", "authprovider"))
        assert set(details["roles"]) == {"broker", "dealer"}
        for role in details["roles"].values():
            assert all(isinstance(flag, bool) for flag in role["features"].values())


async def test_abort_of_a_client_ends_its_session(open_session, uri):
    connection, other = await open_session(), await open_session()
    await connection.register(uri)
    await connection.send([ABORT, {"message": "enough"}, "com.example.enough"])
    await connection.expect_end()
    await other.register(uri)


async def test_optional_fields_are_omitted(open_session, uri):
    """Never null for an absent field: autobahn ends the session over it."""
    subscriber, publisher = await open_session("rs", "cbor"), await open_session()
    subscription = await subscriber.subscribe(uri)
    await subscriber.register(uri)
    publication = await publisher.publish(uri)
    assert await subscriber.expect(EVENT) == [EVENT, subscription, publication, {}]
    await publisher.publish(uri, [])
    event = await subscriber.expect(EVENT)
    assert event[4:] in ([], [[]])
    await publisher.send([CALL, publisher.next_request(), {}, uri])
    invocation = await subscriber.expect(INVOCATION)
    assert invocation[3:] == [{}]
    await subscriber.send([YIELD, invocation[1], {}])
    assert await publisher.expect(RESULT) == [RESULT, publisher.requests, {}]
