"""Answers that are spans of a text, or lists of them, as TAT-QA and DROP judge them.

Spans are compared by their words, without case, articles and punctuation; several (`;` between
them, or a JSON list) may come in any order. *Exact match* is the same words in each span. *F1* is
the harmonic mean of the shares of words that answer and reference have in common, span by span in
the best pairing, and its mean over the longer of both lists: the official metrics' F1, but for
the pairing, which takes the best pair first instead of the best sum.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

from cord.types import Verdict
from cord.verification.math import shown
from cord.verification.numbers import plain
from cord.verification.rules import USUAL, Rules

MOST_CHARACTERS = 10_000
_MOST_SPANS = 100
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W_]+", re.UNICODE)
_ARTICLES = frozenset(("a", "an", "the", "and"))
_BETWEEN = re.compile(r"[;\n]")
_LISTED = re.compile(r"[;\n,]|\s(?:and|&)\s")

Bag = Counter[str]


def judge(answer: str | None, reference: str, rules: Rules = USUAL) -> Verdict:
    """Whether a stated answer is the spans of `reference`."""
    if not reference.strip():
        return Verdict("undecided", "none", "there is no reference answer to compare with")
    if answer is None or not answer.strip():
        return Verdict("wrong", "none", "no answer was stated")
    if max(len(answer), len(reference)) > MOST_CHARACTERS:
        if answer.strip() == reference.strip():
            return Verdict("correct", "span", "the answer is the reference, letter by letter")
        return Verdict("wrong", "span", f"an answer of {len(answer):,} characters is none")
    if words_of(answer) == words_of(reference):
        return Verdict("correct", "span", f"{shown(answer)} is {shown(reference)} (F1 1)")
    f1 = f1_of(answer, reference)
    told = f"{shown(answer)} is not {shown(reference)} (F1 {f1:.3g})"
    if rules.least_f1 < 1 and f1 >= rules.least_f1:
        return Verdict("correct", "span", f"{told}, which is at least {rules.least_f1:g}")
    return Verdict("wrong", "span", told)


def f1_of(answer: str, reference: str) -> float:
    """F1 in [0, 1] of the answer, split at `;` or, where that gives a better value, at commas."""
    wanted = _bags(reference, _BETWEEN)
    return max(_aligned(_bags(answer, marks), wanted) for marks in (_BETWEEN, _LISTED))


def words_of(text: str) -> Bag:
    """The words of a text, without case, articles, punctuation and commas in numbers."""
    found = (word.replace(",", "") for word in _WORD.findall(plain(text).casefold()))
    return Counter(word for word in found if word not in _ARTICLES)


def _bags(text: str, marks: re.Pattern[str]) -> list[Bag]:
    parts = _json_list(text) or marks.split(text)
    bags = [bag for part in parts if (bag := words_of(part))]
    return bags if len(bags) <= _MOST_SPANS else [words_of(text)]


def _json_list(text: str) -> list[str] | None:
    if not text.lstrip().startswith("["):
        return None
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        return None
    listed = isinstance(parts, list) and all(isinstance(part, str) for part in parts)
    return parts if listed else None


def _aligned(found: Sequence[Bag], wanted: Sequence[Bag]) -> float:
    """Mean F1 over the longer list; a number is never paired with another one."""
    if not found or not wanted:
        return 0.0
    scored = sorted(
        ((_f1(a, b), -i, -j) for i, a in enumerate(found) for j, b in enumerate(wanted)),
        reverse=True,
    )
    total, left, right = 0.0, set(range(len(found))), set(range(len(wanted)))
    for score, i, j in scored:
        if -i in left and -j in right:
            total += score
            left.discard(-i)
            right.discard(-j)
    return total / max(len(found), len(wanted))


def _f1(found: Bag, wanted: Bag) -> float:
    numbers = {word for word in wanted if word[0].isdigit()}
    if numbers and not numbers & found.keys():
        return 0.0
    common = (found & wanted).total()
    return 2 * common / (found.total() + wanted.total())
