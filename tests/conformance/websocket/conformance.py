"""Runs the cases of Autobahn|Testsuite against `wampline testee` and counts the verdicts. Called by `run`."""

import argparse
import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

# A case passes when both its behaviour and its close behaviour are among these. NON-STRICT and UNIMPLEMENTED are failures:
# the promise is none of either.
PASSES = {"OK", "INFORMATIONAL"}

START_SECONDS = 30.0
SUITE_SECONDS = 900.0
LISTENING = re.compile(r"\blistening endpoint=127\.0\.0\.1:([1-9]\d*)")

# Compression is not offered (yet); its cases say UNIMPLEMENTED.
DEFLATE = ["12.*", "13.*"]
LIMITS = ["9.*"]


@dataclass(frozen=True)
class Round:
    """One run of the suite: on how many shards, with TLS or without, leaving out which cases, and how many are left."""

    name: str
    shards: int
    tls: bool
    excluded: tuple
    cases: int


def rounds(suite):
    with_limits = (tuple(DEFLATE), 301)
    without_limits = (tuple(LIMITS + DEFLATE), 247)
    return [
        Round("plain-1-shard", 1, False, *with_limits),
        Round("plain-2-shards", 2, False, *with_limits),
        Round("tls-2-shards", 2, True, *(with_limits if suite == "full" else without_limits)),
    ]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wstest", required=True)
    parser.add_argument("--reports", required=True, type=Path)
    parser.add_argument("--suite", choices=["quick", "full"], default="quick")
    options = parser.parse_args()
    passed = failed = 0
    for round_ in rounds(options.suite):
        with tempfile.TemporaryDirectory(prefix="wampline-") as scratch:
            good, bad = run_round(round_, options, Path(scratch))
        passed, failed = passed + good, failed + bad
    print(f"websocket conformance: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def run_round(round_, options, scratch):
    report = options.reports / os.environ.get("WAMPLINE_DRIVER", "auto") / round_.name
    report.mkdir(parents=True, exist_ok=True)
    (report / "index.json").unlink(missing_ok=True)
    testee, port = start_testee(round_, scratch)
    start = time.monotonic()
    try:
        scheme, host = ("wss", "localhost") if round_.tls else ("ws", "127.0.0.1")
        run_wstest(options.wstest, f"{scheme}://{host}:{port}/echo", round_, report, scratch)
    finally:
        stop(testee)
    verdicts = read_verdicts(report)
    bad = {case: verdict for case, verdict in verdicts.items() if not verdict <= PASSES}
    for case, verdict in sorted(bad.items(), key=lambda item: case_order(item[0])):
        print(f"  {round_.name}: case {case}: {', '.join(sorted(verdict - PASSES))} (see {report}/index.html)")
    counts = collections.Counter("passed" if verdict <= PASSES else "failed" for verdict in verdicts.values())
    print(f"  {round_.name}: {counts['passed']} passed, {counts['failed']} failed in {time.monotonic() - start:.0f} s", flush=True)
    missing = round_.cases - len(verdicts)
    if missing:
        print(f"  {round_.name}: {missing} of {round_.cases} cases have no verdict (see {report}/wstest.log)")
    return counts["passed"], counts["failed"] + abs(missing)


def start_testee(round_, scratch):
    command = [router(), "testee", "--shards", str(round_.shards)]
    if "WAMPLINE_DRIVER" in os.environ:
        command += ["--driver", os.environ["WAMPLINE_DRIVER"]]
    if round_.tls:
        config = scratch / "testee.toml"
        certificate, key = make_certificate(scratch)
        config.write_text(f'[[listeners]]\nlisten = "127.0.0.1:0"\ntls = {{ certificate = "{certificate}", key = "{key}" }}\n')
        command += ["--config", str(config)]
    else:
        command += ["--listen", "127.0.0.1:0"]
    log = (scratch / "testee.log").open("w+")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        text = (scratch / "testee.log").read_text(errors="replace")
        found = LISTENING.search(text)
        if found:
            return process, int(found[1])
        time.sleep(0.05)
    process.kill()
    sys.exit(f"the testee does not listen:\n{(scratch / 'testee.log').read_text(errors='replace')}")


def router():
    if "WAMPLINE_BIN" in os.environ:
        return os.environ["WAMPLINE_BIN"]
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [path for path in (target / profile / "wampline" for profile in ("fast", "release", "debug")) if path.exists()]
    if not built:
        sys.exit(f"no wampline below {target}: run `cargo build --profile fast -p wampline` or set WAMPLINE_BIN")
    return str(max(built, key=lambda path: path.stat().st_mtime))


def make_certificate(scratch):
    certificate, key = scratch / "certificate.pem", scratch / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def run_wstest(wstest, url, round_, report, scratch):
    server = {"agent": "wampline", "url": url, "options": {"version": 18}}
    spec = {"outdir": str(report), "servers": [server], "cases": ["*"], "exclude-cases": list(round_.excluded), "exclude-agent-cases": {}}
    path = scratch / "spec.json"
    path.write_text(json.dumps(spec))
    with (report / "wstest.log").open("w") as log:
        try:
            subprocess.run(
                [wstest, "--mode", "fuzzingclient", "--spec", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=SUITE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            print(f"  {round_.name}: the suite ran longer than {SUITE_SECONDS:.0f} s")


def read_verdicts(report):
    """The set of both verdicts (behaviour, close behaviour) of each case."""
    index = report / "index.json"
    if not index.exists():
        return {}
    cases = json.loads(index.read_text()).get("wampline", {})
    return {case: {result["behavior"], result["behaviorClose"]} for case, result in cases.items()}


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        sys.exit("the testee did not end on SIGTERM")
    if code != 0:
        sys.exit(f"the testee ended with {code}")


def case_order(case):
    return [int(part) for part in case.split(".")]


if __name__ == "__main__":
    sys.exit(main())
