"""What becomes of a problem that cannot be decoded: it costs itself alone.

| what is raised | whose it is | what is done |
|---|---|---|
| `EngineError` | the problem's: the engine has tried it again | set aside |
| `EngineUnreachable`, `EngineRefused`, `LakeError` and other `CordError`s | everybody's | raised |
| `OSError`, `MemoryError` | the machine's | raised |
| anything else: a bug | the problem's, where most others are decoded | tried again, set aside |
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from cord.errors import CordError, EngineError, EngineRefused, EngineUnreachable
from cord.types import Decoding, Problem, Quarantined

RETRY_S = 0.5
"""Before the second attempt, jittered by half; doubled before each further one."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unforeseen:
    """A problem that failed at each attempt, as nobody foresaw."""

    problem: Problem
    error: Exception

    @property
    def set_aside(self) -> Quarantined:
        """The problem in quarantine, with the error."""
        return quarantined_problem(self.problem, f"could not be decoded: {named(self.error)}")


Ended = Decoding | Quarantined | Unforeseen


async def attempt(
    problem: Problem, search: Callable[[], Awaitable[Decoding]], retries: int
) -> Ended:
    """Search a problem, up to `retries` times more where it fails as nobody foresaw.

    Raises what is not the problem's own."""
    begun = time.monotonic()
    for again in range(retries + 1):
        try:
            decoding = await search()
        except (EngineUnreachable, EngineRefused):
            raise
        except EngineError as error:
            return quarantined_problem(problem, f"could not be decoded: {error}")
        except (CordError, OSError, MemoryError):
            raise
        except Exception as error:
            _log.warning("problem %s: %s (attempt %d)", problem.id, named(error), again + 1)
            if again == retries:
                return Unforeseen(problem, error)
            await asyncio.sleep(RETRY_S * 2**again * random.uniform(0.5, 1.5))  # noqa: S311
            continue
        if not any(trajectory.steps for trajectory in decoding.trajectories):
            return quarantined_problem(problem, f"could not be decoded: {_why_no_step(decoding)}")
        return replace(decoding, seconds=time.monotonic() - begun)
    raise ValueError(f"retries is {retries}")


def own(unforeseen: Sequence[Unforeseen], decoded: int) -> list[Quarantined]:
    """The problems set aside, where these failures are their own.

    A few among many that were decoded are. Where most fail it is cord or the machine, and nobody's
    data are to be set aside for that: `CordError` is raised."""
    if len(unforeseen) > max(2, decoded):
        first = unforeseen[0]
        raise CordError(
            f"{len(unforeseen)} problems of a shard failed as nobody foresaw, and {decoded} were "
            f"decoded, so it is not the problems ({first.problem.id}: {named(first.error)}); none "
            "of them was set aside: mend it, then resume the run"
        ) from first.error
    return [one.set_aside for one in unforeseen]


def quarantined_problem(problem: Problem, reason: str) -> Quarantined:
    """Set a problem aside in decoding, with its question."""
    return Quarantined(
        stage="decode",
        reason=reason,
        problem_id=problem.id,
        source=problem.source,
        content=problem.question[:10_000],
    )


def named(error: Exception) -> str:
    """Kind, message and place of an error nobody foresaw: one line, at most 300 characters."""
    message = " ".join(str(error).split())
    said = f"{type(error).__name__}: {message}" if message else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].name}, line {frames[-1].lineno})" if frames else ""
    room = 300 - len(place)
    return (said if len(said) <= room else said[: room - 1] + "…") + place


def _why_no_step(decoding: Decoding) -> str:
    reasons = {f"{who}: {why}" for decided in decoding.rounds for who, why in decided.rejected}
    return "no teacher proposed a usable first step (" + "; ".join(sorted(reasons)[:5]) + ")"
