r"""The same mathematical answer in other notations: what models write for a reference.

Each rule keeps the value for certain, by text alone and without the judge that is measured: an
other fraction command, the exact decimal, a unit behind a bare number, the members of a set or a
list of solutions in another order, a sum turned around, `x =` in front.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from benchmarks.quality.number_notations import (
    decimal_number,
    fraction,
    integer,
    with_unit,
    without_unit,
)

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


def _named_value(text: str) -> Iterator[str]:
    if (named := _NAMED.fullmatch(text)) is not None and "f(" not in text:
        yield named[1].strip()
    elif not _NAMES_ITSELF.search(text) and "," not in text and "_" not in text:
        name = "x" if "x" not in text else "t"
        yield f"{name} = {text}"
        yield f"{name}={text}"
        yield rf"{name} = {text} \text{{.}}"


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


def _signs(text: str) -> Iterator[str]:
    """Signs in the place of commands, as models write them outside of LaTeX."""
    told = re.sub(r"\\sqrt\{(\d+)\}", r"√\1", text)
    for command, sign in _SIGNS.items():
        told = re.sub(rf"\\{command}(?![A-Za-z])\s*", sign, told)
    told = re.sub(r"\s*\^\s*(?:\\circ|\{\s*\\circ\s*\})", "°", told)
    if "\\" not in told:
        yield told
        yield told.replace("-", "−")


def _bounds(text: str) -> Iterator[str]:
    """An interval as what holds in it; `(1, 2)` may be a point, and stays one."""
    parts = re.fullmatch(r"(?:x \\in )?([(\[])([^,]+),([^,]+)([)\]])", text)
    if parts is None or not (r"\infty" in text or parts[1] == "[" or parts[4] == "]"):
        return
    low, high = parts[2].strip(), parts[3].strip()
    below, above = (r"\le" if at in "[]" else "<" for at in (parts[1], parts[4]))
    if r"-\infty" in low:
        yield f"x {above} {high}"
    elif r"\infty" in high:
        yield f"x {below.replace('<', '>').replace('le', 'ge')} {low}"
    else:
        yield f"{low} {below} x {above} {high}"


_SIGNS = {
    "pi": "π",
    "infty": "∞",
    "cup": "∪",
    "cdot": "·",
    "times": "×",
    "pm": "±",
    "geqslant": "≥",
}
_RULES: dict[str, Callable[[str], Iterator[str]]] = {
    "wrapped": _wrapped,
    "stated": _stated,
    "spaced": _spaced,
    "fraction commands": _fractions,
    "a fraction's value": fraction,
    "decimals": decimal_number,
    "integers": integer,
    "x =": _named_value,
    "with a unit": with_unit,
    "without its unit": without_unit,
    "brackets": _brackets,
    "reordered": _reordered,
    "roots": _roots,
    "turned around": _turned_around,
    "words": _words,
    "powers": _powers,
    "signs": _signs,
    "bounds": _bounds,
}
