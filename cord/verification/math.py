r"""Mathematical answers: what a response states, and whether that equals the reference.

The cheap half is here and runs in the caller's process: finding the stated answer, and equality of
the normalised strings, which settles most right answers. Whatever is left is for math-verify, in a
process of the pool (`cord.verification.worker`).

A response without an answer is *wrong*, not undecided: the task was to state one, and that it was
not stated is certain. A guess from the last number in sight would now and then call a wrong or
unfinished solution right, and training data pays most for exactly that. Undecided is what the judge
itself could not do: too long, too costly, not to be read as mathematics.
"""

from __future__ import annotations

import re
from functools import lru_cache

from cord.answers import stated_answer
from cord.prompts import THINK_CLOSE, THINK_OPEN
from cord.types import Verdict

MAX_ANSWER_CHARACTERS = 10_000
"""Nobody's answer; a longer one is not given to the judge."""
LONE_ANSWER_CHARACTERS = 300
"""A single line up to here counts as an answer by itself; above, only what is marked as one."""

_STATEMENT = re.compile(
    r"####|\banswer\b[*_]{0,2}[ \t]{0,2}(?:is|:|=)|^[ \t]{0,3}[*_]{0,2}A:", re.I | re.M
)
_INTEGER = re.compile(r"-?\d{1,100}", re.ASCII)
_WHITE_SPACE = re.compile(r"\s")
_BEFORE_ANSWER = " \t\r\n:*_"
_SENTENCE_END = re.compile(r"[.。](?:\s|$)")
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s?\{([^{}]*)\}")
_SPACING = re.compile(r"(?<!\\)\\[,!;: ]|\\(?:left|right|displaystyle)(?![A-Za-z])|~")
_LONE_IN_BRACES = re.compile(r"([\^_])\{([A-Za-z0-9])\}")
_SPACE_AT_A_SIGN = re.compile(r"(?<![A-Za-z0-9])\s+|\s+(?![A-Za-z0-9])")


def find_answer(response: str) -> str | None:
    r"""The answer that a response states, or None.

    The last `\boxed{...}`; else what follows the last `####`, `answer is`, `Answer:` or `A:` behind
    the thinking; else the response itself, where it is one word or one short line.
    """
    thinking, closed, closing = response.rpartition(THINK_CLOSE)
    boxed = stated_answer(closing)
    if boxed is None and closed:
        boxed = stated_answer(thinking)
    if boxed is not None:
        return boxed
    if closed:
        response = closing
    elif THINK_OPEN in response:
        return None  # still thinking: nothing in there is stated yet
    response = response.strip()
    stated_at = max((match.end() for match in _STATEMENT.finditer(response)), default=None)
    if stated_at is not None:
        return _first_sentence(response[stated_at:].lstrip(_BEFORE_ANSWER))
    one_word = not _WHITE_SPACE.search(response)
    if one_word or (len(response) <= LONE_ANSWER_CHARACTERS and "\n" not in response):
        return response or None
    return None


def _first_sentence(text: str) -> str | None:
    line = text.split("\n", 1)[0]
    return _SENTENCE_END.split(line, maxsplit=1)[0].strip(" \t\r*_") or None


@lru_cache(maxsize=4_096)
def normalise(answer: str) -> str:
    r"""Strip what never changes a value: `$`, spacing, `\left`, `\text{}`, `\dfrac`, a last dot."""
    text = without_dollars(answer)
    if "\\" in text or "~" in text:
        text = _SPACING.sub("", _TEXT.sub(r"\1", text))
        text = text.replace(r"\dfrac", r"\frac").replace(r"\tfrac", r"\frac")
    text = " ".join(_SPACE_AT_A_SIGN.sub("", text.strip()).split()).removesuffix(".")
    if "^{" in text or "_{" in text:
        text = _LONE_IN_BRACES.sub(r"\1\2", text)
    return text.casefold() if text.replace(" ", "").isalpha() and len(text) > 1 else text


def without_dollars(answer: str) -> str:
    r"""Without a last dot and the `$ $`, `\( \)` or `\[ \]` around the whole."""
    text = answer.strip().removesuffix(".")
    for opening, closing in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        if len(text) > len(opening) and text.startswith(opening) and text.endswith(closing):
            return text[len(opening) : -len(closing)]
    return text


@lru_cache(maxsize=4_096)
def reference_answer(reference: str) -> str:
    """The answer that a reference states, which may be a whole solution; else all of it."""
    return find_answer(reference) or reference


def judge_at_once(answer: str | None, reference: str) -> Verdict | None:
    """The verdict, where it takes no mathematics; None where it does."""
    if not reference.strip():
        return Verdict("undecided", "none", "there is no reference answer to compare with")
    if not answer or not answer.strip():
        return Verdict("wrong", "none", "no answer was stated")
    if max(len(answer), len(reference)) > MAX_ANSWER_CHARACTERS:
        if answer.strip() == reference.strip():
            return Verdict("correct", "exact", "the answer is the reference, letter by letter")
        return Verdict(
            "undecided",
            "none",
            f"an answer of {len(answer):,} characters against a reference of {len(reference):,}: "
            f"the judge reads at most {MAX_ANSWER_CHARACTERS:,}",
        )
    stated, wanted = normalise(answer), normalise(reference)
    if stated == wanted:
        return Verdict("correct", "exact", f"{shown(answer)} is the reference {shown(reference)}")
    if _INTEGER.fullmatch(stated) and _INTEGER.fullmatch(wanted) and int(stated) != int(wanted):
        return Verdict("wrong", "exact", f"{shown(answer)} is not {shown(reference)}")
    return None


def shown(answer: str) -> str:
    """An answer as a reason quotes it: one line, at most 80 characters, none unprintable."""
    line = " ".join(answer[:1000].split())
    line = line if len(line) <= 80 else line[:77] + "..."
    if line.isprintable():
        return f"'{line}'"
    return f"'{''.join(c if c.isprintable() else ascii(c)[1:-1] for c in line)}'"
