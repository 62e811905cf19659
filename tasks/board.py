"""Where decoding tells how it goes on, for whoever watches in this process.

A run in the terminal is watched here (progress bar, Ctrl-C), and the flow copies the share that is
done to Prefect's progress artifact.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cord.types import Decoding, Problem, Quarantined, Round

RECENT_S = 20.0
"""The speed shown is that of so many seconds: more than a round takes."""


@dataclass
class Board:
    """Counts of one process's work, safe to read at any time."""

    work: str = "problems"
    """What is counted: problems that are decoded, steps of a training, answers."""
    total: int = 0
    """How many there are to do."""
    done: int = 0
    quarantined: int = 0
    rounds: int = 0
    tokens: int = 0
    """Sampled tokens, thrown-away ones included."""
    score_sum: float = 0.0
    unscored: int = 0
    """Decoded problems whose scores this process has not heard."""
    heading: str = ""
    """Which of several runs this is, where a grid of them is carried out."""
    stage: str = ""
    detail: str = ""
    """How far the stage has come, where it tells."""
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _begun: float = 0.0
    _recent: deque[tuple[float, int]] = field(default_factory=deque)
    """(moment, tokens) of the latest rounds."""

    def begin(self, total: int, work: str = "problems") -> None:
        """A run begins, with so many problems to decode, or so much of other work."""
        with self._lock:
            self.work = work
            self.total, self.done, self.quarantined = total, 0, 0
            self.rounds, self.tokens, self.score_sum = 0, 0, 0.0
            self.unscored = 0
            self._begun = time.monotonic()
            self._recent.clear()

    def enter(self, stage: str, detail: str = "") -> None:
        """The run is now at this stage, and so far in it."""
        self.stage, self.detail = stage, detail

    def reached(self, done: int) -> None:
        """So much of it is done."""
        self.done = done

    def answered(self, tokens: int) -> None:
        """One more answer is there, of so many tokens."""
        with self._lock:
            self.done += 1
            self.tokens += tokens
            self._recent.append((time.monotonic(), tokens))
            self._forget_old()

    def round_recalled(self, problem: Problem, decided: Round) -> None:
        """It was counted when it was decided, by whichever process that was."""

    def round_decided(self, problem: Problem, decided: Round) -> None:
        """One round of one problem is decided."""
        with self._lock:
            self.rounds += 1
            self.tokens += decided.proposed_tokens
            self._recent.append((time.monotonic(), decided.proposed_tokens))
            self._forget_old()

    def problem_done(self, problem: Problem, done: Decoding | Quarantined) -> None:
        """A problem's search has ended, or failed for good."""
        with self._lock:
            self.done += 1
            if isinstance(done, Quarantined):
                self.quarantined += 1
            else:
                self.score_sum += done.trajectories[0].score

    def shard_done(self, result: Mapping[str, Any]) -> None:
        """What a shard came to that another process has decoded: its rounds were not heard here.

        Of its scores nothing is known, so that `mean_score` stands for the others."""
        decoded, quarantined = int(result["decoded"]), int(result["quarantined"])
        tokens = int(result["proposed_tokens"])
        with self._lock:
            self.done += decoded + quarantined
            self.quarantined += quarantined
            self.unscored += decoded
            self.rounds += int(result.get("rounds", 0))
            self.tokens += tokens
            self._recent.append((time.monotonic(), tokens))
            self._forget_old()

    def expected_end(self, now: datetime) -> datetime | None:
        """When all of it will be done, at the pace so far; None before any of it is."""
        with self._lock:
            if not 0 < self.done <= self.total:
                return None
            lasted = time.monotonic() - self._begun
            return now + timedelta(seconds=lasted * (self.total - self.done) / self.done)

    @property
    def tokens_per_second(self) -> float:
        """Sampled tokens of the rounds decided in the last `RECENT_S`, for each second."""
        with self._lock:
            now = self._forget_old()
            lately = min(RECENT_S, now - self._begun)
            tokens = sum(tokens for _, tokens in self._recent)
            return tokens / lately if lately > 0 else 0.0

    def _forget_old(self) -> float:
        now = time.monotonic()
        while self._recent and self._recent[0][0] < now - RECENT_S:
            self._recent.popleft()
        return now

    @property
    def share_done(self) -> float:
        """Share of the problems decoded so far, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def mean_score(self) -> float | None:
        """Mean score of the best trajectories so far."""
        scored = self.done - self.quarantined - self.unscored
        return self.score_sum / scored if scored > 0 else None


BOARD = Board()
"""This process's board."""

DASHBOARD_LOG = logging.getLogger("cord.dashboard")
"""What the person who runs cord should know of Prefect's dashboard."""
ABLATION_LOG = logging.getLogger("cord.ablation")
"""What the person who runs a grid should know while it goes on."""
