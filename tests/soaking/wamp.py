"""The least of a WAMP client: RawSocket and JSON, blocking, with nothing but Python's own library."""

import json
import socket

CONNECT_SECONDS = 20.0
HANDSHAKE = b"\x7f\xf1\x00\x00"
ROLES = {"roles": {"publisher": {}, "subscriber": {}, "caller": {}, "callee": {}}}


class Closed(Exception):
    """The router has closed the connection."""


def frame(message):
    """One message with its RawSocket header."""
    octets = json.dumps(message, separators=(",", ":")).encode()
    return len(octets).to_bytes(4, "big") + octets


class Session:
    """A connection that has joined `realm1`."""

    def __init__(self, address, timeout=CONNECT_SECONDS):
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = b""
        self.requests = 0
        self.socket.sendall(HANDSHAKE)
        if self.exactly(4)[0] != 0x7F:
            raise Closed("handshake")
        self.send([1, "realm1", ROLES])
        welcome = self.receive()
        if welcome[0] != 2:
            raise Closed(welcome)

    def send(self, message):
        self.socket.sendall(frame(message))

    def request(self):
        self.requests += 1
        return self.requests

    def exactly(self, count):
        while len(self.input) < count:
            piece = self.socket.recv(1 << 16)
            if not piece:
                raise Closed("end of stream")
            self.input += piece
        octets, self.input = self.input[:count], self.input[count:]
        return octets

    def receive(self):
        while True:
            header = self.exactly(4)
            octets = self.exactly(int.from_bytes(header[1:], "big"))
            if header[0] == 0:
                return json.loads(octets)

    def expect(self, code):
        message = self.receive()
        if message[0] != code:
            raise Closed(f"expected a message of type {code}, got {message}")
        return message

    def subscribe(self, topic):
        self.send([32, self.request(), {}, topic])
        return self.expect(33)[2]

    def register(self, procedure):
        self.send([64, self.request(), {}, procedure])
        return self.expect(65)[2]

    def close(self):
        self.socket.close()
