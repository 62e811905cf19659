r"""Answers out of a few choices: `yes`, `no`, `maybe`, or the letter of an option.

The stated answer (`cord.verification.math.find_answer`) is right when it is the reference, or
begins with it and goes on behind a mark: `Yes, because ...`, `(B) the liver`, `B.` An answer that
merely contains the word (`there is no doubt: yes`, `not yes`) is not taken apart, and is wrong.
"""

from __future__ import annotations

import re

from cord.types import Verdict
from cord.verification.math import find_answer, normalise, shown

_AROUND = " \t\n.,;:!\"'`*_()[]{}"
_MARK = re.compile(r"\s*(?:[.,;:!)\]\n]|-\s|–|—|$)")


def judge(response: str, reference: str) -> Verdict:
    """Whether `response`, a whole solution or an answer alone, states the choice `reference`."""
    wanted = _plain(reference)
    if not wanted:
        return Verdict("undecided", "none", "there is no reference answer to compare with")
    answer = find_answer(response)
    if answer is None:
        return Verdict("wrong", "none", "no answer was stated")
    stated = normalise(answer).casefold().strip().lstrip(_AROUND)
    if stated.rstrip(_AROUND) == wanted or (
        stated.startswith(wanted) and _MARK.match(stated, len(wanted))
    ):
        return Verdict("correct", "choice", f"{shown(answer)} states {shown(reference)}")
    return Verdict("wrong", "choice", f"{shown(answer)} does not state {shown(reference)}")


def _plain(text: str) -> str:
    return normalise(text).casefold().strip(_AROUND)
