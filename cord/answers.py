r"""The answer that a text states, and the answer inside a data set's answer column.

Both read text that anyone may have written, so both take time linear in its length: one pass with a
stack of open braces, no backtracking.
"""

from __future__ import annotations

import re
from typing import Literal

AnswerRule = Literal["as-is", "gsm8k", "boxed"]

# A backslash takes the next character with it, so that `\{` is no brace and `\\{` is one.
_TOKEN = re.compile(r"\\(?:boxed|fbox)[ \t\n]*\{|\\.|[{}]", re.DOTALL)
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII)


def stated_answer(text: str) -> str | None:
    r"""The content of the last `\boxed{...}` whose braces are balanced, or None.

    Of nested boxes the innermost counts; an empty box (an instruction that was echoed) states
    nothing, nor does one that was cut off.
    """
    opened = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    if opened < 0:
        return None
    if (answer := _box_at(text, opened)) is not None:
        return answer
    open_braces: list[int] = []  # content start of a box, -1 for any other brace
    start, whole = -1, None
    for match in _TOKEN.finditer(text):
        found = match.group()
        if found == "}":
            begun = open_braces.pop() if open_braces else -1
            if begun > start and not _is_blank(text, begun, match.start()):
                start, whole = begun, (begun, match.start())
        elif found == "{":
            open_braces.append(-1)
        elif found[-1] == "{" and len(found) > 2:
            open_braces.append(match.end())
    return text[slice(*whole)].strip() if whole else None


def _box_at(text: str, opened: int) -> str | None:
    """The content of the box that is opened last, where that is whole: most are, and no other brace
    of a long text need be looked at."""
    if (opened - len(text[:opened].rstrip("\\"))) % 2:
        return None  # a line's end and a word
    box = _TOKEN.match(text, opened)
    if box is None or box.group()[-1] != "{":
        return None
    depth = 1
    for match in _TOKEN.finditer(text, box.end()):
        found = match.group()
        if found == "}":
            depth -= 1
            if depth == 0:
                blank = _is_blank(text, box.end(), match.start())
                return None if blank else text[box.end() : match.start()].strip()
        elif found[-1] == "{" and (found == "{" or len(found) > 2):
            depth += 1
    return None


_NOT_SPACE = re.compile(r"\S")


def _is_blank(text: str, start: int, end: int) -> bool:
    return _NOT_SPACE.search(text, start, end) is None


def extract_answer(text: str, rule: AnswerRule) -> str | None:
    r"""The answer inside an answer column, by a recipe's `answer_rule`; None where there is none.

    `as-is`: the whole text. `gsm8k`: what stands behind the last `####` on its line, thousands
    commas removed (`#### 1,234` gives `1234`). `boxed`: as `stated_answer`.
    """
    if rule == "boxed":
        return stated_answer(text)
    if rule == "gsm8k":
        _, mark, behind = text.rpartition("####")
        if not mark:
            return None
        text = behind.strip().split("\n", 1)[0].strip()
        if _THOUSANDS.fullmatch(text.removeprefix("$")):
            text = text.removeprefix("$").replace(",", "")
    return text.strip() or None
