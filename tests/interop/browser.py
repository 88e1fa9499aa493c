"""A real browser against the router: Wampy.js in Chromium, from pages of several origins.

Not part of the everyday run, because Chromium is large: `tests/run browser`.
"""

import json
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from urllib.parse import quote

import pytest

from harness.router import start_configured

PAGE = """<!doctype html>
<meta charset="utf-8">
<script src="/wampy.js"></script>
<script src="/serializers.js"></script>
<script type="module">
const { Wampy, MsgpackSerializer, CborSerializer, JsonSerializer } = globalThis;
const asked = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const make = { json: JsonSerializer, msgpack: MsgpackSerializer, cbor: CborSerializer }[asked.serializer];
const report = (what) => fetch("/report", { method: "POST", body: JSON.stringify(what) });
const session = () => new Wampy(asked.url, { realm: "realm1", serializer: new make(), autoReconnect: false });
const [client, other] = [session(), session()];
try {
    await client.connect();
    await other.connect();
} catch {
    await report({ outcome: "refused" });
    throw new Error("refused");
}
const text = "caf\\u00e9 \\u{1f980}";
const event = new Promise((resolve) => client.subscribe("com.page.topic", ({ argsList }) => resolve(argsList[0])));
await client.register("com.page.echo", ({ argsList }) => ({ argsList }));
const { argsList } = await other.call("com.page.echo", [text]);
await other.publish("com.page.topic", { argsList: [text] });
report({ outcome: "served", result: argsList[0] === text, event: (await event) === text });
</script>
"""

# Nothing of it may look beyond this machine; names are made up and lead to loopback.
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
    # A page on an address of this machine may speak to this machine; what is asked here is the router's own rule.
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
]


class Pages:
    """Serves the page, and collects what it reports."""

    def __init__(self):
        reports = self.reports = Queue()
        folder = Path(os.environ["WAMPLINE_NODE_BASE"]) / "node_modules/wampy/dist/browser"
        scripts = {
            "/wampy.js": (folder / "wampy.min.js").read_bytes(),
            "/serializers.js": (folder / "wampy-all.min.js").read_bytes(),
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                script = scripts.get(self.path)
                self.answer(script or PAGE.encode(), "text/javascript" if script else "text/html")

            def do_POST(self):
                reports.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.answer(b"", "text/plain")

            def answer(self, body, kind):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def pages():
    served = Pages()
    yield served
    served.close()


def visit(pages, host, url, profile, serializer="json"):
    """Opens the page under a host name and gives what it reports."""
    chromium = shutil.which("chromium") or pytest.fail("chromium is not installed")
    asked = quote(json.dumps({"url": url, "serializer": serializer}))
    page = f"http://{host}:{pages.port}/#{asked}"
    command = [chromium, *ARGUMENTS, f"--user-data-dir={profile}", page]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return pages.reports.get(timeout=25)
    except Empty:
        pytest.fail("the page has reported nothing")
    finally:
        browser.terminate()
        browser.wait(20)


CONFIG = """
[router]
shards = 2
[[listeners]]
listen = "127.0.0.1:0"
{origins}
[[realms]]
name = "realm1"
"""

SERVED = {"outcome": "served", "result": True, "event": True}


@pytest.mark.parametrize(
    ("host", "origins", "is_served"),
    [
        ("127.0.0.1", "", True),
        ("localhost", "", True),
        ("evil.test", "", False),
        ("friend.test", 'origins = ["http://friend.test:PORT"]', True),
        ("evil.test", 'origins = ["http://friend.test:PORT"]', False),
        ("evil.test", 'origins = ["*"]', True),
    ],
)
def test_which_pages_may_connect(pages, tmp_path, host, origins, is_served):
    config = CONFIG.format(origins=origins.replace("PORT", str(pages.port)))
    reported = visit_router(pages, host, config, tmp_path)
    assert reported == (SERVED if is_served else {"outcome": "refused"})


@pytest.mark.parametrize("serializer", ["msgpack", "cbor"])
def test_binary_serializers_in_a_page(pages, tmp_path, serializer):
    assert visit_router(pages, "localhost", CONFIG.format(origins=""), tmp_path, serializer) == SERVED


def visit_router(pages, host, config, directory, serializer="json"):
    router, [(address, port)] = start_configured(directory, config)
    try:
        return visit(pages, host, f"ws://{address}:{port}/ws", directory / "profile", serializer)
    finally:
        router.stop()
