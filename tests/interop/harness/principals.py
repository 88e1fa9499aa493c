"""A realm with principals of every method, and what clients prove themselves by there."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import time

from nacl.signing import SigningKey

from .peers import Login
from .router import binary

PASSWORD = "p4ssword of joe"
KEY = SigningKey(hashlib.sha256(b"joe's key").digest())
OTHER_KEY = SigningKey(hashlib.sha256(b"another key").digest())
TOKEN_SECRET = "a secret that the issuer shares with us"

# By method: what joe proves himself by, and something else that he does not.
RIGHT = {
    "ticket": Login("ticket", "joe", PASSWORD),
    "wampcra": Login("wampcra", "joe", PASSWORD),
    "wampcra-salted": Login("wampcra", "ann", PASSWORD),
    "scram": Login("scram", "joe", PASSWORD),
    "cryptosign": Login("cryptosign", "joe", KEY.encode().hex()),
}
WRONG = {
    "ticket": Login("ticket", "joe", "another"),
    "wampcra": Login("wampcra", "joe", "another"),
    "wampcra-salted": Login("wampcra", "ann", "another"),
    "scram": Login("scram", "joe", "another"),
    "cryptosign": Login("cryptosign", "joe", OTHER_KEY.encode().hex()),
}


def records(password=PASSWORD):
    """Lines of TOML that `wampline hash` makes of a password, with as little work as is allowed."""
    argon = ["hash", "--method", "wamp-scram", "--method", "scram", "--iterations", "256", "--memory", "64"]
    cra = ["hash", "--method", "wampcra", "--iterations", "1000"]
    made = [subprocess.run([str(binary()), *line], input=password, capture_output=True, text=True, check=True) for line in (argon, cra)]
    return made[0].stdout, made[1].stdout


def principals():
    scram, salted = records()
    return f"""
[[realms.principals]]
authid = "joe"
role = "user"
ticket = "{PASSWORD}"
cryptosign = ["{KEY.verify_key.encode().hex()}"]
wampcra = {{ secret = "{PASSWORD}" }}
{scram}
[[realms.principals]]
authid = "ann"
role = "user"
{salted}
"""


def token(claims, secret=TOKEN_SECRET, algorithm="HS256"):
    """A signed token."""

    def part(octets):
        return base64.urlsafe_b64encode(octets).rstrip(b"=")

    message = b".".join(part(json.dumps(of).encode()) for of in ({"alg": algorithm, "typ": "JWT"}, claims))
    return b".".join([message, part(hmac.new(secret.encode(), message, hashlib.sha256).digest())]).decode()


def fresh(**claims):
    """Claims that are valid for a minute."""
    return {"sub": "joe", "exp": int(time.time()) + 60, "jti": os.urandom(4).hex(), **claims}
