"""Which texts say the same: exactly, after normalisation, or nearly, by shared word triples.

In mathematics the small signs carry the meaning, so two texts are near-duplicates only if their
numbers, number words, operators and words such as "not" or "maximum" are the same in the same
order (their *signature*), and only if both are prose; the words around the signs may differ.
`Start 9; +5; rev` and `Start 8; +5; rev` are two problems, whatever their similarity. This also
makes it quick: only texts with one signature are compared, MinHash-LSH (`rensa`) finds the pairs
worth comparing, and the exact Jaccard index of the word triples decides. MinHash alone never drops
anything.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from rensa import RMinHash, RMinHashLSH

Tokens: TypeAlias = tuple[str, ...]

PERMUTATIONS = 128
LEAST_WORDS = 12
"""Shorter texts have no near-duplicates: in them every word counts."""
MISS_AT_THRESHOLD = 1e-4
"""Largest chance that LSH misses a pair that lies right at the threshold."""


class Item(NamedTuple):
    """One text that may be a duplicate."""

    id: str
    text: str
    rank_key: tuple[float, ...] = ()
    """A sort key: of several, the one with the smallest stays (`(-score, tokens)`, say). Ties go to
    the shorter text, then to the smaller id."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Why an item goes."""

    of: str
    """Id of the item that stays; never itself a duplicate."""
    kind: Literal["exact", "near"]
    similarity: float
    """Jaccard index of the word triples, 1 for an exact one."""


def find_duplicates(
    items: Iterable[Item | tuple[str, str, tuple[float, ...]]], near: float | None
) -> dict[str, Duplicate]:
    """The items that go, by id; whatever is not in it stays.

    `near` in (0, 1] is the least similarity of a near-duplicate; None finds exact ones only. The
    result does not depend on the order of `items`. Raises ValueError for an id that stands twice.
    """
    best_first = sorted((Item(*item) for item in items), key=_rank)
    if len({item.id for item in best_first}) < len(best_first):
        raise ValueError("an id stands twice among the items; ids must be unique")
    found: dict[str, Duplicate] = {}
    kept: dict[object, str] = {}
    alike: defaultdict[Tokens, list[tuple[str, Tokens]]] = defaultdict(list)
    for item in best_first:
        words = tokens(item.text)
        # A text of nothing but punctuation equals only itself.
        first = kept.setdefault(words or item.text, item.id)
        if first != item.id:
            found[item.id] = Duplicate(first, "exact", 1.0)
        elif is_prose(words):
            alike[signature(words)].append((item.id, words))
    if near is not None:
        for group in alike.values():
            if len(group) > 1:
                found.update(_near_duplicates(group, near))
        # An exact copy of a near-duplicate belongs to what stays in its stead.
        for id_, duplicate in list(found.items()):
            if duplicate.kind == "exact" and duplicate.of in found:
                found[id_] = found[duplicate.of]
    return found


def _rank(item: Item) -> tuple[tuple[float, ...], int, str]:
    return item.rank_key, len(item.text), item.id


def _near_duplicates(
    group: Sequence[tuple[str, Tokens]], near: float
) -> Iterator[tuple[str, Duplicate]]:
    """Walk from best to worst; what is near to one that stays, goes (the nearest such one)."""
    index = RMinHashLSH(near, PERMUTATIONS, _bands(near))
    triples: list[frozenset[Tokens]] = []
    for place, (id_, words) in enumerate(group):
        own = _triples(words)
        triples.append(own)
        sketch = RMinHash(PERMUTATIONS, 0)
        sketch.update([" ".join(triple) for triple in sorted(own)])
        similarity, kept = max(
            ((_jaccard(own, triples[other]), -other) for other in index.query(sketch)),
            default=(0.0, 0),
        )
        if similarity >= near:
            yield id_, Duplicate(group[-kept][0], "near", similarity)
        else:
            index.insert(place, sketch)


