r"""The unit behind a value: `15\mbox{ cm}^2`, `5.4 \text{ cents}`, `18 dollars`, `90^\circ`, `90°`.

A unit is taken off, never compared: math problems say which one they want. What is no unit stays: a
scale (`5 million` is 5000000), percent, a time of day, a function's name.
"""

from __future__ import annotations

import re

_NUMBER_AND_WORDS = re.compile(
    r"\\?[$€£]?(?P<number>-?\d[\d,]*(?:\.\d+)?(?:/\d+)?)(?P<words>(?: [A-Za-z]{3,}){1,6})", re.ASCII
)
_VALUE_AND_UNIT = re.compile(
    r"(?P<value>.*[\d}\])i])(?:\\[ ,;!]|[ ~])*\\(?:text|mathrm|mbox|textrm)\s?"
    r"\{[ ~]*(?P<unit>[A-Za-z][A-Za-z ./-]{0,38})\}(?:\s?\^\s?(?:[23]|\{[23]\}))?\.?",
    re.ASCII | re.DOTALL,
)
_SPACED_UNIT = re.compile(
    r"^(-?\d[\d,.]*)(?:\\[,;: ]|[~ ]){1,4}(?:mm|cm|dm|km|in|ft|yd|mi|kg|mg|min|hr|mph|ml)"
    r"(?:\s?\^\s?(?:[23]|\{[23]\}))?$"
)
_SCALED = re.compile(
    r"\\?[$€£]?(?P<number>-?\d[\d,]*(?:\.\d+)?)\s?"
    r"(?P<scale>hundred|thousand|million|billion|trillion|percent)\b(?: [A-Za-z]{3,}){0,6}",
    re.ASCII | re.IGNORECASE,
)
_WRITTEN = {
    "hundred": r"\cdot100",
    "thousand": r"\cdot10^{3}",
    "million": r"\cdot10^{6}",
    "billion": r"\cdot10^{9}",
    "trillion": r"\cdot10^{12}",
    "percent": r"\%",
}
_NO_UNITS = frozenset(
    (
        *("sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "sqrt", "mod", "i", "e"),
        *("and", "or", "not", "if", "where", "for", "with", "am", "pm", "a.m.", "p.m.", "is", "to"),
        *("pi", "even", "odd", "only", "max", "min", "times", "base", "dozen", "pairs"),
        *("hundred", "thousand", "million", "billion", "trillion", "percent"),
    )
)


def without_unit(answer: str) -> str:
    """A value without its unit; any other answer as it is."""
    text = _SPACED_UNIT.sub(r"\1", answer)
    if (measured := _VALUE_AND_UNIT.fullmatch(text)) is not None and _is_unit(measured["unit"]):
        return measured["value"].strip()
    if (scaled := _SCALED.fullmatch(text)) is not None:
        return scaled["number"].replace(",", "") + _WRITTEN[scaled["scale"].lower()]
    counted = _NUMBER_AND_WORDS.fullmatch(text)
    if counted is not None and _is_unit(counted["words"]):
        return counted["number"]
    return text


def _is_unit(words: str) -> bool:
    return _NO_UNITS.isdisjoint(words.lower().split())
