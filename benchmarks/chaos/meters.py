"""How many tokens were sampled for a run, in all its processes, whatever became of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

from benchmarks.chaos.workshop import Workshop
from cord.engines.vllm.metrics import MeteredServer, Tally

READ_EVERY_S = 0.25


class Meter(Protocol):
    """Counts from when it is made."""

    @property
    def tokens(self) -> int:
        """So far."""
        ...


@dataclass(frozen=True)
class Counted:
    """Of embedded models: a byte of a file for each (`counted/sitecustomize.py`)."""

    workshop: Workshop

    @property
    def tokens(self) -> int:
        """So far."""
        return self.workshop.tokens


class Served:
    """Of a vLLM server: its own counter of generated tokens, across restarts.

    It counts what was broken off, and the answer tokens that scoring makes it decode, too. Call
    `read` right before the server is killed: what it counts after the last reading is lost."""

    def __init__(self, url: str) -> None:
        self._server = MeteredServer(url, lambda: url)
        self._tally = Tally()
        self._lock = threading.Lock()
        self._over = threading.Event()
        reading = self._server.read()
        assert reading is not None, f"{url} gives no counters"
        self._tally.begin(reading)
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    @property
    def tokens(self) -> int:
        """As of the last reading."""
        return self._tally.counted.generation_tokens

    def read(self) -> None:
        """Read the server's counters now, where it answers."""
        reading = self._server.read()
        with self._lock:
            if reading is not None:
                self._tally.note(reading)

    def close(self) -> None:
        """Read no more."""
        self._over.set()
        self._thread.join()
        self.read()

    def _go_on(self) -> None:
        while not self._over.wait(READ_EVERY_S):
            self.read()
