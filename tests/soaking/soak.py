"""Runs the soak: see `tests/soak`."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nuisance
import probe

SEED = 20261121
SETTLE_SECONDS = 40.0
STOP_SECONDS = 30.0
# What the allocator may keep beyond the level at which it began, in octets.
GROWTH_MAX = 8 << 20

CONFIG = """
[router]
shards = {shards}
[[listeners]]
listen = "127.0.0.1:0"
[[realms]]
name = "realm1"
"""

# One round of the load generator, each part for so many seconds: scenario, transport, arguments.
LOAD = [
    ("rpc", "rs", ["--serializer", "msgpack", "--callers", "4", "--callees", "2", "--in-flight", "16"]),
    ("pubsub", "ws", ["--serializer", "json", "--subscribers", "200", "--in-flight", "4"]),
    ("rpc", "ws", ["--serializer", "cbor", "--callers", "2", "--payload", "20000", "--in-flight", "4"]),
    ("pubsub", "rs", ["--serializer", "cbor", "--subscribers", "50", "--topics", "10", "--payload", "5000", "--in-flight", "2"]),
    ("churn", "rs", ["--sessions", "2000", "--warmup-sessions", "1"]),
    ("churn", "ws", ["--sessions", "1000", "--warmup-sessions", "1", "--abrupt"]),
]
LOAD_SECONDS = 8
WARMUP_SECONDS = 60


class Router:
    """The process, and what it costs."""

    def __init__(self, folder):
        config = Path(folder) / "wampline.toml"
        config.write_text(CONFIG.format(shards=os.environ.get("SHARDS", "2")))
        self.log = open(Path(folder) / "router.log", "w+")
        command = [os.environ["WAMPLINE_BIN"], "run", "--config", str(config), "--log-level", "error,wampline=info"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self.log)
        self.address = self.wait_until_listening()

    def wait_until_listening(self):
        for _ in range(300):
            found = re.search(r"listening endpoint=127\.0\.0\.1:(\d+)", self.read_log())
            if found:
                return ("127.0.0.1", int(found[1]))
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit(f"the router does not listen:\n{self.read_log()}")

    def read_log(self):
        with open(self.log.name, errors="replace") as log:
            return log.read()

    def level(self):
        """Anonymous memory in octets, and open descriptors."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        memory = int(re.search(r"RssAnon:\s*(\d+) kB", status)[1]) << 10
        return memory, len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def settle(self, descriptors):
        """Waits until descriptors are back at that number, or for as long as handshakes and closing may take."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline and self.level()[1] > descriptors:
            time.sleep(0.5)
        time.sleep(2)
        return self.level()

    def stop(self):
        """SIGTERM, and the exit code; `None` if it does not end."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None


def load(router, findings, until):
    """The load generator, part after part, until the time has come. Returns how many parts it ran."""
    rounds = 0
    while time.monotonic() < until:
        scenario, scheme, arguments = LOAD[rounds % len(LOAD)]
        url = f"{scheme}://127.0.0.1:{router.address[1]}"
        command = [os.environ["WAMPLINE_LOADGEN"], scenario, "--url", url, "--timeout", "60", *arguments]
        if scenario != "churn":
            command += ["--duration", str(LOAD_SECONDS)]
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if ended.returncode != 0:
            findings.append(f"{' '.join(command[1:])}: exit code {ended.returncode}\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
        if router.process.poll() is not None:
            findings.append(f"the router ended with exit code {router.process.returncode}:\n{router.read_log()[-4000:]}")
            break
        rounds += 1
    return rounds


def under_fire(router, seconds, findings):
    """The load generator, the nuisances and the probe for so long. Returns what is to be reported."""
    context = multiprocessing.get_context("spawn")
    stop, results = context.Event(), context.Queue()
    ended = context.Array("Q", len(nuisance.NUISANCES), lock=False)
    workers = [
        context.Process(target=probe.run, args=(router.address, stop, results)),
        context.Process(target=nuisance.run, args=(router.address, stop, ended, SEED)),
    ]
    for worker in workers:
        worker.start()
    parts = load(router, findings, time.monotonic() + seconds)
    stop.set()
    report = [f"load generator: {parts} parts without loss"]
    for _ in range(2):
        kind, text = results.get(timeout=120)
        (findings if kind == "failed" else report).append(f"probe, {kind}: {text}")
    for worker in workers:
        worker.join(120)
    names = [one.__name__ for one in nuisance.NUISANCES]
    report.append("connections that the router ended: " + ", ".join(f"{n} {name}" for n, name in zip(ended, names)))
    if ended[names.index("half_open")] == 0 or ended[names.index("slow_readers")] == 0:
        findings.append("half-open connections or slow readers were not ended")
    return report


def soak(router, minutes):
    """Everything, for so long. Returns what was found and what is to be reported."""
    findings = []
    started = router.level()
    # The same for a while before, so that the router has its working memory.
    under_fire(router, WARMUP_SECONDS, findings)
    before = router.settle(started[1])
    report = under_fire(router, 60 * minutes, findings)
    after = router.settle(before[1])
    for name, (memory, descriptors) in (("at start", started), ("before", before), ("after", after)):
        report.append(f"{name}: {memory / (1 << 20):.1f} MiB anonymous memory, {descriptors} descriptors")
    if after[1] > started[1]:
        findings.append(f"{after[1] - started[1]} descriptors are left")
    if after[0] > before[0] + GROWTH_MAX:
        findings.append(f"memory has grown by {after[0] - before[0]} octets")
    return findings, report


def main():
    minutes = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        router = Router(folder)
        try:
            findings, report = soak(router, minutes)
        finally:
            code = router.stop()
        if code != 0:
            findings.append(f"SIGTERM: exit code {code}")
        if "panicked" in router.read_log():
            findings.append(router.read_log()[-4000:])
    print("\n".join(report))
    print("\n".join(f"FOUND: {finding}" for finding in findings) or f"soak of {minutes} minutes: nothing found")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
