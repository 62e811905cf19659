"""Numbers as reports write them: signs, currencies, thousands, brackets for minus, and a scale.

`$1,496.5 million`, `(22.22)%`, `3{,}728 \\text{ (in thousands)}`, `−5 percentage points`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

SCALES = {
    "hundred": Decimal(100),
    "thousand": Decimal(1000),
    "million": Decimal(10) ** 6,
    "billion": Decimal(10) ** 9,
    "trillion": Decimal(10) ** 12,
    "percent": Decimal("0.01"),
}
HALF = Decimal("0.005")
"""Of the reference's scale: two decimals count."""
NUMBER = re.compile(
    r"(?P<minus>(?<![\w.])[-−–]\s?)?(?P<open>\()?[$€£¥]?\s?(?P<minus2>[-−])?[$€£¥]?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?P<tight>\s?%)?(?P<close>\))?"
    r"(?P<scale>\s*(?:%|(?:\(?\s*in\s+)?(?:hundred|thousand|million|billion|trillion|percent)s?\b"
    r"|per\s?cent\b|percentage\s+points?\b))?",
    re.I,
)
_LATEX = re.compile(r"\\(?:text|mathrm|textbf|mathbf|mbox|operatorname)\s?\{([^{}]*)\}")
_SPACING = re.compile(r"\\[,!;: ]|\\left|\\right|\{,\}|~|\$(?=\s*$)|^\s*\$(?!\s?[\d(])")


@dataclass(frozen=True, slots=True)
class ScaledNumber:
    """A number with the scale it is written in, if any."""

    value: Decimal
    scale: Decimal | None = None

    @property
    def scaled(self) -> Decimal:
        """What it comes to."""
        return self.value * (self.scale or 1)


def numbers_in(text: str) -> Iterator[ScaledNumber]:
    """The numbers of a text without LaTeX (`plain`), in their order."""
    for match in NUMBER.finditer(text):
        try:
            value = Decimal(match["digits"].replace(",", ""))
        except InvalidOperation:
            continue
        if match["minus"] or match["minus2"] or (match["open"] and match["close"]):
            value = -value
        said = (match["scale"] or match["tight"] or "").strip().lower()
        yield ScaledNumber(value, _scale(said) if said else None)


def same_numbers(
    found: Sequence[ScaledNumber],
    wanted: Sequence[ScaledNumber],
    tolerance: float = 0.0,
    scale_optional: bool = False,
) -> bool:
    """The same numbers in any order: to two decimals in each reference's scale, or within
    `tolerance` of its value. One scale behind several is all of theirs (`73 and 57 thousand`)."""
    if len(found) != len(wanted) or not wanted:
        return False
    if found[-1].scale is not None and all(one.scale is None for one in found[:-1]):
        found = [ScaledNumber(one.value, found[-1].scale) for one in found]
    scales = {one.scale for one in wanted}
    if scale_optional and len(scales) == 1 and all(one.scale is None for one in found):
        (scale,) = scales
        found = [ScaledNumber(one.value, scale) for one in found]
    left = sorted(one.scaled for one in found)
    right = sorted(wanted, key=lambda one: one.scaled)
    share = Decimal(str(tolerance))
    return all(
        abs(a - b.scaled) <= max(HALF * (b.scale or 1), share * abs(b.scaled))
        for a, b in zip(left, right, strict=True)
    )


def plain(text: str) -> str:
    """Without LaTeX, each white space one space."""
    text = _LATEX.sub(r"\1", text)
    text = _SPACING.sub("", text.replace("\\%", "%").replace("\\$", "$").replace("\\&", "&"))
    return " ".join(text.split())


def _scale(said: str) -> Decimal:
    if said.startswith("%") or "per" in said:
        return SCALES["percent"]
    return next(value for name, value in SCALES.items() if name in said)
