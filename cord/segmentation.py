"""Cutting a reasoning text into steps, in the paper's three ways (method.md, part 1).

Whatever the way, the pieces joined give the text back exactly, and `</think>` begins a new piece,
because a proposal ends where `### Step` or `</think>` would begin: a step never reaches over the
end of the thinking. Each way takes time linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal, get_args

from cord.prompts import STEP_HEADER, THINK_CLOSE

Segmentation = Literal["prompt-guided", "reflection-cue", "line-break"]

CUES = (
    "Wait",
    "Alternatively",
    "Hmm",
    "Hm",
    "But",
    "However",
    "Actually",
    "Maybe",
    "Perhaps",
    "So",
    "Let me",
    "Let's",
    "Another",
    "Oh",
    "Hold on",
)
"""Words that open a reflection: the paper's "Wait", "Alternatively", "Hmm", "But" with their kin as
R1 and Qwen3 write them."""

_CUE = re.compile(rf"\b(?:{'|'.join(map(re.escape, CUES))})\b")
_STEP = re.compile(rf"^{re.escape(STEP_HEADER)}(?![^\W\d_])", re.MULTILINE)  # not `### Steps`
_BLANK_LINES = re.compile(r"\n[ \t\r]*\n\s*")
_OPENING_MARKS = "*_\"'“‘(["
_SENTENCE_ENDS = ".!?…。！？"
_CLOSING_MARKS = "*_\"'”’)]$"


def segment(text: str, how: Segmentation = "prompt-guided") -> list[str]:
    """Cut `text` into pieces, none of them empty; `"".join(pieces) == text`.

    - `prompt-guided`: a piece begins at each `### Step` at the start of a line; what stands before
      the first is a piece of its own.
    - `reflection-cue`: a piece begins at each of `CUES` at the start of a sentence or line.
    - `line-break`: a piece is a paragraph with the blank lines behind it.

    An empty text has no pieces. Raises ValueError for another `how`.
    """
    if how not in _BOUNDARIES:
        raise ValueError(f"no segmentation {how!r}; there are {', '.join(get_args(Segmentation))}")
    closings = (match.start() for match in re.finditer(re.escape(THINK_CLOSE), text))
    inner = {*_BOUNDARIES[how](text), *closings} - {0, len(text)}
    places = [0, *sorted(inner), len(text)]
    return [text[a:b] for a, b in pairwise(places) if a < b]


def _at_headers(text: str) -> Iterator[int]:
    return (match.start() for match in _STEP.finditer(text))


def _at_cues(text: str) -> Iterator[int]:
    done = 0  # nothing before it is looked at again, which keeps the walk back linear
    for match in _CUE.finditer(text):
        place = match.start()
        while place > done and text[place - 1] in _OPENING_MARKS:
            place -= 1
        if _opens_a_sentence(text, place, done):
            yield place
        done = match.end()


def _opens_a_sentence(text: str, place: int, done: int) -> bool:
    """White space with a line break, or with a sentence's end in front of it, or nothing."""
    before = place
    while before > done and text[before - 1].isspace():
        before -= 1
        if text[before] == "\n":
            return True
    if before == 0:
        return True
    if before == place:
        return False
    while before > done and text[before - 1] in _CLOSING_MARKS:
        before -= 1
    return before > 0 and text[before - 1] in _SENTENCE_ENDS


def _behind_blank_lines(text: str) -> Iterator[int]:
    # Blank lines at the very beginning belong to the first paragraph.
    begin = len(text) - len(text.lstrip())
    return (match.end() for match in _BLANK_LINES.finditer(text, begin))


_BOUNDARIES: dict[str, Callable[[str], Iterator[int]]] = {
    "prompt-guided": _at_headers,
    "reflection-cue": _at_cues,
    "line-break": _behind_blank_lines,
}