def _bands(near: float) -> int:
    """The fewest bands of which a pair at the threshold still shares one, almost surely."""
    for bands in (16, 32, 64, 128):
        if (1 - near ** (PERMUTATIONS // bands)) ** bands <= MISS_AT_THRESHOLD:
            return bands
    return 128


def _triples(words: Tokens) -> frozenset[Tokens]:
    if len(words) < 3:
        return frozenset([words])
    return frozenset(zip(words, words[1:], words[2:], strict=False))


def _jaccard(one: frozenset[Tokens], other: frozenset[Tokens]) -> float:
    return len(one & other) / len(one | other)


_SPELLINGS = (
    (re.compile(r"[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+"), r"^\g<0>"),  # NFKC makes x² an x2
    (re.compile(r"[\u2080-\u2089]+"), r"_\g<0>"),
)
_LATEX = (
    (re.compile(r"\\[dt]frac(?![a-z])"), r"\\frac"),
    (re.compile(r"\\(?:left|right|text|mathrm|displaystyle|quad|qquad)(?![a-z])"), " "),
    (re.compile(r"\\(?:times|cdot)(?![a-z])|[×·⋅]"), "*"),
    (re.compile(r"\\div(?![a-z])|[÷∕⁄]"), "/"),
    (re.compile(r"\\leq?(?![a-z])|≤"), "<="),
    (re.compile(r"\\geq?(?![a-z])|≥"), ">="),
    (re.compile(r"\\neq?(?![a-z])|≠"), "!="),
    (re.compile(r"[−‐‑]"), "-"),
    (re.compile(r"\\[,!;: ()\[\]]|\$"), " "),
    (re.compile(r"\{\s*([^\W_]|\d+)\s*\}"), r" \1 "),  # x^{2} is x^2
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),  # 1,234
    (re.compile(r"(?<=[^\W\d_]{2})-(?=\w)|(?<=\w)-(?=[^\W\d_]{2})"), " "),  # a hyphen, no minus
)
_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"  # scripts without spaces: each sign a token
    r"|[^\W\d_]+"
    r"|\d+(?:\.\d+)?"
    r"|[<>!]="
    r"|(?<=[\w)])!(?!\w)(?=\s*[-+*/=^)<>]|$)"  # a factorial, not an exclamation
    r"|(?<=\b[^\W\d_])'+"  # a derivative
    r"|(?<=\d):(?=\d)"
    r"|[-+*/=<>^_|%()\[\]{}&√∞π∑∫∪∩∈±°#@]"
)
_MEANS_MUCH = frozenset(
    word
    for line in (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen",
        "fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy",
        "eighty ninety hundred thousand million billion dozen half halves third thirds fourth",
        "fourths fifth fifths sixth seventh eighth ninth tenth quarter quarters first second",
        "once twice thrice double triple not no never without except unless least most",
        "maximum minimum largest smallest greatest longest shortest highest lowest more less",
        "fewer greater smaller larger older younger before after increase increased increasing",
        "decrease decreased decreasing even odd positive negative prime sum difference product",
        "quotient ratio area perimeter volume mean median mode",
        "sin cos tan cot sec csc log ln",
    )
    for word in line.split()
)


def tokens(text: str) -> Tokens:
    r"""The normalised text: NFKC, case, white space, punctuation and LaTeX's spellings evened out.

    Whatever may change the mathematics stays: numbers, operators, brackets, primes, factorials.
    """
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    text = unicodedata.normalize("NFKC", text).casefold()
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    return tuple(_TOKEN.findall(text))


def signature(words: Tokens) -> Tokens:
    """The tokens that must be the same, in order, in two near-duplicates."""
    return tuple(
        word
        for word in words
        if not word[0].isalpha()
        or word in _MEANS_MUCH
        or (len(word) == 1 and word.isascii() and word not in ("a", "i"))  # a variable
    )


def is_prose(words: Tokens) -> bool:
    """Enough words, among the signs, that one word more or less may mean the same.

    In `Start 5; *7; flip; flip` each word is an instruction."""
    count = sum(word[0].isalpha() for word in words)
    return count >= LEAST_WORDS and 2 * count >= len(words)
