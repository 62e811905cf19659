r"""Answers over tables and text, as TAT-QA asks for them: numbers with a scale, or spans of text.

The data set's own metric (exact match; github.com/NExTplusplus/TAT-QA, no package) in our words.
A reference that is numbers is judged by its numbers with their scale (`cord.verification.numbers`),
with nothing of weight beside them; any other by its words (`cord.verification.span`). What it does
not: a missing or wrong scale is wrong, as there; synonyms and paraphrases are wrong; units and
currencies are not compared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cord.types import Verdict
from cord.verification import span
from cord.verification.math import shown
from cord.verification.numbers import NUMBER, ScaledNumber, numbers_in, plain, same_numbers
from cord.verification.rules import USUAL, Rules

_MOST_CHARACTERS = 10_000
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_SILENT = frozenset(
    (
        *("a", "an", "the", "and", "in", "of", "about", "approximately", "is", "was", "by"),
        *("usd", "us", "dollars", "dollar", "shares", "years", "year"),
    )
)
"""Words that may stand beside a number."""


def written_reference(answers: Sequence[str], scale: str) -> str:
    """A reference as one text: each answer with its scale, `;` between them."""
    return "; ".join(f"{one} {scale}".strip() if scale else one for one in answers if one)


def judge(answer: str | None, reference: str, rules: Rules = USUAL) -> Verdict:
    """Whether a stated answer is `reference` (as `written_reference` writes it)."""
    if not reference.strip():
        return Verdict("undecided", "none", "there is no reference answer to compare with")
    if answer is None:
        return Verdict("wrong", "none", "no answer was stated")
    if len(answer) > _MOST_CHARACTERS:
        return Verdict("wrong", "tatqa", f"an answer of {len(answer):,} characters is none")
    wanted = [_one_number(part) for part in reference.split(";")]
    expected = [one for one in wanted if one is not None]
    if len(expected) < len(wanted):
        judged = span.judge(answer, reference, rules)
        return Verdict(judged.outcome, "tatqa", judged.reason)
    found = list(numbers_in(plain(answer)))
    if same_numbers(found, expected, rules.tolerance) and _is_bare(answer):
        return Verdict("correct", "tatqa", f"{shown(answer)} is {shown(reference)}")
    return Verdict("wrong", "tatqa", f"{shown(answer)} is not {shown(reference)}")


def _one_number(text: str) -> ScaledNumber | None:
    """The number that a text is, with nothing else of weight beside it."""
    found = list(numbers_in(plain(text)))
    return found[0] if len(found) == 1 and _is_bare(text) else None


def _is_bare(text: str) -> bool:
    """Beside its numbers it says nothing of weight."""
    return all(word in _SILENT for word in _WORD.findall(NUMBER.sub(" ", plain(text)).lower()))
