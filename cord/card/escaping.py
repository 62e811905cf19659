"""Text that a user, a data set or a model wrote, made harmless inside Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKED = re.compile(r"([\\`*_\[\]{}|~$!])")
_LONG = 300


def plain(value: object, most: int = _LONG) -> str:
    """The value as words on one line, at most `most` characters: no mark-up, no HTML, no link,
    no mention; fit for a cell of a table."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    text = " ".join(text.split())
    text = text if len(text) <= most else text[: most - 3] + "..."
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _MARKED.sub(r"\\\1", text)
    for mark, harmless in (("://", ":&#47;&#47;"), ("www.", "www&#46;"), ("@", "&#64;")):
        text = text.replace(mark, harmless)
    return re.sub(r"^(\d*)([#+=.)-])(?= |$)", r"\1\\\2", text)


def code(value: object, most: int = _LONG) -> str:
    """The value as code on one line, fit for a cell of a table. Empty: nothing."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    text = text if len(text) <= most else text[: most - 3] + "..."
    if not text:
        return ""
    # In a table `\|` is the bar even inside code; a fence is longer than what stands within.
    runs = [len(run) for run in re.findall("`+", text)]
    fence = "`" * (max(runs, default=0) + 1)
    pad = " " if runs else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", r"\|")


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table of cells that are Markdown already; empty where there are no rows."""
    if not rows:
        return ""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
