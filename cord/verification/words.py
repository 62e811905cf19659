"""Answers that are words and no mathematics: a name, a weekday, a time of day.

math-verify reads letters as a product, so that `seat` would be `east`; words of four letters and
more are compared as words. Fewer may well be a product (`ab`, `xyz`), and stay mathematics.
"""

from __future__ import annotations

import re

from cord.verification.math import normalise

_TEXT = re.compile(r"[^\W_][\w .,:;'’!?()-]*", re.UNICODE)
_WORD = re.compile(r"[^\W\d_]{4,}")
_CLOCK = re.compile(r"\d{1,2}:\d{2}")
_NO_LETTERS = re.compile(r"[^\w:]")
_FUNCTIONS = frozenset(("sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "sqrt", "pi"))
_DIGIT = re.compile(r"\d")


def is_text(answer: str) -> bool:
    """Whether an answer is words alone, or a time of day: no number, sign or function in it."""
    text = normalise(answer)
    if len(text) > 200 or not _TEXT.fullmatch(text):
        return False
    if _CLOCK.match(text):
        return True
    words = [word.lower() for word in _WORD.findall(text)]
    return bool(words) and not _DIGIT.search(text) and _FUNCTIONS.isdisjoint(words)


def letters_of(answer: str) -> str:
    """Its letters and digits, without case, spaces and points: `4:30 P.M.` is `4:30pm`."""
    return _NO_LETTERS.sub("", normalise(answer).casefold())
