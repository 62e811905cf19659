r"""Answers over tables and text, as TAT-QA asks for them: numbers with a scale, or spans of text.

The data set's own metric (exact match; github.com/NExTplusplus/TAT-QA, no package) in our words.
What it does: a number counts with its scale (`1,496.5 million` is `1496500000`), rounded to two
decimals in the reference's scale; a percentage may be written as a share (`23.42 percent` is
`0.2342`); several answers may come in any order; spans are compared by their words, without case,
articles and punctuation. What it does not: a missing or wrong scale is wrong, as there; synonyms,
paraphrases and parts of a span are wrong (its F1 is not computed); units and currencies are not
compared.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation

from cord.types import Verdict
from cord.verification.math import find_answer, shown

_SCALES = {
    "hundred": Decimal(100),
    "thousand": Decimal(1000),
    "million": Decimal(10) ** 6,
    "billion": Decimal(10) ** 9,
    "trillion": Decimal(10) ** 12,
    "percent": Decimal("0.01"),
}
_MOST_CHARACTERS = 10_000
_HALF = Decimal("0.005")
"""Of the reference's scale: two decimals count."""
_NUMBER = re.compile(
    r"(?P<minus>(?<![\w.])[-−–]\s?)?(?P<open>\()?[$€£¥]?\s?(?P<minus2>[-−])?[$€£¥]?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?P<tight>\s?%)?(?P<close>\))?"
    r"(?P<scale>\s*(?:%|(?:\(?\s*in\s+)?(?:hundred|thousand|million|billion|trillion|percent)s?\b"
    r"|per\s?cent\b|percentage\s+points?\b))?",
    re.I,
)
_LATEX = re.compile(r"\\(?:text|mathrm|textbf|mathbf|mbox|operatorname)\s?\{([^{}]*)\}")
_SPACING = re.compile(r"\\[,!;: ]|\\left|\\right|\{,\}|~|\$(?=\s*$)|^\s*\$(?!\s?[\d(])")
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_SILENT = frozenset(
    (
        *("a", "an", "the", "and", "in", "of", "about", "approximately", "is", "was", "by"),
        *("usd", "us", "dollars", "dollar", "shares", "years", "year"),
    )
)
"""Words that may stand beside a number."""
_ARTICLES = frozenset(("a", "an", "the", "and"))


def written_reference(answers: Sequence[str], scale: str) -> str:
    """A reference as one text: each answer with its scale, `;` between them."""
    return "; ".join(f"{one} {scale}".strip() if scale else one for one in answers if one)


def judge(response: str, reference: str) -> Verdict:
    """Whether `response`, a whole solution or an answer alone, states `reference`
    (as `written_reference` writes it)."""
    if not reference.strip():
        return Verdict("undecided", "none", "there is no reference answer to compare with")
    answer = find_answer(response)
    if answer is None:
        return Verdict("wrong", "none", "no answer was stated")
    if len(answer) > _MOST_CHARACTERS:
        return Verdict("wrong", "tatqa", f"an answer of {len(answer):,} characters is none")
    wanted = [_one_number(part) for part in reference.split(";")]
    if all(one is not None for one in wanted):
        expected = [one for one in wanted if one is not None]
        right = _same_numbers(list(_numbers(_plain(answer))), expected) and _is_bare(answer)
    else:
        right = _words(answer) == _words(reference)
    if right:
        return Verdict("correct", "tatqa", f"{shown(answer)} is {shown(reference)}")
    return Verdict("wrong", "tatqa", f"{shown(answer)} is not {shown(reference)}")


class _Number:
    """A number with the scale it is written in."""

    __slots__ = ("scale", "scaled", "value")

    def __init__(self, value: Decimal, scale: Decimal | None) -> None:
        self.value, self.scale = value, scale
        self.scaled = value * (scale or 1)


def _same_numbers(found: list[_Number], wanted: list[_Number]) -> bool:
    """The same numbers in any order."""
    if len(found) != len(wanted):
        return False
    if found[-1].scale is not None and all(one.scale is None for one in found[:-1]):
        found = [_Number(one.value, found[-1].scale) for one in found]  # `73 and 57 thousand`
    left = sorted(found, key=lambda one: one.scaled)
    right = sorted(wanted, key=lambda one: one.scaled)
    return all(
        abs(a.scaled - b.scaled) <= _HALF * (b.scale or 1) for a, b in zip(left, right, strict=True)
    )


def _one_number(text: str) -> _Number | None:
    """The number that a text is, with nothing else of weight beside it."""
    plain = _plain(text)
    found = list(_numbers(plain))
    return found[0] if len(found) == 1 and _is_bare(text) else None


def _numbers(text: str) -> Iterator[_Number]:
    for match in _NUMBER.finditer(text):
        try:
            value = Decimal(match["digits"].replace(",", ""))
        except InvalidOperation:
            continue
        if match["minus"] or match["minus2"] or (match["open"] and match["close"]):
            value = -value
        said = (match["scale"] or match["tight"] or "").strip().lower()
        yield _Number(value, _scale(said) if said else None)


def _scale(said: str) -> Decimal:
    if said.startswith("%") or "per" in said:
        return _SCALES["percent"]
    return next(value for name, value in _SCALES.items() if name in said)


def _is_bare(text: str) -> bool:
    """Beside its numbers it says nothing of weight."""
    return all(word in _SILENT for word in _WORD.findall(_NUMBER.sub(" ", _plain(text)).lower()))


def _words(text: str) -> Counter[str]:
    return Counter(word for word in _WORD.findall(_plain(text).casefold()) if word not in _ARTICLES)


def _plain(text: str) -> str:
    """Without LaTeX."""
    text = _LATEX.sub(r"\1", text)
    text = _SPACING.sub("", text.replace("\\%", "%").replace("\\$", "$").replace("\\&", "&"))
    return text.strip()
