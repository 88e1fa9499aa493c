"""Starts the router under test, finds out where it listens and stops it."""

import asyncio
import os
import re
import signal
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]

# Generous: the figures are promised elsewhere, here they only guard against hanging.
START_SECONDS = 30.0
STOP_SECONDS = 15.0

# The line with which the binary says where a listener really listens; the crates below it log endpoints in other forms.
LISTENING = re.compile(r"\blistening endpoint=(?:unix:(?P<path>\S+)|127\.0\.0\.1:(?P<port>[1-9]\d*)) .*\btls=")


def binary():
    """The router to test: `WAMPLINE_BIN`, or what cargo built last."""
    if "WAMPLINE_BIN" in os.environ:
        return Path(os.environ["WAMPLINE_BIN"])
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    built = [target / profile / "wampline" for profile in ("fast", "release", "debug")]
    built = [path for path in built if path.exists()]
    if not built:
        raise FileNotFoundError(f"no wampline below {target}: run `cargo build --profile fast -p wampline` or set WAMPLINE_BIN")
    return max(built, key=lambda path: path.stat().st_mtime)


def driver():
    """The flags that choose the driver: `WAMPLINE_DRIVER` (auto, uring, epoll), or the router's own choice."""
    return ["--driver", os.environ["WAMPLINE_DRIVER"]] if "WAMPLINE_DRIVER" in os.environ else []


class Router:
    """One router process and its log."""

    def __init__(self, arguments, listeners=1):
        self.log = []
        self.endpoints = []
        self.process = subprocess.Popen(
            [str(binary()), *arguments, *driver()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()
        try:
            self.wait_until_listening(listeners)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def read_log(self):
        for line in self.process.stderr:
            with self.changed:
                self.log.append(line.rstrip("\n"))
                found = LISTENING.search(line)
                if found:
                    self.endpoints.append(found["path"] or ("127.0.0.1", int(found["port"])))
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def wait_until_listening(self, listeners):
        deadline = time.monotonic() + START_SECONDS
        with self.changed:
            while len(self.endpoints) < listeners:
                if not self.reader.is_alive() and len(self.endpoints) < listeners:
                    raise RuntimeError(f"the router ended before it listened:\n{self.log_tail()}")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the router does not listen after {START_SECONDS} s:\n{self.log_tail()}")
                self.changed.wait(0.2)

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_running(self):
        return self.process.poll() is None

    def terminate(self):
        """SIGTERM, without waiting."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=STOP_SECONDS):
        """The exit code."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the router still runs {seconds} s after SIGTERM:\n{self.log_tail()}") from None
        self.reader.join(5)
        return code

    async def wait_async(self, seconds=STOP_SECONDS):
        return await asyncio.get_running_loop().run_in_executor(None, self.wait, seconds)

    def stop(self):
        """An orderly end, which must succeed."""
        if self.is_running:
            self.terminate()
        code = self.wait()
        assert code == 0, f"the router ended with {code}:\n{self.log_tail()}"
        panics = [line for line in self.log if "panicked at" in line]
        assert not panics, f"the router panicked:\n{self.log_tail(200)}"

    def log_tail(self, lines=40):
        return "\n".join(self.log[-lines:])


class Endpoints:
    """Where the listeners of one router are."""

    def __init__(self, plain=None, secure=None, unix_path=None, authority=None, identity=None):
        """`identity`: the certificate and key that clients show to TLS."""
        self.plain = plain
        self.identity = identity
        self.secure = secure
        self.unix_path = unix_path
        self.authority = authority

    def address(self, secure=False):
        return self.secure if secure else self.plain

    def url(self, transport):
        if transport == "unix":
            return f"unix://{self.unix_path}"
        secure = transport in ("wss", "rss")
        _, port = self.address(secure)
        host = "localhost" if secure else "127.0.0.1"
        return f"{transport}://{host}:{port}" + ("/ws" if transport in ("ws", "wss") else "")

    def client_tls(self):
        context = ssl.create_default_context(cafile=self.authority)
        if self.identity:
            context.load_cert_chain(*self.identity)
        return context


def start_plain(shards=2, *extra):
    """A router with the defaults on a port that the kernel picks."""
    router = Router(["--listen", "127.0.0.1:0", "--shards", str(shards), *extra])
    return router, Endpoints(plain=router.endpoints[0])


def start_configured(directory, config, listeners=1):
    """A router with the configuration `config` (TOML) and the addresses of its listeners, in its order."""
    path = Path(directory) / "wampline.toml"
    path.write_text(config, encoding="utf-8")
    router = Router(["run", "--config", str(path)], listeners)
    return router, router.endpoints


def start_full(directory, certificates):
    """A router with two shards and three listeners for one realm: TCP, TLS and a Unix socket."""
    unix_path = str(Path(directory) / "wampline.sock")
    config = FULL_CONFIG.format(certificate=certificates.certificate, key=certificates.key, unix_path=unix_path)
    router, (plain, secure, unix_path) = start_configured(directory, config, listeners=3)
    return router, Endpoints(plain=plain, secure=secure, unix_path=unix_path, authority=certificates.authority)


FULL_CONFIG = """\
[router]
shards = 2

[[listeners]]
listen = "127.0.0.1:0"

[[listeners]]
listen = "127.0.0.1:0"
tls = {{ certificate = "{certificate}", key = "{key}" }}

[[listeners]]
listen = "unix:{unix_path}"

[[realms]]
name = "realm1"
"""


def scratch():
    """A folder for sockets and configuration; its path is short enough for a Unix socket."""
    return tempfile.TemporaryDirectory(prefix="wampline-")
