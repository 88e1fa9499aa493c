"""TLS over plain sockets with OpenSSL itself: Python's `ssl` gives no keying material to bind an authentication to (RFC 9266)."""

import asyncio

from OpenSSL import SSL

# RFC 9266, section 4.2.
LABEL, OCTETS = b"EXPORTER-Channel-Binding", 32


class Tls:
    """An address that is spoken to over TLS; `raw.connect` takes it in place of one without."""

    def __init__(self, address, authority, identity=None, version=None):
        """`identity`: the paths of a certificate and its key. `version`: the one version of TLS, such as `SSL.TLS1_2_VERSION`."""
        self.address = address
        self.context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self.context.load_verify_locations(authority)
        self.context.set_verify(SSL.VERIFY_PEER)
        if version is not None:
            self.context.set_min_proto_version(version)
            self.context.set_max_proto_version(version)
        if identity:
            certificate, key = identity
            self.context.use_certificate_file(certificate)
            self.context.use_privatekey_file(key)

    async def open(self):
        """The two ends of a stream, as `asyncio.open_connection` returns them."""
        inner_reader, inner_writer = await asyncio.open_connection(*self.address)
        stream = Stream(SSL.Connection(self.context), inner_reader, inner_writer)
        await stream.handshake()
        return stream.reader, stream


class Stream:
    """A connection with TLS between memory and a socket; the writing end of it, too."""

    def __init__(self, tls, inner_reader, inner_writer):
        self.tls = tls
        self.inner_reader = inner_reader
        self.inner_writer = inner_writer
        self.reader = asyncio.StreamReader()
        self.pumping = None

    @property
    def transport(self):
        return self.inner_writer.transport

    @property
    def channel(self):
        """What binds to this connection: `tls-exporter`."""
        return self.tls.export_keying_material(LABEL, OCTETS, b"")

    async def handshake(self):
        self.tls.set_tlsext_host_name(b"localhost")
        self.tls.set_connect_state()
        while True:
            try:
                self.tls.do_handshake()
                break
            except SSL.WantReadError:
                await self.drain()
                if not await self.take():
                    raise ConnectionError("the router ended the TLS handshake") from None
            except SSL.Error as error:
                raise ConnectionError(f"TLS: {error}") from None
        await self.drain()
        self.pumping = asyncio.ensure_future(self.pump())

    async def take(self):
        """Takes octets from the socket; whether there were some."""
        octets = await self.inner_reader.read(65536)
        if octets:
            self.tls.bio_write(octets)
        return bool(octets)

    async def pump(self):
        try:
            while True:
                try:
                    self.reader.feed_data(self.tls.recv(65536))
                except SSL.WantReadError:
                    self.flush()
                    if not await self.take():
                        break
        except (SSL.Error, ConnectionError):
            pass
        self.reader.feed_eof()

    def write(self, octets):
        self.tls.sendall(octets)
        self.flush()

    def flush(self):
        while True:
            try:
                self.inner_writer.write(self.tls.bio_read(65536))
            except SSL.WantReadError:
                return

    async def drain(self):
        self.flush()
        await self.inner_writer.drain()

    def close(self):
        if self.pumping:
            self.pumping.cancel()
        self.inner_writer.close()

    async def wait_closed(self):
        await self.inner_writer.wait_closed()
