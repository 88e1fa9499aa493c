"""Fixtures: one event loop for the whole run, the routers, the Node process and peers that are cleaned up."""

import asyncio
import inspect
import itertools
import os

import pytest

from harness import raw
from harness.certificates import make_certificates
from harness.peers import Spec
from harness.router import scratch, start_configured, start_full, start_plain

TEST_SECONDS = 30.0
LEAVE_SECONDS = 3.0

LOOP = pytest.StashKey[asyncio.AbstractEventLoop]()


def pytest_configure(config):
    config.stash[LOOP] = asyncio.new_event_loop()
    asyncio.set_event_loop(config.stash[LOOP])


def pytest_unconfigure(config):
    loop = config.stash.get(LOOP, None)
    if loop is not None:
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Runs coroutine tests on the one loop, within their time limit."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    marker = pyfuncitem.get_closest_marker("limit")
    limit = marker.args[0] if marker else TEST_SECONDS
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    pyfuncitem.config.stash[LOOP].run_until_complete(asyncio.wait_for(pyfuncitem.obj(**arguments), limit))
    return True


@pytest.fixture(scope="session")
def loop(request):
    return request.config.stash[LOOP]


@pytest.fixture(scope="session")
def certificates():
    with scratch() as directory:
        made = make_certificates(directory)
        os.environ["SSL_CERT_FILE"] = made.authority
        yield made


@pytest.fixture(scope="session")
def full_router(certificates):
    """The router that most tests share: realm1 on TCP, TLS and a Unix socket, two shards."""
    with scratch() as directory:
        router, endpoints = start_full(directory, certificates)
        yield router, endpoints
        router.stop()


@pytest.fixture(scope="session")
def endpoints(full_router):
    return full_router[1]


@pytest.fixture
def own_router():
    """A router for one test, with the defaults and two shards; the test may stop it itself."""
    router, endpoints = start_plain(2)
    yield router, endpoints
    router.stop()


@pytest.fixture
def configured_router():
    """Starts routers with a configuration of the test's own: `configured_router(toml)` returns the router and its addresses."""
    with scratch() as directory:
        started = []

        def start(config, listeners=1):
            router, addresses = start_configured(directory, config, listeners)
            started.append(router)
            return router, addresses

        yield start
        for router in started:
            router.stop()


@pytest.fixture(scope="session")
def address(endpoints):
    """Where the shared router listens on TCP."""
    return endpoints.plain


@pytest.fixture
def connections(loop):
    """Collects the plain connections of a test and closes them."""
    opened = []
    yield opened
    for connection in opened:
        loop.run_until_complete(connection.close())


@pytest.fixture
def open_session(address, connections):
    """Opens a session over plain sockets: `open_session(framing, serializer)`."""

    async def open_(framing="rs", serializer="json", *, address=address, **hello):
        connection = await raw.FRAMINGS[framing].open(address, serializer)
        connections.append(connection)
        await connection.hello(**hello)
        return connection

    return open_


@pytest.fixture
def open_connection(address, connections):
    """Opens a transport over plain sockets, without a session: `open_connection(framing, serializer)`."""

    async def open_(framing="rs", serializer="json", *, address=address, **options):
        connection = await raw.FRAMINGS[framing].open(address, serializer, **options)
        connections.append(connection)
        return connection

    return open_


@pytest.fixture(scope="session")
def node(loop, certificates):
    from harness.node import Node

    process = loop.run_until_complete(Node.start(certificates.authority))
    yield process
    loop.run_until_complete(process.stop())


class Joiner:
    """Opens peers of any client and closes what is left of them."""

    def __init__(self, loop, endpoints, request):
        self.loop = loop
        self.endpoints = endpoints
        self.request = request
        self.peers = []

    async def __call__(self, spec, *, endpoints=None, **options):
        spec = parse(spec) if isinstance(spec, str) else spec
        peer = await self.open(spec, endpoints or self.endpoints, options)
        self.peers.append(peer)
        return peer

    async def open(self, spec, endpoints, options):
        if spec.client == "autobahn":
            from harness.autobahn_python import AutobahnPeer

            return await AutobahnPeer.join(spec, endpoints, **options)
        if spec.client == "xconn":
            from harness.xconn_python import XconnPeer

            return await XconnPeer.join(spec, endpoints, **options)
        from harness.node import NodePeer

        return await NodePeer.join(spec, endpoints, self.request.getfixturevalue("node"), **options)

    async def close(self):
        """Lets all peers leave; one that cannot any more is left alone, because the test has said what went wrong."""
        leaving = [asyncio.wait_for(peer.leave(), LEAVE_SECONDS) for peer in self.peers if peer.is_open]
        await asyncio.gather(*leaving, return_exceptions=True)
        self.peers.clear()


def parse(text):
    """`autobahn-ws-json` as a `Spec`."""
    return Spec(*text.split("-"))


@pytest.fixture
def node_if_needed(request):
    """Starts Node outside the running loop when a parameter of the test names a JavaScript client."""
    parameters = request.node.callspec.params.values() if hasattr(request.node, "callspec") else ()
    if any(str(value).startswith(("autobahn_js-", "wampy-")) for value in parameters):
        request.getfixturevalue("node")


@pytest.fixture
def join(loop, endpoints, request, node_if_needed):
    """Opens peers that are closed after the test."""
    joiner = Joiner(loop, endpoints, request)
    yield joiner
    loop.run_until_complete(joiner.close())


class Pool:
    """Peers that stay open over many tests, one per client, transport, serializer and part."""

    def __init__(self, joiner):
        self.joiner = joiner
        self.open = {}

    async def get(self, spec, part):
        peer = self.open.get((spec, part))
        if peer is None or not peer.is_open:
            peer = self.open[spec, part] = await self.joiner(spec)
        return peer


@pytest.fixture(scope="session")
def session_pool(loop, endpoints, request):
    joiner = Joiner(loop, endpoints, request)
    yield Pool(joiner)
    loop.run_until_complete(joiner.close())


@pytest.fixture
def pool(session_pool, node_if_needed):
    return session_pool


NAMES = itertools.count(1)


@pytest.fixture
def uri():
    """A URI that no other test uses."""
    return f"com.example.test{next(NAMES)}"
