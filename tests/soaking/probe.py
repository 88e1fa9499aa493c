"""Healthy clients that count what they get: a publisher and a subscriber, a caller and a callee."""

import threading
import time

from wamp import Session

INTERVAL_SECONDS = 0.02
TOPIC = "soak.probe.topic"
PROCEDURE = "soak.probe.procedure"
ANSWER_SECONDS = 30.0


class Latencies:
    """Counts by time, in steps of 2%: bounded however long it takes."""

    def __init__(self):
        self.counts = {}
        self.highest = 0.0

    def add(self, seconds):
        step, bound = 0, 1e-5
        while bound < seconds:
            step, bound = step + 1, bound * 1.02
        self.counts[step] = self.counts.get(step, 0) + 1
        self.highest = max(self.highest, seconds)

    def quantile(self, share):
        left = share * sum(self.counts.values())
        for step in sorted(self.counts):
            left -= self.counts[step]
            if left <= 0:
                return 1e-5 * 1.02**step
        return 0.0

    def __str__(self):
        count = sum(self.counts.values())
        parts = (("p50", self.quantile(0.5)), ("p99", self.quantile(0.99)), ("most", self.highest))
        return f"{count} " + ", ".join(f"{name} {1e3 * seconds:.2f} ms" for name, seconds in parts)


class Failed(Exception):
    """Something was lost, came twice or out of order."""


def publish(address, stop, report):
    """Publishes numbers to itself on two connections; the subscriber must get each, once, in order."""
    publisher, subscriber = Session(address), Session(address)
    for session in (publisher, subscriber):
        session.socket.settimeout(ANSWER_SECONDS)
    subscriber.subscribe(TOPIC)
    latencies = Latencies()
    while not stop.is_set():
        number = publisher.request()
        began = time.monotonic()
        publisher.send([16, number, {"acknowledge": True}, TOPIC, [number]])
        event = subscriber.expect(36)
        latencies.add(time.monotonic() - began)
        published = publisher.expect(17)
        if event[4] != [number] or published[1] != number:
            raise Failed(f"publication {number}: {event}, {published}")
        time.sleep(INTERVAL_SECONDS)
    report.put(("event", str(latencies)))


def call(address, stop, report):
    """Calls itself on two connections; every call must be answered, once."""
    caller, callee = Session(address), Session(address)
    for session in (caller, callee):
        session.socket.settimeout(ANSWER_SECONDS)
    callee.register(PROCEDURE)
    latencies = Latencies()
    while not stop.is_set():
        number = caller.request()
        began = time.monotonic()
        caller.send([48, number, {}, PROCEDURE, [number]])
        invocation = callee.expect(68)
        callee.send([70, invocation[1], {}, invocation[4]])
        result = caller.expect(50)
        latencies.add(time.monotonic() - began)
        if result[1] != number or result[3] != [number]:
            raise Failed(f"call {number}: {result}")
        time.sleep(INTERVAL_SECONDS)
    report.put(("call", str(latencies)))


def run(address, stop, report):
    """Both, each in a thread, until `stop` is set. Whatever goes wrong is reported as `failed`."""

    def guarded(probe):
        try:
            probe(address, stop, report)
        except Exception as error:
            report.put(("failed", f"{probe.__name__}: {type(error).__name__}: {error}"))

    threads = [threading.Thread(target=guarded, args=(probe,)) for probe in (publish, call)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
