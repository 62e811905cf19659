"""Whether a stated answer is right: one door, one file for each domain.

`verify(domain, response, reference)` judges in the processes of one pool that this process shares
and starts at the first question that needs it. A `Verifier` of your own has its own limits.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Sequence

from cord.types import Verdict
from cord.verification.answer_judge import AnswerJudge
from cord.verification.pool import DOMAINS, NO_JUDGE, OF_THE_TEXT, Verifier
from cord.verification.rules import Rules, rules_of

__all__ = [
    "DOMAINS",
    "NO_JUDGE",
    "OF_THE_TEXT",
    "AnswerJudge",
    "Rules",
    "Verifier",
    "rules_of",
    "verify",
]

_lock = threading.Lock()
_shared: Verifier | None = None


def verify(domain: str, response: str, reference: str | Sequence[str]) -> Verdict:
    """Judge `response`, a whole solution text or an answer alone, against the right answer.

    Several references are several spellings of it: one that agrees is enough. Blocks until judged
    (5 s at most for each reference, with the default pool); safe to call from any thread. Raises
    `CordError` for a domain that does not exist.
    """
    return _shared_verifier().verify(domain, response, reference)


def _shared_verifier() -> Verifier:
    global _shared
    with _lock:
        if _shared is None:
            _shared = Verifier(workers=min(4, os.cpu_count() or 1))
            atexit.register(_shared.close)
        return _shared


def _forget_after_fork() -> None:
    """A forked child must not speak into its parent's pipes; it starts a pool of its own."""
    global _shared, _lock
    _lock, _shared = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
