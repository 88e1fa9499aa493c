"""autobahn-js and wampy.js as `Peer`s: one Node process runs all of them, commanded over a pipe by lines of JSON."""

import asyncio
import itertools
import json
import os
from dataclasses import asdict
from pathlib import Path

from .peers import REALM, STEP_SECONDS, CallError, Event, JoinError, Peer, Subscription
from .values import from_tagged, to_tagged

SCRIPT = Path(__file__).resolve().parents[1] / "js" / "peers.mjs"

# A line of the pipe holds one message, base64 included.
LINE_BYTES_MAX = 64 * 1024 * 1024


def modules():
    """The folder that holds `node_modules`: where `tests/run` installed it, or beside `package.json`."""
    return Path(os.environ.get("WAMPLINE_NODE_BASE", SCRIPT.parents[1]))


class Node:
    """The Node process. `tell` sends one command and waits for its answer."""

    @classmethod
    async def start(cls, authority=None):
        node = cls()
        environment = dict(os.environ, WAMPLINE_NODE_BASE=str(modules()))
        if authority:
            environment["NODE_EXTRA_CA_CERTS"] = authority
        node.process = await asyncio.create_subprocess_exec(
            "node",
            "--no-deprecation",
            str(SCRIPT),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX,
            env=environment,
        )
        node.ids = itertools.count(1)
        node.waiting = {}
        node.peers = {}
        node.task = asyncio.get_running_loop().create_task(node.read())
        await node.tell("ready")
        return node

    async def read(self):
        while line := await self.process.stdout.readline():
            message = json.loads(line)
            if "id" in message:
                self.answer(message)
            else:
                self.peers[message["peer"]].notice(message)
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the Node process ended"))

    def answer(self, message):
        future = self.waiting.pop(message["id"])
        if future.done():
            return
        error = message.get("error")
        if error is None:
            future.set_result(message.get("result"))
        elif error.get("uri"):
            future.set_exception(CallError(error["uri"], from_tagged(error.get("args") or []), from_tagged(error.get("kwargs") or {})))
        else:
            future.set_exception(RuntimeError(error["message"]))

    async def tell(self, command, **fields):
        ident = next(self.ids)
        future = self.waiting[ident] = asyncio.get_running_loop().create_future()
        self.process.stdin.write(json.dumps({"id": ident, "command": command, **fields}).encode() + b"\n")
        await self.process.stdin.drain()
        return await asyncio.wait_for(future, STEP_SECONDS)

    async def stop(self):
        self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), 5)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()
        await self.task


class NodePeer(Peer):
    names = itertools.count(1)
    handles = itertools.count(1)

    @classmethod
    async def join(cls, spec, endpoints, node, realm=REALM, login=None):
        peer = cls()
        peer.spec = spec
        peer.node = node
        peer.name = f"peer{next(cls.names)}"
        peer.closed = asyncio.get_running_loop().create_future()
        peer.subscriptions = {}
        node.peers[peer.name] = peer
        target = {"url": endpoints.url(spec.transport)} if spec.transport in ("ws", "wss") else raw_target(spec, endpoints)
        try:
            login = login and asdict(login)
            result = await peer.tell("join", client=spec.client, serializer=spec.serializer, target=target, realm=realm, login=login)
        except CallError as error:
            raise JoinError(error.uri) from error
        peer.session = from_tagged(result["session"])
        return peer

    async def subscribe(self, topic, options=None):
        ident = await self.tell("subscribe", topic=topic, options=options)
        subscription = self.subscriptions[ident]
        subscription.topic = topic
        return subscription

    async def unsubscribe(self, subscription):
        await self.tell("unsubscribe", subscription=subscription.id)

    async def publish(self, topic, args=None, kwargs=None, *, acknowledge=True, exclude_me=None, options=None):
        options = dict(options or {})
        if exclude_me is not None:
            options["exclude_me"] = exclude_me
        await self.tell(
            "publish", topic=topic, args=to_tagged(args or []), kwargs=to_tagged(kwargs or {}), acknowledge=acknowledge, options=options
        )

    async def register(self, procedure, behaviour="echo", options=None):
        return await self.tell("register", procedure=procedure, behaviour=behaviour, options=options)

    async def unregister(self, registration):
        await self.tell("unregister", registration=registration)

    async def call(self, procedure, args=None, kwargs=None, *, options=None, progress=None):
        return await self.ended(self.tell_call(procedure, args, kwargs, options=options, progress=progress))

    async def begin(self, procedure, args=None, *, options=None):
        handle = next(self.handles)
        call = asyncio.ensure_future(self.tell_call(procedure, args, None, handle=handle, options=options))
        call.handle = handle
        await self.probe()
        return call

    async def cancel(self, call, mode=None):
        await self.tell("cancel", handle=call.handle, mode=mode)

    async def ended(self, call):
        result = await call
        return Event(from_tagged(result["args"]), from_tagged(result["kwargs"]))

    async def call_in_chunks(self, procedure, chunks):
        """A progressive call: every element of `chunks` is the arguments of one CALL."""
        return await self.ended(self.tell("call_in_chunks", procedure=procedure, args=to_tagged(chunks), kwargs={}))

    def tell_call(self, procedure, args, kwargs, *, options=None, progress=None, handle=None):
        if progress is not None:
            # Progressive results come as events do.
            ident = f"progress{next(self.handles)}"
            self.subscriptions[ident] = progress
            progress = ident
        fields = {"procedure": procedure, "args": to_tagged(args or []), "kwargs": to_tagged(kwargs or {})}
        return self.tell("call", **fields, options=options, progress=progress, handle=handle)

    async def leave(self):
        await self.tell("leave")
        return await asyncio.wait_for(self.closed, STEP_SECONDS)

    async def drop(self):
        await self.tell("drop")
        await asyncio.wait_for(self.closed, STEP_SECONDS)

    async def probe(self):
        """Waits until the peer has handled everything that came before."""
        await self.tell("probe")

    @property
    def is_open(self):
        return not self.closed.done()

    def notice(self, message):
        if message["notice"] == "subscribed":
            self.subscriptions[message["subscription"]] = Subscription(message["subscription"], None)
        elif message["notice"] == "event":
            self.subscriptions[message["subscription"]].deliver(from_tagged(message["args"]), from_tagged(message["kwargs"]))
        elif message["notice"] == "closed" and not self.closed.done():
            self.closed.set_result(message["reason"])

    async def tell(self, command, **fields):
        return await self.node.tell(command, peer=self.name, **fields)


def raw_target(spec, endpoints):
    if spec.transport == "unix":
        return {"path": endpoints.unix_path}
    host, port = endpoints.address()
    return {"host": host, "port": port}
