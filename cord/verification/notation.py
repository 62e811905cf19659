r"""Notations that math-verify does not read, in those that it does: `√5`, `∞`, `½`, `\lbrace`."""

from __future__ import annotations

import re

_SIGNS = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "∞": r"\infty ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "≠": r"\ne ",
        "∈": r"\in ",
        "±": r"\pm ",
        "×": r"\times ",
        "·": r"\cdot ",
        "÷": r"\div ",
        "°": r"^{\circ}",
        "²": "^2",
        "³": "^3",
        "½": r"\frac{1}{2}",
        "¼": r"\frac{1}{4}",
        "¾": r"\frac{3}{4}",
        "⅓": r"\frac{1}{3}",
        "⅔": r"\frac{2}{3}",
        "¢": r"\text{ cents}",
        "π": r"\pi ",
        "θ": r"\theta ",
        "\u00a0": " ",
    }
)
_ROOT = re.compile(r"√\s?(?:\{([^{}]*)\}|\(([^()]*)\)|(\d+|[A-Za-z]))")
_DEGREES = re.compile(r"\^\{?\\(?:text|mathrm)\s?\{o\}\}?")
_BOTH = re.compile(
    r"(?:\\q?quad|\\[,; ]|\s)*\\(?:text|mathrm|mbox)\s?\{\s*(?:or|and)\s*\}(?:\\q?quad|\\[,; ]|\s)*"
)
_EMPHASIS = re.compile(r"(\*\*|__)(.+)\1", re.DOTALL)
_BRACES = ((r"\lbrace", r"\{"), (r"\rbrace", r"\}"), (r"\boldsymbol", r"\mathbf"))


def familiar(answer: str) -> str:
    """The same answer in the notation of LaTeX that most papers use."""
    text = answer.strip()
    if (emphasised := _EMPHASIS.fullmatch(text)) is not None:
        text = emphasised[2]
    if not text.isascii():
        text = _ROOT.sub(lambda m: rf"\sqrt{{{m[1] or m[2] or m[3]}}}", text).translate(_SIGNS)
    if "\\" in text:
        for unusual, usual in _BRACES:
            text = text.replace(unusual, usual)
        text = _BOTH.sub(", ", _DEGREES.sub(r"^{\\circ}", text))
    return text
