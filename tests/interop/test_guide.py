"""The guides in docs/: every configuration serves, every client prints what the guide says, every command answers so."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.node import modules
from harness.principals import TOKEN_SECRET, fresh, token
from harness.router import REPOSITORY, binary, scratch, start_configured

GUIDES = ["authentication.md", "authorization.md"]
BLOCK = re.compile(r"^```(\w+(?: [\w.]+)?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# How long a client may take before the test fails.
SECONDS = 15
# The private half of the public key in the guides.
PRIVATE_KEY = "4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510"


def cases():
    """Guide, heading and blocks of each section that has some."""
    for guide in GUIDES:
        for section in (REPOSITORY / "docs" / guide).read_text(encoding="utf-8").split("\n## ")[1:]:
            blocks = BLOCK.findall(section)
            if blocks:
                yield pytest.param(blocks, id=f"{guide}: {section.splitlines()[0]}")


def test_the_guides_are_read():
    sections = list(cases())
    assert len(sections) >= 13
    for section in sections:
        kinds = [kind for kind, _ in section.values[0]]
        assert kinds[0] == "toml" and {"text", "console"} & set(kinds), f"{section.id}: {kinds}"


@pytest.fixture
def folder(certificates):
    with scratch() as directory:
        folder = Path(directory)
        for name, path in (
            ("chain.pem", certificates.certificate),
            ("key.pem", certificates.key),
            ("authority.pem", certificates.authority),
            ("device.pem", certificates.client_certificate),
            ("device.key", certificates.client_key),
        ):
            shutil.copy(path, folder / name)
        (folder / "joe.key").write_text(PRIVATE_KEY + "\n")
        (folder / "token.secret").write_text(TOKEN_SECRET + "\n")
        (folder / "token").write_text(token(fresh(iss="https://accounts.example.com", aud="wampline", role="frontend")) + "\n")
        yield folder


@pytest.mark.parametrize("blocks", cases())
def test_guide(blocks, folder, monkeypatch):
    monkeypatch.setenv("TICKET_OF_JOE", "a ticket of joe")
    hook_port = free_port()
    for kind, text in blocks:
        if kind.startswith("json "):
            (folder / kind.split()[1]).write_text(text, encoding="utf-8")
    config = blocks[0][1].replace("127.0.0.1:8181", f"127.0.0.1:{hook_port}")
    router, (address,) = start_configured(folder, re.sub(r'"127\.0\.0\.1:8\d+"', '"127.0.0.1:0"', config, count=1))
    serving = []

    def local(text):
        text = text.replace("8181", str(hook_port))
        return re.sub(r"(127\.0\.0\.1|localhost):8\d{3}\b", rf"\1:{address[1]}", text)

    try:
        printed = None
        for kind, text in blocks[1:]:
            if kind == "text":
                assert printed == text
            elif kind.startswith("json "):
                continue
            elif kind == "console":
                check_commands(text, folder)
            elif text.startswith("# serves"):
                serving.append(serve(local(text), folder))
            else:
                printed = run(kind, local(text), folder)
    finally:
        for process in serving:
            process.terminate()
            process.wait()
        router.stop()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def command(kind, folder, text):
    """The command that runs a snippet, and its environment."""
    suffix, program = {"python": (".py", sys.executable), "javascript": (".cjs", "node")}[kind]
    path = folder / f"snippet{len(list(folder.glob('snippet*')))}{suffix}"
    path.write_text(text, encoding="utf-8")
    return [program, str(path)], dict(os.environ, NODE_PATH=str(modules() / "node_modules"))


def run(kind, text, folder):
    """What a client prints, its log aside."""
    line, environment = command(kind, folder, text)
    ended = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)
    return "".join(one for one in ended.stdout.splitlines(keepends=True) if not re.match(r"\d{4}-\d\d-\d\dT", one)) or ended.stderr


def serve(text, folder):
    """A program that serves while a client runs."""
    line, environment = command("python", folder, text)
    line = ["timeout", str(2 * SECONDS), *line]
    process = subprocess.Popen(line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seen = []
    for one in process.stdout:
        seen.append(one)
        if one.strip() == "ready":
            return process
    raise AssertionError("the program ended:\n" + "".join(seen))


def check_commands(text, folder):
    """Commands and what they print."""
    for part in re.split(r"^\$ wampline ", text, flags=re.MULTILINE)[1:]:
        line, _, expected = part.partition("\n")
        ended = subprocess.run([str(binary()), *shlex.split(line)], cwd=folder, capture_output=True, text=True)
        assert ended.stdout + ended.stderr == expected, line
