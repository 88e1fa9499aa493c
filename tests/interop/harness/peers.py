"""One interface for every client library: join, subscribe, publish, register, call, leave."""

import asyncio
from dataclasses import dataclass

REALM = "realm1"
# How long one step of a client may take before the test fails.
STEP_SECONDS = 20.0


@dataclass(frozen=True)
class Spec:
    """Which client, over which transport (`ws`, `wss`, `rs`, `rss`, `unix`), in which serializer."""

    client: str
    transport: str
    serializer: str

    def __str__(self):
        return f"{self.client}-{self.transport}-{self.serializer}"

    @property
    def typed(self):
        """Whether the client tells integers from floats."""
        return self.client in ("autobahn", "xconn")


@dataclass(frozen=True)
class Login:
    """What a client proves itself by: `secret` is a ticket, a password, a token, or a private key in hexadecimal digits."""

    method: str
    authid: str | None = None
    secret: str | None = None


class CallError(Exception):
    """An ERROR that answered a request."""

    def __init__(self, uri, args=(), kwargs=None):
        super().__init__(f"{uri} {list(args)!r} {kwargs or {}!r}"[:400])
        self.uri = uri
        self.error_args = list(args)
        self.error_kwargs = dict(kwargs or {})


class JoinError(Exception):
    """The session could not be opened; `reason` is the URI of the ABORT, if there was one."""

    def __init__(self, reason, message=""):
        super().__init__(f"{reason} {message}")
        self.reason = reason


@dataclass
class Event:
    """One EVENT or one RESULT."""

    args: list
    kwargs: dict


class Subscription:
    """The events that came for one subscription, in order."""

    def __init__(self, ident, topic):
        self.id = ident
        self.topic = topic
        self.queue = asyncio.Queue()

    def deliver(self, args, kwargs):
        self.queue.put_nowait(Event(list(args or []), dict(kwargs or {})))

    async def next(self, seconds=STEP_SECONDS):
        return await asyncio.wait_for(self.queue.get(), seconds)

    async def take(self, count, seconds=STEP_SECONDS):
        async with asyncio.timeout(seconds):
            return [await self.queue.get() for _ in range(count)]

    @property
    def is_empty(self):
        return self.queue.empty()


class Peer:
    """A joined session of some client library.

    `closed` is a future with the reason of the GOODBYE or ABORT that ended it (None when the transport just went away).

    Procedures are registered by behaviour, so that the same test runs a callee in Python and in JavaScript:
    `echo` returns what it got, `fail` raises `com.example.failure` with what it got, `hold` never answers, `name` returns the
    session of the callee, `details` what it was told of the call (procedure, caller, its authid and authrole), `count` the
    numbers below its argument as progressive results and then "done", `unavailable` asks for another callee, `crowd` returns
    after a moment how many of its invocations were open.
    """

    spec: Spec
    session: int
    closed: asyncio.Future

    async def subscribe(self, topic, options=None) -> Subscription:
        raise NotImplementedError

    async def unsubscribe(self, subscription):
        raise NotImplementedError

    async def publish(self, topic, args=None, kwargs=None, *, acknowledge=True, exclude_me=None, options=None):
        raise NotImplementedError

    async def register(self, procedure, behaviour="echo", options=None):
        raise NotImplementedError

    async def unregister(self, registration):
        raise NotImplementedError

    async def call(self, procedure, args=None, kwargs=None, *, options=None, progress=None) -> Event:
        """`progress`: a `Subscription` that the progressive results are delivered to."""
        raise NotImplementedError

    async def begin(self, procedure, args=None, *, options=None):
        """Calls and does not wait: what comes back is for `cancel` and `ended`."""
        raise NotImplementedError

    async def cancel(self, call, mode=None):
        """Cancels a call that `begin` began."""
        raise NotImplementedError

    async def ended(self, call) -> Event:
        """The end of a call that `begin` began."""
        raise NotImplementedError

    async def leave(self):
        """Says GOODBYE and waits until the transport is closed."""
        raise NotImplementedError

    async def drop(self):
        """Ends the transport without a word."""
        raise NotImplementedError


FAILURE = "com.example.failure"
UNAVAILABLE = "wamp.error.unavailable"
# How long an invocation of `crowd` takes.
CROWD_SECONDS = 0.1
