r"""Answers that are numbers, with a tolerance and a scale as TAT-QA has it.

A number counts with its scale (`1,496.5 million` is `1496500000`, `23.42 percent` is `0.2342`),
to two decimals in the reference's scale, or within the recipe's tolerance. Several numbers
(`;` between them in the reference) may come in any order. Units, currencies and up to a few words
may stand beside a number and are not compared; a word that changes what is said (`not`, `about`,
`at least`) makes it wrong, and so does a number too many.
"""

from __future__ import annotations

import re
from decimal import Decimal

from cord.types import Verdict
from cord.verification.math import shown
from cord.verification.numbers import NUMBER, ScaledNumber, numbers_in, plain, same_numbers
from cord.verification.rules import USUAL, Rules

MOST_CHARACTERS = 10_000
_FRACTION = re.compile(
    r"\\[dt]?frac\s?\{(-?\d{1,30})\}\{(\d{1,30})\}|(?<![\d/.,])(\d{1,30})/(\d{1,30})(?![\d/])"
)
_POWER_OF_TEN = re.compile(
    r"(\d[\d,]{0,60}(?:\.\d{1,60})?)\s*(?:\\times|\\cdot|×|\*)\s*10\s?\^\s?\{?([-−]?\d{1,3})\}?"
    r"|(?<![\w.])(\d{1,60}(?:\.\d{1,60})?)[eE]([-+]?\d{1,3})(?!\w)"
)
_NAME = re.compile(r"^[A-Za-z]\w{0,30}\s*=\s*")
_WORD = re.compile(r"[^\W\d_]+")
_MOST_WORDS = 6
_CHANGES = frozenset(
    (
        *("not", "no", "less", "more", "over", "under", "least", "most", "than", "between", "or"),
        *("about", "approximately", "around", "roughly", "nearly", "almost", "without", "except"),
        "to",
    )
)


def judge(answer: str | None, reference: str, rules: Rules = USUAL) -> Verdict:
    """Whether a stated answer is the number, or the numbers, of `reference`."""
    if not reference.strip():
        return Verdict("undecided", "none", "there is no reference answer to compare with")
    wanted = [_only_number(part) for part in reference.split(";")]
    expected = [one for one in wanted if one is not None]
    if len(reference) > MOST_CHARACTERS or len(expected) != len(wanted):
        return Verdict("undecided", "none", f"the reference {shown(reference)} is not a number")
    if answer is None or not answer.strip():
        return Verdict("wrong", "none", "no answer was stated")
    if len(answer) > MOST_CHARACTERS:
        return Verdict("wrong", "numeric", f"an answer of {len(answer):,} characters is none")
    text = _written_out(answer)
    found = list(numbers_in(text))
    if len(found) != len(expected):
        said = f"{shown(answer)} holds {len(found)} numbers, {shown(reference)} {len(expected)}"
        return Verdict("wrong", "numeric", said)
    if (word := _says_otherwise(text)) is not None:
        return Verdict("wrong", "numeric", f"{shown(answer)} says more than a number: {word!r}")
    if same_numbers(found, expected, rules.tolerance, rules.scale == "optional"):
        return Verdict("correct", "numeric", f"{shown(answer)} is {shown(reference)}")
    within = f" within {rules.tolerance:g} of its value" if rules.tolerance else ""
    return Verdict("wrong", "numeric", f"{shown(answer)} is not {shown(reference)}{within}")


def _only_number(text: str) -> ScaledNumber | None:
    text = _written_out(text[: MOST_CHARACTERS + 1])
    found = list(numbers_in(text))
    return found[0] if len(found) == 1 and _says_otherwise(text) is None else None


def _says_otherwise(text: str) -> str | None:
    """A word beside the numbers that changes what they say; the last of too many words."""
    words = [word.lower() for word in _WORD.findall(NUMBER.sub(" ", text))]
    changing = next((word for word in words if word in _CHANGES), None)
    return words[-1] if changing is None and len(words) > _MOST_WORDS else changing


def _written_out(text: str) -> str:
    """Without LaTeX and `x =`; fractions and powers of ten as decimals."""
    text = _FRACTION.sub(_quotient, text)
    text = _POWER_OF_TEN.sub(_product, text)
    return _NAME.sub("", plain(text.strip("$ \n")))


def _quotient(match: re.Match[str]) -> str:
    above, below = match[1] or match[3], match[2] or match[4]
    return match[0] if int(below) == 0 else f"{int(above) / int(below):.12f}"


def _product(match: re.Match[str]) -> str:
    number, power = (match[1] or match[3]).replace(",", ""), (match[2] or match[4])
    exponent = int(power.replace("−", "-"))
    return match[0] if abs(exponent) > 300 else f"{_scaled_by(number, exponent):f}"


def _scaled_by(number: str, exponent: int) -> Decimal:
    return Decimal(number).scaleb(exponent)
