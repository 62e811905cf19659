r"""The same mathematical answer in other notations: what models write for a reference.

Each rule keeps the value for certain, by text alone and without the judge that is measured: an
other fraction command, the exact decimal, a unit behind a bare number, the members of a set or a
list of solutions in another order, a sum turned around, `x =` in front.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction

_INTEGER = re.compile(r"-?\d+")
_DECIMAL = re.compile(r"(-?)(\d*)\.(\d+)")
_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(-?\d+)\}\{(\d+)\}")
_ANY_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")
_ONE_DIGIT_FRACTION = re.compile(r"\\frac\{(\d)\}\{(\d)\}")
_ROOT_OF_A_DIGIT = re.compile(r"\\sqrt\{(\d)\}")
_TIMES_A_ROOT = re.compile(r"(-?\d+)\s*(\\sqrt\{\d+\})")
_WORD = re.compile(r"\\text\s*\{\s*(\(?[A-Za-z]+\)?)\s*\}")
_LISTED = re.compile(r"[^,;()\[\]{}]+(?:,[^,;()\[\]{}]+)+")
_TUPLES = re.compile(r"\([^()\[\]]+\)(?:\s*,\s*\([^()\[\]]+\))+")
_SET = re.compile(r"\\\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\\\}")
_SUM = re.compile(r"([\w\s\\^{}]+?)\s*([+-])\s*([\w\s\\^{}]+)")
_NAMED = re.compile(r"[A-Za-z]\s*=\s*([^=,;]+)")
_NAMES_ITSELF = re.compile(r"=|\\in|[<>≤≥]|\\(?:le|ge|leq|geq)\b|\\text|\\mbox|[A-Za-z]{4,}")


def bare(answer: str) -> str:
    """A reference without the dollars around it, and around each of its parts."""
    text = answer.strip()
    if re.fullmatch(r"(?:\$[^$]+\$)(?:\s*,\s*\$[^$]+\$)*\.?", text):
        return text.replace("$", "").removesuffix(".").strip()
    return text


def notations(answer: str) -> Iterator[tuple[str, str]]:
    """(rule, other notation) of a reference answer. No notation is given twice."""
    text = bare(answer)
    seen = {answer}
    for rule, write in _RULES.items():
        for other in write(text):
            if other not in seen:
                seen.add(other)
                yield rule, other


def _wrapped(text: str) -> Iterator[str]:
    yield f"${text}$"
    yield rf"\({text}\)"
    yield rf"\[ {text} \]"
    yield f"$$ {text} $$"


def _stated(text: str) -> Iterator[str]:
    yield f"The answer is ${text}$."
    yield f"**Answer:** ${text}$"
    yield rf"So we get \boxed{{{text}}}."
    yield rf"$\boxed{{ {text} }}$"


def _spaced(text: str) -> Iterator[str]:
    if "\\text" in text or "\\mbox" in text or re.search(r"[A-Za-z]{2} [A-Za-z]{2}", text):
        return
    yield re.sub(r"(?<=[\w})])\s*([+=])\s*(?=[\w\\(])", r" \1 ", text)
    yield re.sub(r",\s*", ",  ", text)
    yield re.sub(r",\s*", r",\\,", text)
    yield re.sub(r"(?<![A-Za-z])\s+|\s+(?![A-Za-z])", "", text)


def _fractions(text: str) -> Iterator[str]:
    if r"\frac{" not in text and r"\dfrac{" not in text:
        return
    yield re.sub(r"\\[dt]?frac", r"\\dfrac", text)
    yield re.sub(r"\\[dt]?frac", r"\\tfrac", text)
    yield re.sub(r"\\[dt]?frac", r"\\frac", text)
    yield _ONE_DIGIT_FRACTION.sub(r"\\frac\1\2", text)
    if (parts := _ANY_FRACTION.fullmatch(text)) is not None:
        above, below = (p if re.fullmatch(r"\w+", p) else f"({p})" for p in parts.groups())
        yield f"{above}/{below}"
        yield rf"{above} \div {below}"


def _numeric_fraction(text: str) -> Iterator[str]:
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


def _decimal(text: str) -> Iterator[str]:
    parts = _DECIMAL.fullmatch(text)
    if parts is None:
        return
    yield text + "0"
    yield f"{parts[1]}{parts[2] or '0'}.{parts[3]}"
    value = Fraction(text)
    yield rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _integer(text: str) -> Iterator[str]:
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


def _named_value(text: str) -> Iterator[str]:
    if (named := _NAMED.fullmatch(text)) is not None and "f(" not in text:
        yield named[1].strip()
    elif not _NAMES_ITSELF.search(text) and "," not in text and "_" not in text:
        name = "x" if "x" not in text else "t"
        yield f"{name} = {text}"
        yield f"{name}={text}"
        yield rf"{name} = {text} \text{{.}}"


def _with_unit(text: str) -> Iterator[str]:
    if _INTEGER.fullmatch(text) or _DECIMAL.fullmatch(text) or _FRACTION.fullmatch(text):
        yield rf"{text} \text{{ cm}}"
        yield rf"{text}\text{{ units}}"
        yield rf"{text}\ \mathrm{{m}}^2"
        yield rf"{text} \text{{ square units}}"
    if _INTEGER.fullmatch(text):
        yield f"{text} apples"
        yield rf"\${text}"


def _without_unit(text: str) -> Iterator[str]:
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


def _brackets(text: str) -> Iterator[str]:
    if re.fullmatch(r"[(\[].*[)\]]", text) and "\\left" not in text:
        yield re.sub(r"(?<!\\)([)\]])", r"\\right\1", re.sub(r"(?<!\\)([(\[])", r"\\left\1", text))
    if "\\left" in text:
        yield re.sub(r"\\(?:left|right)(?![a-z])\s*", "", text)
    if "pmatrix" in text:
        yield text.replace("pmatrix", "bmatrix")
    if r"\infty" in text and not re.search(r"[-+]\s*\\infty\s*[)\]]", text):
        yield re.sub(r",\s*\\infty", r", +\\infty", text)
    if re.fullmatch(r"[(\[][^,]*,[^,]*[)\]]", text) and r"\infty" in text:
        yield rf"x \in {text}"


def _reordered(text: str) -> Iterator[str]:
    members: list[str] | None = None
    if "$" in text:
        return  # dollars that belong to nothing: what is listed cannot be told
    if (whole := _SET.fullmatch(text)) is not None:
        members = whole[1].split(",")
        yield r"\{" + ",".join(reversed(members)) + r"\}"
        return
    if _LISTED.fullmatch(text) and not re.fullmatch(r"-?\d{1,3}(?:,(?:\\!)?\d{3})+", text):
        members = [member.strip() for member in text.split(",")]
    elif _TUPLES.fullmatch(text):
        members = re.findall(r"\([^()]+\)", text)
    if members is None or "where" in text:
        return
    turned = list(reversed(members))
    yield ", ".join(turned)
    yield ",".join(f"${member}$" for member in members)
    yield r"\{" + ", ".join(turned) + r"\}"
    if len(members) == 2:
        yield rf"{turned[0]} \text{{ and }} {turned[1]}"
        yield rf"{turned[0]} \text{{ or }} {turned[1]}"
        yield f"${members[0]}$ and ${members[1]}$"


def _roots(text: str) -> Iterator[str]:
    yield _ROOT_OF_A_DIGIT.sub(r"\\sqrt\1", text)
    if (parts := _TIMES_A_ROOT.fullmatch(text)) is not None:
        yield rf"{parts[1]} \cdot {parts[2]}"
        yield rf"{parts[1]} \times {parts[2]}"
        if not parts[1].startswith("-"):
            yield rf"{parts[2]} \cdot {parts[1]}"
            inside = int(re.findall(r"\d+", parts[2])[0]) * int(parts[1]) ** 2
            yield rf"\sqrt{{{inside}}}"


def _turned_around(text: str) -> Iterator[str]:
    """A sum of two terms with its terms the other way round."""
    parts = _SUM.fullmatch(text)
    if parts is None or "pm" in text or text.count("{") != text.count("}"):
        return
    first, sign, second = parts[1].strip(), parts[2], parts[3].strip()
    if any(term.count("{") != term.count("}") for term in (first, second)):
        return
    yield f"{second} + {first}" if sign == "+" else f"-{second} + {first}"


def _words(text: str) -> Iterator[str]:
    if (word := _WORD.fullmatch(text)) is not None:
        plain = word[1]
        yield plain
        yield rf"\mathrm{{{plain}}}"
        yield rf"\textbf{{{plain}}}"
        yield rf"\text{{ {plain} }}"
        if plain.startswith("("):
            yield plain.strip("()")
        else:
            yield plain.capitalize()


def _powers(text: str) -> Iterator[str]:
    yield re.sub(r"\^(\d)(?!\d)", r"^{\1}", text)
    yield re.sub(r"\^\{(\d)\}", r"^\1", text)


_RULES: dict[str, Callable[[str], Iterator[str]]] = {
    "wrapped": _wrapped,
    "stated": _stated,
    "spaced": _spaced,
    "fraction commands": _fractions,
    "a fraction's value": _numeric_fraction,
    "decimals": _decimal,
    "integers": _integer,
    "x =": _named_value,
    "with a unit": _with_unit,
    "without its unit": _without_unit,
    "brackets": _brackets,
    "reordered": _reordered,
    "roots": _roots,
    "turned around": _turned_around,
    "words": _words,
    "powers": _powers,
}
