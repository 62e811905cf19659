"""Data inside the page: JSON, gzipped, in base64, which no HTML parser can read as anything else.

A block is inflated by the browser when what it holds is asked for.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from typing import Any, TextIO

BLOCK_BYTES = 512 << 10
"""A block of problems is closed at so many bytes of JSON: it inflates in a few milliseconds."""
BLOCK_PROBLEMS = 50


def packed(value: object) -> str:
    """The value as base64 of gzipped JSON; the same value gives the same text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    content = text.encode("utf-8", "backslashreplace")  # half a surrogate pair is no UTF-8
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode("ascii")


def figure(value: float | None) -> float | None:
    """A score as the page shows it: six digits; None where it is no number."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


class Blocks:
    """Blocks of one page, written as they fill; a problem is found by (block, place in it)."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._open: list[Any] = []
        self._open_bytes = 0
        self.closed = 0
        self.written = 0
        """Bytes in the page."""
        self.inflated = 0
        """Bytes of JSON in them."""

    @property
    def foreseen(self) -> float:
        """Bytes in the page when what is open will be closed, by what the others came to."""
        ratio = self.written / self.inflated if self.inflated else 0.5
        return self.written + ratio * self._open_bytes

    def add(self, problem: dict[str, Any], size: int) -> tuple[int, int]:
        """Put a problem of about `size` bytes in; says where it is."""
        if self._open and (
            len(self._open) >= BLOCK_PROBLEMS or self._open_bytes + size > BLOCK_BYTES
        ):
            self.close()
        self._open.append(problem)
        self._open_bytes += size
        return self.closed, len(self._open) - 1

    def close(self) -> None:
        """Write what is open."""
        if not self._open:
            return
        self.written += write_block(self._out, f"trees-{self.closed}", self._open)
        self.inflated += self._open_bytes
        self._open, self._open_bytes = [], 0
        self.closed += 1


def write_block(out: TextIO, name: str, value: object) -> int:
    """Write one block under an id; says how many bytes it took. Its type is none that runs."""
    text = f'<script type="application/octet-stream" id="{name}">{packed(value)}</script>\n'
    out.write(text)
    return len(text)
