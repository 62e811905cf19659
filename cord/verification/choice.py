r"""Answers out of a few choices: the letter of an option; `yes`, `no` or `maybe`.

The stated answer is right when it is the reference, or begins with it and goes on behind a mark:
`Yes, because ...`, `(B) the liver`, `B.` An answer that merely contains the word (`there is no
doubt: yes`, `not yes`) is not taken apart, and is wrong.
"""

from __future__ import annotations

import re

from cord.types import Verdict
from cord.verification.math import normalise, shown
from cord.verification.rules import USUAL, Rules

YES_NO_MAYBE = ("yes", "no", "maybe")
_AROUND = " \t\n.,;:!\"'`*_()[]{}"
_MARK = re.compile(r"\s*(?:[.,;:!)\]\n]|-\s|–|—|$)")


def judge(answer: str | None, reference: str, rules: Rules = USUAL) -> Verdict:
    """Whether a stated answer is the choice `reference`."""
    wanted = _plain(reference)
    if not wanted:
        return Verdict("undecided", "none", "there is no reference answer to compare with")
    if answer is None:
        return Verdict("wrong", "none", "no answer was stated")
    if _states(answer, wanted):
        return Verdict("correct", "choice", f"{shown(answer)} states {shown(reference)}")
    return Verdict("wrong", "choice", f"{shown(answer)} does not state {shown(reference)}")


def judge_yes_no_maybe(answer: str | None, reference: str, rules: Rules = USUAL) -> Verdict:
    """The same of a question that is answered by yes, no or maybe (PubMedQA)."""
    wanted = _plain(reference)
    if wanted and wanted not in YES_NO_MAYBE:
        reason = f"the reference {shown(reference)} is none of yes, no and maybe"
        return Verdict("undecided", "none", reason)
    verdict = judge(answer, reference, rules)
    if answer is not None and verdict.outcome == "wrong":
        said = next((word for word in YES_NO_MAYBE if _states(answer, word)), None)
        if said is None:
            reason = f"{shown(answer)} states none of yes, no and maybe"
            return Verdict("wrong", verdict.method, reason)
    return verdict


def _states(answer: str, wanted: str) -> bool:
    stated = normalise(answer).casefold().strip().lstrip(_AROUND)
    return stated.rstrip(_AROUND) == wanted or (
        stated.startswith(wanted) and _MARK.match(stated, len(wanted)) is not None
    )


def _plain(text: str) -> str:
    return normalise(text).casefold().strip(_AROUND)
