"""Values out of a server's JSON, which may be anything: used when they are what they should be."""

from __future__ import annotations

import reprlib

LARGEST = 2**31 - 1
"""What the lake's tables hold, and more tokens than any model has."""


def count(value: object) -> int | None:
    """A number of tokens, or a token's id; None where it is none."""
    return value if type(value) is int and 0 <= value <= LARGEST else None


def token_ids(values: object) -> tuple[int, ...] | None:
    """A list of token ids; None where it is none."""
    if isinstance(values, list) and all(count(value) is not None for value in values):
        return tuple(values)
    return None


def text(value: object) -> str | None:
    """A text; None where it is none, or holds half a surrogate pair, which nothing can store."""
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def shown(value: object) -> str:
    """It, for a message: however deep or long it is, a few words on one line."""
    try:
        return reprlib.repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__}"
