"""Inputs that are nearly right: valid ones, changed in a few places."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

HOSTILE_TEXTS = (
    "\ud800",
    "\udfff\ud83d",
    "\x00",
    "\ufeff",
    "\u2028\u2029\x85",
    "\x1b[2J",
    "\u202e",
    "e\u0301",
    "\U0001f9ee",
    "\r\n",
    "\\boxed{",
    "}" * 3,
    "#### ",
    "### Step 1.",
    "</think>",
    "<think>",
    "<|end|><|start|>assistant",
    "a" * 600,
    " ",
    "",
)
BIG = (2**31, 2**53 + 1, 2**63, 2**64, 10**400, -(10**400), 10**4000)

texts = st.sampled_from(HOSTILE_TEXTS) | st.text(st.characters(codec=None), max_size=12)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.sampled_from(BIG),
    st.floats(),
    st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1e308, 5e-324]),
    texts,
)


def anything(names: Sequence[str]) -> st.SearchStrategy[Any]:
    """Any JSON value whose objects have `names` as keys, or others; sometimes a deep one."""
    keys = st.sampled_from(names) | texts
    shallow = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=6,
    )
    return st.one_of(shallow, shallow, shallow, st.integers(5, 940).map(_deep))


def _deep(levels: int) -> Any:
    value: Any = "deep"
    for level in range(levels):
        value = [value] if level % 2 else {"choices": value}
    return value


@st.composite
def near_json(draw: st.DrawFn, value: Any, names: Sequence[str], most: int = 2) -> Any:
    """`value` with up to `most` places replaced, taken out, doubled or wrapped."""
    holder = [copy.deepcopy(value)]
    for _ in range(draw(st.integers(1, most))):
        parent, key = draw(st.sampled_from(_places(holder)))
        match draw(st.sampled_from(["replace", "replace", "remove", "double", "wrap", "rename"])):
            case "replace":
                parent[key] = draw(anything(names))
            case "remove" if parent is not holder:
                del parent[key]
            case "double" if isinstance(parent, list):
                parent.insert(key, copy.deepcopy(parent[key]))
            case "rename" if isinstance(parent, dict):
                parent[draw(st.sampled_from(names) | texts)] = parent.pop(key)
            case _:
                parent[key] = [parent[key]]
    return holder[0]


def _places(holder: list[Any]) -> list[tuple[Any, Any]]:
    """(container, key) of every value inside."""
    found: list[tuple[Any, Any]] = []
    open_: list[Any] = [holder]
    while open_:
        container = open_.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        for key in keys:
            found.append((container, key))
            if isinstance(container[key], dict | list):
                open_.append(container[key])
    return found


@st.composite
def torn(draw: st.DrawFn, raw: bytes, snippets: Sequence[bytes], most: int = 4) -> bytes:
    """`raw` with up to `most` edits: bytes put in, taken out, turned over, repeated, cut off."""
    for _ in range(draw(st.integers(1, most))):
        place = draw(st.integers(0, len(raw)))
        match draw(st.sampled_from(["put", "put", "take", "flip", "repeat", "cut", "random"])):
            case "put":
                raw = raw[:place] + draw(st.sampled_from(snippets)) + raw[place:]
            case "take":
                raw = raw[:place] + raw[place + draw(st.integers(1, 20)) :]
            case "flip" if place < len(raw):
                turned = raw[place] ^ (1 << draw(st.integers(0, 7)))
                raw = raw[:place] + bytes([turned]) + raw[place + 1 :]
            case "repeat":
                piece = raw[place : place + draw(st.integers(1, 40))]
                raw = raw[:place] + piece * draw(st.integers(1, 30)) + raw[place:]
            case "cut":
                raw = raw[:place]
            case _:
                raw = raw[:place] + draw(st.binary(max_size=8)) + raw[place:]
    return raw


def written(value: Any) -> bytes:
    """As JSON: NaN, infinities and lone surrogates as they would come over a wire."""
    return json.dumps(value).encode()
