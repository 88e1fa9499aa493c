"""Certificates for cryptosign ("Trustroots and Certificates"): typed data by EIP-712, signed with secp256k1."""

import hashlib

from Crypto.Hash import keccak
from ecdsa import SECP256k1, SigningKey, VerifyingKey
from ecdsa.util import sigencode_string

DOMAIN = [("name", "string"), ("version", "string")]
AUTHORITY = [
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
    ("validFrom", "uint256"),
    ("issuer", "address"),
    ("subject", "address"),
    ("realm", "address"),
    ("capabilities", "uint64"),
    ("meta", "string"),
]
DELEGATE = [
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
    ("validFrom", "uint256"),
    ("delegate", "address"),
    ("csPubKey", "bytes32"),
    ("bootedAt", "uint64"),
    ("meta", "string"),
]
TYPES = {"EIP712Domain": DOMAIN, "EIP712AuthorityCertificate": AUTHORITY, "EIP712DelegateCertificate": DELEGATE}
CHAIN_ID = 1
CONTRACT = "0xf766Dc789CF04CD18aE75af2c5fAf2DA6650Ff57"
REALM = "0xA6e693CC4A2b4F1400391a728D26369D9b82ef96"


def hashed(octets):
    return keccak.new(digest_bits=256, data=octets).digest()


class Owner:
    """Who signs certificates, known by an address."""

    def __init__(self, name):
        self.key = SigningKey.from_string(hashlib.sha256(name.encode()).digest(), SECP256k1)
        self.address = address(self.key.verifying_key)

    def sign(self, digest):
        """r, s and v, in hexadecimal digits."""
        order = SECP256k1.order
        octets = self.key.sign_digest_deterministic(digest, hashlib.sha256, sigencode_string)
        r, s = octets[:32], int.from_bytes(octets[32:], "big")
        # Of two that are valid, the lower one (EIP-2).
        octets = r + min(s, order - s).to_bytes(32, "big")
        keys = VerifyingKey.from_public_key_recovery_with_digest(octets, digest, SECP256k1, hashlib.sha256)
        recovery = [address(key) for key in keys].index(self.address)
        return (octets + bytes([27 + recovery])).hex()


def address(key):
    """With the case of EIP-55."""
    digits = hashed(key.to_string())[12:].hex()
    marks = hashed(digits.encode()).hex()
    return "0x" + "".join(digit.upper() if mark in "89abcdef" else digit for digit, mark in zip(digits, marks))


def typed_hash(certificate):
    """What is signed of typed data."""
    domain = struct_hash("EIP712Domain", certificate["domain"])
    return hashed(b"\x19\x01" + domain + struct_hash(certificate["primaryType"], certificate["message"]))


def struct_hash(name, values):
    members = TYPES[name]
    text = f"{name}({','.join(f'{kind} {member}' for member, kind in members)})"
    return hashed(hashed(text.encode()) + b"".join(field(kind, values[member]) for member, kind in members))


def field(kind, value):
    if kind == "string":
        return hashed(value.encode())
    if kind in ("address", "bytes32"):
        return bytes.fromhex(value.removeprefix("0x")).rjust(32, b"\0")
    return value.to_bytes(32, "big")


def certificate(name, message):
    types = {kind: [{"name": member, "type": of} for member, of in TYPES[kind]] for kind in (name, "EIP712Domain")}
    return {"domain": {"name": "WMP", "version": "1"}, "message": message, "primaryType": name, "types": types}


def authority(issuer, subject, valid_from, capabilities, changes=None):
    """An authority certificate with its issuer's signature."""
    message = {
        "chainId": CHAIN_ID,
        "verifyingContract": CONTRACT,
        "validFrom": valid_from,
        "issuer": issuer.address,
        "subject": subject.address,
        "realm": REALM,
        "capabilities": capabilities,
        "meta": "",
        **(changes or {}),
    }
    made = certificate("EIP712AuthorityCertificate", message)
    return [made, issuer.sign(typed_hash(made))]


def delegate(owner, public_key, valid_from, changes=None):
    """A delegate certificate for a cryptosign key, with the delegate's signature."""
    message = {
        "chainId": CHAIN_ID,
        "verifyingContract": CONTRACT,
        "validFrom": valid_from,
        "delegate": owner.address,
        "csPubKey": public_key,
        "bootedAt": 1658765756680628959,
        "meta": "",
        **(changes or {}),
    }
    made = certificate("EIP712DelegateCertificate", message)
    return [made, owner.sign(typed_hash(made))]
