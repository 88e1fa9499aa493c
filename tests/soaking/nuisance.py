"""Clients that nobody wants: slow, broken, half open, gone."""

import json
import random
import socket
import threading

from wamp import HANDSHAKE, Closed, ROLES, Session, frame

FLOOD_TOPIC = "soak.flood.topic"
HALF_OPEN = 40

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
)

BEGINNINGS = [b"", b"\x7f", HANDSHAKE[:3], HANDSHAKE, HANDSHAKE + b"\x00\x00\x10", UPGRADE[:60], UPGRADE, b"\x16\x03\x01"]

MESSAGES = [
    [1, "realm1", ROLES],
    [16, 1, {"acknowledge": True}, "soak.any", [1, "two", None], {"k": [1.5]}],
    [32, 1, {"match": "prefix"}, "soak.an"],
    [34, 2, 123456],
    [48, 3, {}, "soak.nothing", ["x" * 300]],
    [64, 4, {"match": "wildcard"}, "soak..any"],
    [70, 1, {}, [1]],
    [8, 68, 1, {}, "soak.error"],
    [6, {}, "wamp.close.normal"],
]


def is_ended(connection, within):
    """Whether the router ends the connection within so many seconds; what else comes is read and dropped."""
    connection.settimeout(within)
    try:
        while connection.recv(1 << 16):
            pass
        return True
    except TimeoutError:
        return False
    except OSError:
        return True


def half_open(address, stop, chance, ended):
    """Keeps connections that stop in the middle of their handshake, until the router has had the time to end them."""
    connections = []
    while not stop.wait(0.15):
        if len(connections) >= HALF_OPEN:
            oldest = connections.pop(0)
            ended(is_ended(oldest, 0.01))
            oldest.close()
        connection = socket.create_connection(address, timeout=20)
        connection.sendall(chance.choice(BEGINNINGS))
        connections.append(connection)
    for connection in connections:
        connection.close()


def malformed(address, stop, chance, ended):
    """Sends messages of which some octets have changed."""
    while not stop.wait(0.02):
        with socket.create_connection(address, timeout=20) as connection:
            stream = HANDSHAKE if chance.random() < 0.7 else UPGRADE
            stream += frame([1, "realm1", ROLES]) if chance.random() < 0.7 else b""
            stream += b"".join(frame(chance.choice(MESSAGES)) for _ in range(chance.randrange(6)))
            octets = bytearray(stream)
            for _ in range(chance.randrange(5)):
                octets[chance.randrange(len(octets))] = chance.randrange(256)
            connection.sendall(octets)
            if chance.random() < 0.5:
                ended(is_ended(connection, 0.2))


def slow_readers(address, stop, chance, ended):
    """Subscribes and never reads, while somebody publishes, until the router cuts the connection off."""
    publisher = Session(address)
    payload = "x" * 20_000
    while not stop.wait(0.5):
        readers = []
        for _ in range(3):
            reader = Session(address)
            reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.subscribe(FLOOD_TOPIC)
            readers.append(reader)
        for _ in range(600):
            if stop.is_set():
                break
            publisher.send([16, publisher.request(), {}, FLOOD_TOPIC, [payload]])
        for reader in readers:
            ended(is_ended(reader.socket, 1.0))
            reader.close()
    publisher.close()


def leavers(address, stop, chance, ended):
    """Sessions that subscribe, register, call and are gone in the middle of it."""
    while not stop.wait(0.05):
        session = Session(address)
        for number in range(chance.randrange(1, 20)):
            session.send([32, session.request(), {"match": "prefix"}, f"soak.leaver.{chance.randrange(50)}"])
            session.send([64, session.request(), {"match": "wildcard"}, f"soak..{chance.randrange(50)}"])
            session.send([48, session.request(), {}, f"soak.x.{chance.randrange(50)}", [number]])
        if chance.random() < 0.5:
            # A reset instead of an orderly end.
            session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        session.close()


NUISANCES = (half_open, malformed, slow_readers, leavers)


def run(address, stop, counts, seed):
    """All of them, each in a thread, until `stop` is set. `counts` has for each of them how many connections the router has
    ended."""

    def again_and_again(at):
        chance = random.Random(seed + at)

        def ended(by_router):
            counts[at] += by_router

        while not stop.is_set():
            try:
                NUISANCES[at](address, stop, chance, ended)
            except (OSError, Closed, json.JSONDecodeError):
                ended(True)

    threads = [threading.Thread(target=again_and_again, args=(at,)) for at in range(len(NUISANCES))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
