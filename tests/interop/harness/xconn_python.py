"""xconn for Python (asyncio) as a `Peer`."""

import asyncio

from wampproto import serializers
from wampproto.auth import AnonymousAuthenticator, CryptoSignAuthenticator, TicketAuthenticator, WAMPCRAAuthenticator
from xconn import types
from xconn.async_client import connect
from xconn.exception import ApplicationError

from .peers import CROWD_SECONDS, FAILURE, REALM, STEP_SECONDS, UNAVAILABLE, CallError, Event, Peer, Subscription

SERIALIZERS = {"json": serializers.JSONSerializer, "msgpack": serializers.MsgPackSerializer, "cbor": serializers.CBORSerializer}


class XconnPeer(Peer):
    @classmethod
    async def join(cls, spec, endpoints, realm=REALM, login=None):
        peer = cls()
        peer.spec = spec
        peer.closed = asyncio.get_running_loop().create_future()

        async def on_disconnect():
            if not peer.closed.done():
                peer.closed.set_result(None)

        peer.inner = await asyncio.wait_for(
            connect(
                endpoints.url(spec.transport),
                realm,
                authenticator(login),
                SERIALIZERS[spec.serializer](),
                disconnect_callback=on_disconnect,
            ),
            STEP_SECONDS,
        )
        peer.session = peer.inner._base_session.id
        return peer

    async def subscribe(self, topic, options=None):
        subscription = Subscription(None, topic)

        async def on_event(event):
            subscription.deliver(event.args, event.kwargs)

        subscription.inner = await self.step(self.inner.subscribe(topic, on_event, options))
        subscription.id = subscription.inner.subscription_id
        return subscription

    async def unsubscribe(self, subscription):
        await self.step(subscription.inner.unsubscribe())

    async def publish(self, topic, args=None, kwargs=None, *, acknowledge=True, exclude_me=None, options=None):
        options = {**(options or {}), **({"acknowledge": True} if acknowledge else {})}
        if exclude_me is not None:
            options["exclude_me"] = exclude_me
        await self.step(self.inner.publish(topic, args, kwargs, options))

    async def register(self, procedure, behaviour="echo", options=None):
        async def name(_invocation):
            return types.Result([self.session])

        behaviours = BEHAVIOURS | {"name": name, "crowd": crowd()}
        return await self.step(self.inner.register(procedure, behaviours[behaviour], options))

    async def unregister(self, registration):
        await self.step(registration.unregister())

    async def call(self, procedure, args=None, kwargs=None, *, options=None, progress=None):
        assert progress is None, "xconn for Python ends a call with its first result"
        return await self.ended(self.inner.call(procedure, args, kwargs, options))

    async def begin(self, procedure, args=None, *, options=None):
        call = asyncio.ensure_future(self.inner.call(procedure, args, None, options))
        await asyncio.sleep(0)
        return call

    async def ended(self, call):
        result = await self.step(call)
        return Event(list(result.args or []), dict(result.kwargs or {}))

    async def leave(self):
        await asyncio.wait_for(self.inner.leave(), STEP_SECONDS)
        if not self.closed.done():
            self.closed.set_result(None)

    async def drop(self):
        transport = self.inner._base_session.transport
        lower = transport._websocket.transport if hasattr(transport, "_websocket") else transport._writer.transport
        lower.abort()
        await asyncio.wait_for(self.closed, STEP_SECONDS)

    @property
    def is_open(self):
        return not self.closed.done()

    async def step(self, awaitable):
        try:
            return await asyncio.wait_for(awaitable, STEP_SECONDS)
        except ApplicationError as error:
            raise CallError(error.message, error.args, error.kwargs) from error


def authenticator(login):
    if login is None:
        return AnonymousAuthenticator("")
    kinds = {"ticket": TicketAuthenticator, "wampcra": WAMPCRAAuthenticator, "cryptosign": CryptoSignAuthenticator}
    return kinds[login.method](login.authid, login.secret)


async def echo(invocation):
    return types.Result(invocation.args, invocation.kwargs)


async def fail(invocation):
    raise ApplicationError(FAILURE, *(invocation.args or []))


async def hold(_invocation):
    await asyncio.get_running_loop().create_future()


async def tell_details(invocation):
    told = invocation.details
    return types.Result([told.get("procedure"), told.get("caller"), told.get("caller_authid"), told.get("caller_authrole")])


async def unavailable(_invocation):
    raise ApplicationError(UNAVAILABLE)


def crowd():
    present = 0

    async def stay(_invocation):
        nonlocal present
        present += 1
        counted = present
        await asyncio.sleep(CROWD_SECONDS)
        present -= 1
        return types.Result([counted])

    return stay


BEHAVIOURS = {"echo": echo, "fail": fail, "hold": hold, "details": tell_details, "unavailable": unavailable}
