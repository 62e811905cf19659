r"""The same number in other notations: decimals, fractions, thousands, units."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

_INTEGER = re.compile(r"-?\d+")
_DECIMAL = re.compile(r"(-?)(\d*)\.(\d+)")
_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(-?\d+)\}\{(\d+)\}")


def fraction(text: str) -> Iterator[str]:
    """A fraction of integers by its value."""
    parts = _FRACTION.fullmatch(text)
    if parts is None:
        return
    value = Fraction(int(parts[2]), int(parts[3]))
    value = -value if parts[1] else value
    yield f"{value.numerator}/{value.denominator}"
    yield rf"\frac{{{2 * value.numerator}}}{{{2 * value.denominator}}}"
    sign, above = ("-", -value.numerator) if value < 0 else ("", value.numerator)
    yield rf"{sign}\frac{{{above}}}{{{value.denominator}}}"
    if value < 0:
        yield rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest == 1 and value.denominator <= 1_000_000:
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        yield f"{exact:f}"
        yield f"{exact:f}0"
    if value.denominator > 1 and above > value.denominator * 2:
        whole, over = divmod(above, value.denominator)
        yield rf"{sign}{whole}\frac{{{over}}}{{{value.denominator}}}"


def decimal_number(text: str) -> Iterator[str]:
    """A decimal number with its zeros, and as a fraction."""
    parts = _DECIMAL.fullmatch(text)
    if parts is None:
        return
    yield text + "0"
    yield f"{parts[1]}{parts[2] or '0'}.{parts[3]}"
    value = Fraction(text)
    yield rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def integer(text: str) -> Iterator[str]:
    """An integer as a decimal, a fraction, with its sign, and with thousands set apart."""
    plain = re.sub(r",\\!|,(?=\d{3}\b)", "", text)
    if not _INTEGER.fullmatch(plain):
        return
    number = int(plain)
    yield f"{number}.0"
    yield f"{number}.00"
    yield rf"\frac{{{2 * number}}}{{2}}"
    yield f"+{number}" if number > 0 else f"−{-number}" if number < 0 else "0"
    if abs(number) >= 1000:
        for separator in (",", "{,}", r"\,", r"{,}\!"):
            yield f"{number:,}".replace(",", separator)


def with_unit(text: str) -> Iterator[str]:
    """A number with a unit that it does not have."""
    if _INTEGER.fullmatch(text) or _DECIMAL.fullmatch(text) or _FRACTION.fullmatch(text):
        yield rf"{text} \text{{ cm}}"
        yield rf"{text}\text{{ units}}"
        yield rf"{text}\ \mathrm{{m}}^2"
        yield rf"{text} \text{{ square units}}"
    if _INTEGER.fullmatch(text):
        yield f"{text} apples"
        yield rf"\${text}"


def without_unit(text: str) -> Iterator[str]:
    """A number with a unit, a degree or a percent sign, without or with another one."""
    measured = re.fullmatch(r"([\d.]+)\s*\\(?:text|mbox)\s*\{[ A-Za-z]+\}(?:\^\{?\d\}?)?", text)
    if measured is not None:
        yield measured[1]
    if re.fullmatch(r"[\d.]+\s*\^\s*(?:\\circ|\{\s*\\circ\s*\})", text):
        number = text.split("^")[0].strip()
        yield number
        yield rf"{number}^{{\circ}}"
        yield rf"{number}°"
        yield rf"{number}\text{{ degrees}}"
    if (share := re.fullmatch(r"([\d.]+)\s*\\?%", text)) is not None:
        yield rf"{share[1]}\%"
        yield f"{share[1]}%"
        yield f"{share[1]} percent"
