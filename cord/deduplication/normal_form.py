"""A text as it is compared: its tokens, and which of them must agree.

In mathematics the small signs carry the meaning, so two texts are near-duplicates only if their
numbers, number words, operators and words such as "not" or "maximum" are the same in the same
order (their *signature*), and only if both are prose; the words around the signs may differ.
`Start 9; +5; rev` and `Start 8; +5; rev` are two problems, whatever their similarity.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TypeAlias

Tokens: TypeAlias = tuple[str, ...]

LEAST_WORDS = 12
"""Shorter texts have no near-duplicates: in them every word counts."""

_SPELLINGS = (
    (re.compile(r"[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+"), r"^\g<0>"),  # NFKC makes x² an x2
    (re.compile(r"[\u2080-\u2089]+"), r"_\g<0>"),
)
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("×·⋅", "*"),
        **dict.fromkeys("÷∕⁄", "/"),
        **dict.fromkeys("−‐‑", "-"),
        "≤": "<=",
        "≥": ">=",
        "≠": "!=",
    }
)
_LATEX = (
    (re.compile(r"\\[dt]frac(?![a-z])"), r"\\frac"),
    (re.compile(r"\\(?:left|right|text|mathrm|displaystyle|quad|qquad)(?![a-z])"), " "),
    (re.compile(r"\\(?:times|cdot)(?![a-z])"), "*"),
    (re.compile(r"\\div(?![a-z])"), "/"),
    (re.compile(r"\\leq?(?![a-z])"), "<="),
    (re.compile(r"\\geq?(?![a-z])"), ">="),
    (re.compile(r"\\neq?(?![a-z])"), "!="),
    (re.compile(r"\\[,!;: ()\[\]]"), " "),
)
_PUNCTUATION = (  # behind the sign that a text must have: most texts need not be searched
    ("{", re.compile(r"\{\s*([^\W_]|\d+)\s*\}"), r" \1 "),  # x^{2} is x^2
    (",", re.compile(r",(?<=\d,)(?=\d{3}(?!\d))"), ""),  # 1,234
    (  # a hyphen, no minus
        "-",
        re.compile(r"-(?:(?<=[^\W\d_]{2}-)(?=\w)|(?<=\w-)(?=[^\W\d_]{2}))"),
        " ",
    ),
)


def _token(letter: str, flags: re.RegexFlag, first: str = "", more: str = "") -> re.Pattern[str]:
    """`first`: an alternative before the words; `more`: further signs."""
    return re.compile(
        first + rf"{letter}+"
        r"|\d+(?:\.\d+)?"
        r"|[<>!]="
        r"|(?<=[\w)])!(?!\w)(?=\s*[-+*/=^)<>]|$)"  # a factorial, not an exclamation
        rf"|(?<=\b{letter})'+"  # a derivative
        r"|(?<=\d):(?=\d)"
        rf"|[-+*/=<>^_|%()\[\]{{}}&@#{more}]",
        flags,
    )


_TOKEN = _token(
    r"[^\W\d_]",
    re.UNICODE,
    # Scripts without spaces: each sign a token.
    first=r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|",
    more="√∞π∑∫∪∩∈±°",
)
_ASCII_TOKEN = _token("[a-z]", re.ASCII)  # finds the same in an ASCII text, in half the time

_MEANS_MUCH = frozenset(
    word
    for line in (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen",
        "fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy",
        "eighty ninety hundred thousand million billion dozen half halves third thirds fourth",
        "fourths fifth fifths sixth seventh eighth ninth tenth quarter quarters first second",
        "once twice thrice double triple not no never without except unless least most",
        "maximum minimum largest smallest greatest longest shortest highest lowest more less",
        "fewer greater smaller larger older younger before after increase increased increasing",
        "decrease decreased decreasing even odd positive negative prime sum difference product",
        "quotient ratio area perimeter volume mean median mode",
        "sin cos tan cot sec csc log ln",
        "b c d e f g h j k l m n o p q r s t u v w x y z",  # variables
    )
    for word in line.split()
)


def tokens(text: str) -> Tokens:
    r"""The normalised text: NFKC, case, white space, punctuation and LaTeX's spellings evened out.

    Whatever may change the mathematics stays: numbers, operators, brackets, primes, factorials.
    """
    if not text.isascii():
        for pattern, replacement in _SPELLINGS:
            text = pattern.sub(replacement, text)
        text = unicodedata.normalize("NFKC", text).casefold().translate(_SIGNS)
    else:
        text = text.lower()
    if "\\" in text:
        for pattern, replacement in _LATEX:
            text = pattern.sub(replacement, text)
    text = text.replace("$", " ")
    for sign, pattern, replacement in _PUNCTUATION:
        if sign in text:
            text = pattern.sub(replacement, text)
    return tuple((_ASCII_TOKEN if text.isascii() else _TOKEN).findall(text))


def signature(words: Tokens) -> Tokens:
    """The tokens that must be the same, in order, in two near-duplicates."""
    return tuple(word for word in words if word in _MEANS_MUCH or not word[0].isalpha())


def is_prose(words: Tokens) -> bool:
    """Enough words, among the signs, that one word more or less may mean the same.

    In `Start 5; *7; flip; flip` each word is an instruction."""
    count = sum(map(str.isalpha, words))
    return count >= LEAST_WORDS and 2 * count >= len(words)
