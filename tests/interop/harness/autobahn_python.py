"""autobahn for Python (asyncio) as a `Peer`."""

import asyncio
import os

import txaio

txaio.use_asyncio()

from autobahn.asyncio.rawsocket import WampRawSocketClientFactory  # noqa: E402
from autobahn.asyncio.wamp import ApplicationSession  # noqa: E402
from autobahn.asyncio.websocket import WampWebSocketClientFactory  # noqa: E402
from autobahn.wamp.auth import create_authenticator  # noqa: E402
from autobahn.wamp.exception import ApplicationError  # noqa: E402
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer  # noqa: E402
from autobahn.wamp.types import CallOptions, CallResult, ComponentConfig, PublishOptions, RegisterOptions, SubscribeOptions  # noqa: E402

from .peers import CROWD_SECONDS, FAILURE, REALM, STEP_SECONDS, UNAVAILABLE, CallError, Event, JoinError, Peer, Subscription  # noqa: E402

SERIALIZERS = {"json": JsonSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}

# The largest message of the router's default, so that the client is never the one that refuses.
MESSAGE_BYTES_MAX = 2**24 - 1

if "WAMPLINE_TEST_LOG" in os.environ:
    txaio.start_logging(level=os.environ["WAMPLINE_TEST_LOG"])


class Session(ApplicationSession):
    """Turns autobahn's callbacks into futures."""

    def __init__(self, realm, loop, login=None):
        super().__init__(ComponentConfig(realm=realm))
        self.login = login
        self.authenticator = authenticator(login)
        self.joined = loop.create_future()
        self.left = loop.create_future()
        self.gone = loop.create_future()
        self.user_errors = []

    def onConnect(self):
        if self.login is None:
            super().onConnect()
        elif self.authenticator is None:
            self.join(self.config.realm, [self.login.method], self.login.authid)
        else:
            self.join(self.config.realm, [self.login.method], self.login.authid, authextra=self.authenticator.authextra)

    def onChallenge(self, challenge):
        if self.authenticator is None:
            return self.login.secret
        return self.authenticator.on_challenge(self, challenge)

    def onWelcome(self, welcome):
        if self.authenticator is not None:
            return self.authenticator.on_welcome(self, welcome.authextra)

    def onJoin(self, details):
        settle(self.joined, details)

    def onLeave(self, details):
        settle(self.left, details.reason)
        if not self.joined.done():
            self.joined.set_exception(JoinError(details.reason, details.message or ""))
        if self._transport is not None:
            self.disconnect()

    def onDisconnect(self):
        if not self.joined.done():
            self.joined.set_exception(JoinError(None, "the transport was lost before WELCOME"))
        settle(self.left, None)
        settle(self.gone, None)

    def onUserError(self, failure, message):
        self.user_errors.append(message)


