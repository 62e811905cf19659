"""Whether a server is there: what all its requests know together, and how long they wait.

A run lasts hours and a server is sometimes away: restarted, overloaded, cut off in the middle of an
answer. What a failed request means is decided by one rule:

1. *It may pass*: no connection, no answer in time, an answer broken off or cut short, one that is
   not JSON, and the statuses 408, 425, 429 and 5xx. The request is sent again after growing,
   jittered waits (and never before a `Retry-After`). What the server means to refuse is an error
   at once.
2. *The server is in doubt* from such a failure, or from a long silence while requests wait for it,
   until it answers anything again. Nothing new is sent meanwhile but one small question now and
   then (a *look*: one token), also after growing waits; when that is answered, everybody goes on.
3. *The server is lost* once it was in doubt for the whole patience of whoever asks, counted from
   its first failure and shared by all. Further requests then fail at once as `EngineUnreachable`;
   every few seconds one of them looks first, and when that is answered the server is used again.
4. *The request is at fault* when it fails `Patience.tries` times, or for the whole patience, with
   the server there all along: each time it, or another request, was answered before any look
   failed. That request alone fails, as `EngineError`, and costs its own problem. Refused
   connections, 408, 425, 429, 502, 503 and 504 are never the request's fault.
5. *The server has died* when looks fail for `Patience.death_s` on end. A request that it dies of is
   found by what several deaths have in common (`cord.engines.suspects`).
"""

from __future__ import annotations

import math
import random
import threading
import time
from dataclasses import dataclass

_NOBODY_ASKED_S = 120.0  # a doubt that nobody looked into for so long says nothing of today


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to bear with a server, all in seconds."""

    total_s: float = 300.0
    """How long the server may be away before it is lost. A large model's server needs minutes to
    start again."""
    first_wait_s: float = 0.25
    """Before the second try and the first look; doubled for each further one, and jittered by
    half."""
    longest_wait_s: float = 15.0
    answer_s: float = 900.0
    """For one answer: a long step on a full server."""
    connect_s: float = 10.0
    look_s: float = 30.0
    """For the answer to a look (one token), and to anything else that a model need not write."""
    silence_s: float = 60.0
    """A server that answers nothing for so long, while requests wait, is looked at."""
    first_contact_s: float = 10.0
    """Instead of `total_s` where an engine is asked who it is: a wrong url is said soon."""
    tries: int = 8
    """Of one request that fails while the server is there (rule 4)."""
    death_s: float = 5.0
    """An absence of so long is no blip: the server was restarted, or is to be."""
    unusable_tries: int = 4
    """Of one request whose answers say nothing: no text, a log-probability that is no number."""


class Availability:
    """What is known of one server. Safe to use from several event loops and threads."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._since: float | None = None
        """The first failure since the last answer, None without one."""
        self._last = 0.0
        """The last failure."""
        self._last_answer = time.monotonic()
        self._given_up = False
        self._looking_until = 0.0
        self._look_at = 0.0
        self._not_before = 0.0
        """What the server asked for."""
        self._wait_s = patience.first_wait_s
        self.reason = ""
        """What the last failure was."""
        self.gone = ""
        """Why it will not come back, where somebody knows; "" while it may."""
        self.absences = 0
        """How often it was found away; only ever grows."""

    @property
    def in_doubt(self) -> bool:
        """It has failed, and not answered anything since."""
        return self._since is not None

    def answered(self) -> None:
        """It has answered something: it is there."""
        with self._lock:
            self._since, self._given_up = None, False
            self._last_answer = time.monotonic()

    def silent(self, for_s: float) -> bool:
        """It has answered nothing for `for_s`."""
        return time.monotonic() - self._last_answer >= for_s

    def failed(self, reason: str, away: bool, wait_s: float = 0.0) -> None:
        """A request has failed. `away`: no request could have done better; `wait_s`: what the
        server asked for."""
        with self._lock:
            self._fail(reason, away)
            self._not_before = self._last + wait_s
            self._look_at = max(self._look_at, self._not_before)

    def begin_look(self, patience_s: float) -> bool:
        """Whether the caller is to look now; it must say `end_look` afterwards.

        One look at a time, and one more when the server has been away for so long that it must have
        died, and when the patience of the caller runs out."""
        with self._lock:
            now = time.monotonic()
            if self._since is None or now < self._looking_until:
                return False
            if now < min(self._look_at, *self._moments(patience_s)):
                return False
            # Should a look never end, its event loop being closed under it, others take over.
            self._looking_until = now + self._patience.look_s + self._patience.connect_s
            return True

    def end_look(self, failure: str | None, wait_s: float = 0.0) -> None:
        """The look was answered (None), or failed. A look that was broken off says nothing."""
        with self._lock:
            self._looking_until = 0.0
            if failure is None:
                return
            self._fail(failure, away=True)
            self._wait_s = min(2 * self._wait_s, self._patience.longest_wait_s)
            self._not_before = self._last + wait_s
            self._look_at = max(self._not_before, self._last + jittered(self._wait_s))

    def lost(self, patience_s: float) -> bool:
        """Whether it was in doubt for all of `patience_s`."""
        with self._lock:
            lost = self._since is not None and self._last >= self._since + patience_s
            self._given_up = self._given_up or lost
            return lost

    def dead(self, patience_s: float) -> bool:
        """Whether it has been away for so long that it must have died (rule 5)."""
        with self._lock:
            away_s = 0.0 if self._since is None else self._last - self._since
            return self._since is not None and away_s >= min(self._patience.death_s, patience_s)

    def pause_s(self, patience_s: float) -> float:
        """How long to wait before asking again whether to look: not all at the same moment."""
        with self._lock:
            now = time.monotonic()
            due = min(self._look_at, *self._moments(patience_s))
            least = max(self._patience.first_wait_s, self._wait_s / 4)
            return max(due - now, 0.0) + least * random.random()  # noqa: S311

    def _moments(self, patience_s: float) -> list[float]:
        """When it will be known whether it has died, and whether it is lost, as far as that is not
        known yet; at least one moment, which may be never."""
        if self._since is None:
            return [math.inf]
        dead = max(self._since + self._patience.death_s, self._not_before)
        moments = (dead, self._since + patience_s)
        return [moment for moment in moments if self._last < moment] or [math.inf]

    def _fail(self, reason: str, away: bool) -> None:
        now = time.monotonic()
        forgotten = not self._given_up and now - self._last > _NOBODY_ASKED_S
        if self._since is None or forgotten:
            self._since, self._wait_s = now, self._patience.first_wait_s
            self._look_at = now + jittered(self._wait_s)
        self._last, self.reason = now, reason
        self.absences += away


def jittered(wait_s: float) -> float:
    """A wait made half as long to half as long again, so that not all come back at once."""
    return wait_s * random.uniform(0.5, 1.5)  # noqa: S311
