"""Values of WAMP payloads: how they cross the pipe to Node, and when two of them are the same."""

import base64
import math

SAFE_INTEGER = 2**53

# One key that no test payload uses marks a value that plain JSON cannot carry.
TAG = "$value"


def to_tagged(value):
    """`value` as plain JSON; octets, large integers and unusual floats become tagged objects."""
    if isinstance(value, bytes):
        return {TAG: "octets", "of": base64.b64encode(value).decode("ascii")}
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else {TAG: "integer", "of": str(value)}
    if isinstance(value, float):
        plain = math.isfinite(value) and (value != 0 or math.copysign(1, value) > 0)
        return value if plain else {TAG: "float", "of": repr(value)}
    if isinstance(value, (list, tuple)):
        return [to_tagged(item) for item in value]
    if isinstance(value, dict):
        return {key: to_tagged(item) for key, item in value.items()}
    raise TypeError(f"no payload value: {type(value).__name__}")


def from_tagged(value):
    """The value that `to_tagged`, or its twin in `js/values.mjs`, wrote."""
    if isinstance(value, list):
        return [from_tagged(item) for item in value]
    if isinstance(value, dict):
        kind = value.get(TAG)
        if kind == "octets":
            return base64.b64decode(value["of"])
        if kind == "integer":
            return int(value["of"])
        if kind == "float":
            return float(value["of"])
        return {key: from_tagged(item) for key, item in value.items()}
    return value


def octets_as_text(value):
    """`value` with each octet string in the form that JSON uses for it: U+0000 and then base64."""
    if isinstance(value, bytes):
        return "\0" + base64.b64encode(value).decode("ascii")
    if isinstance(value, list):
        return [octets_as_text(item) for item in value]
    if isinstance(value, dict):
        return {key: octets_as_text(item) for key, item in value.items()}
    return value


def difference(expected, got, *, typed, path="$"):
    """Where `got` first differs from `expected`, in words; None when they are the same.

    `typed` also tells integers from floats, which JavaScript cannot.
    """
    if isinstance(expected, (list, tuple)) and isinstance(got, (list, tuple)):
        if len(expected) != len(got):
            return f"{path}: {len(expected)} items expected, {len(got)} came"
        pairs = ((i, e, g) for i, (e, g) in enumerate(zip(expected, got)))
    elif isinstance(expected, dict) and isinstance(got, dict):
        if expected.keys() != got.keys():
            return f"{path}: keys {shorten(sorted(expected))} expected, {shorten(sorted(got))} came"
        pairs = ((key, item, got[key]) for key, item in expected.items())
    else:
        return None if same_scalar(expected, got, typed) else f"{path}: {shorten(expected)} expected, {shorten(got)} came"
    for step, one, other in pairs:
        found = difference(one, other, typed=typed, path=f"{path}[{step!r}]")
        if found:
            return found
    return None


def same_scalar(expected, got, typed):
    numbers = (int, float)
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, numbers) and isinstance(got, numbers):
        if typed and type(expected) is not type(got):
            return False
        if expected == 0 and isinstance(expected, float) and isinstance(got, float):
            return math.copysign(1, expected) == math.copysign(1, got) and got == 0
        return expected == got
    return type(expected) is type(got) and expected == got


def shorten(value, limit=120):
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