class AutobahnPeer(Peer):
    @classmethod
    async def join(cls, spec, endpoints, realm=REALM, login=None):
        loop = asyncio.get_running_loop()
        txaio.config.loop = loop
        peer = cls()
        peer.spec = spec
        peer.inner = Session(realm, loop, login)
        peer.transport, peer.protocol = await connect(spec, endpoints, peer.inner, loop)
        details = await asyncio.wait_for(peer.inner.joined, STEP_SECONDS)
        peer.session = details.session
        peer.details = details
        peer.closed = peer.inner.left
        return peer

    async def subscribe(self, topic, options=None):
        subscription = Subscription(None, topic)

        def on_event(*args, **kwargs):
            subscription.deliver(args, kwargs)

        options = SubscribeOptions(**options) if options else None
        subscription.inner = await self.step(self.inner.subscribe(on_event, topic, options=options))
        subscription.id = subscription.inner.id
        return subscription

    async def unsubscribe(self, subscription):
        await self.step(subscription.inner.unsubscribe())

    async def publish(self, topic, args=None, kwargs=None, *, acknowledge=True, exclude_me=None, options=None):
        options = PublishOptions(acknowledge=acknowledge or None, exclude_me=exclude_me, **(options or {}))
        done = self.inner.publish(topic, *(args or []), options=options, **(kwargs or {}))
        if acknowledge:
            return (await self.step(done)).id
        return None

    async def register(self, procedure, behaviour="echo", options=None):
        behaviours = BEHAVIOURS | {"name": lambda *_: self.session, "crowd": crowd()}
        options = RegisterOptions(details=behaviour in DETAILED or None, **(options or {}))
        return await self.step(self.inner.register(behaviours[behaviour], procedure, options=options))

    async def unregister(self, registration):
        await self.step(registration.unregister())

    async def call(self, procedure, args=None, kwargs=None, *, options=None, progress=None):
        on_progress = progress and (lambda *args, **kwargs: progress.deliver(args, kwargs))
        options = CallOptions(on_progress=on_progress, **(options or {}))
        return await self.ended(self.inner.call(procedure, *(args or []), options=options, **(kwargs or {})))

    async def begin(self, procedure, args=None, *, options=None):
        return self.inner.call(procedure, *(args or []), options=CallOptions(**(options or {})))

    async def cancel(self, call, mode=None):
        assert mode is None, "autobahn for Python sends no mode"
        call.cancel()
        await asyncio.sleep(0)

    async def ended(self, call):
        result = await self.step(call)
        if isinstance(result, CallResult):
            return Event(list(result.results), dict(result.kwresults))
        return Event([] if result is None else [result], {})

    async def leave(self):
        self.inner.leave()
        await asyncio.wait_for(self.inner.gone, STEP_SECONDS)
        return self.inner.left.result()

    async def drop(self):
        self.transport.abort()
        await asyncio.wait_for(self.inner.gone, STEP_SECONDS)

    @property
    def is_open(self):
        return not self.closed.done() and self.inner.is_attached()

    async def step(self, future):
        try:
            return await asyncio.wait_for(future, STEP_SECONDS)
        except ApplicationError as error:
            raise CallError(error.error, error.args, error.kwargs) from error


def authenticator(login):
    """What autobahn answers challenges with; nothing for methods that it has none for."""
    if login is None or login.method in ("anonymous", "tls", "cookie", "jwt"):
        return None
    names = {"ticket": "ticket", "wampcra": "secret", "scram": "password", "cryptosign": "privkey"}
    return create_authenticator(login.method, authid=login.authid, **{names[login.method]: login.secret})


async def connect(spec, endpoints, session, loop):
    serializer = SERIALIZERS[spec.serializer]()
    if spec.transport in ("ws", "wss"):
        factory = WampWebSocketClientFactory(lambda: session, url=endpoints.url(spec.transport), serializers=[serializer], loop=loop)
        factory.setProtocolOptions(
            maxMessagePayloadSize=MESSAGE_BYTES_MAX, maxFramePayloadSize=MESSAGE_BYTES_MAX, openHandshakeTimeout=10, tcpNoDelay=True
        )
    else:
        factory = WampRawSocketClientFactory(lambda: session, serializer=serializer)
    if spec.transport == "unix":
        return await loop.create_unix_connection(factory, endpoints.unix_path)
    host, port = endpoints.address(secure=spec.transport in ("wss", "rss"))
    if spec.transport in ("wss", "rss"):
        return await loop.create_connection(factory, host, port, ssl=endpoints.client_tls(), server_hostname="localhost")
    return await loop.create_connection(factory, host, port)


def settle(future, value):
    if not future.done():
        future.set_result(value)


def echo(*args, **kwargs):
    return CallResult(*args, **kwargs)


def fail(*args, **kwargs):
    raise ApplicationError(FAILURE, *args, **kwargs)


def hold(*_args, **_kwargs):
    return asyncio.get_running_loop().create_future()


def tell_details(*_args, details):
    return CallResult(details.procedure, details.caller, details.caller_authid, details.caller_authrole)


async def count(number, details):
    for n in range(number):
        if details.progress:
            details.progress(n)
    return "done"


def unavailable(*_args, **_kwargs):
    raise ApplicationError(UNAVAILABLE)


def crowd():
    present = 0

    async def stay(*_args):
        nonlocal present
        present += 1
        counted = present
        await asyncio.sleep(CROWD_SECONDS)
        present -= 1
        return counted

    return stay


BEHAVIOURS = {"echo": echo, "fail": fail, "hold": hold, "details": tell_details, "count": count, "unavailable": unavailable}
DETAILED = ("details", "count")
