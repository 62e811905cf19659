"""How a character is spelled in a word: one mapping, character by character.

NFKC composes marks with what stands before them, so it cannot be computed character by character;
its decomposed twin can, once marks are gone. Two spellings of one text that Unicode calls
compatible, in any case and with any accents, therefore give the same words.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import NamedTuple

_NO_SPACES_BETWEEN_WORDS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # kana
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),  # Chinese characters
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


class Spelling(NamedTuple):
    """What a character becomes."""

    text: str
    """Lower-case letters and digits, without marks; a space separates words, the empty text
    vanishes."""
    alone: bool = False
    """Whether it is a word of its own."""


@lru_cache(maxsize=1 << 16)
def spell(code: int) -> Spelling:
    """The spelling of a code point: NFKC's and casefold's letters, without marks.

    What is neither letter nor digit separates. A raised or lowered sign begins a word: `x²` is
    read like `x^2`, where NFKC has `x2`. Of scripts that write no spaces each sign is a word."""
    sign = chr(code)
    text = unicodedata.normalize("NFKD", sign).casefold()
    text = unicodedata.normalize("NFKD", text).casefold()
    text = "".join(map(_spell_part, text))
    if text and not text.strip():
        return Spelling(" ")
    if unicodedata.decomposition(sign).startswith(("<super>", "<sub>")):
        text = f" {text}"
    if len(text.strip()) == 1 and (bare := text.strip()) and _is_alone(bare):
        return Spelling(bare, alone=True)
    return Spelling(text)


def _spell_part(sign: str) -> str:
    kind = unicodedata.category(sign)
    if kind[0] in "LN":
        return f" {sign} " if _is_alone(sign) else sign
    return "" if kind[0] == "M" or kind == "Cf" else " "  # Cf: soft hyphens, joiners, directions


def _is_alone(sign: str) -> bool:
    return any(first <= ord(sign) <= last for first, last in _NO_SPACES_BETWEEN_WORDS)
