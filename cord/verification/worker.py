r"""A judge in a process of its own: `python -m cord.verification.worker MEGABYTES`.

Says `{"ready": true}` once math-verify is imported; then one JSON request a line on standard input,
one JSON verdict a line on standard output. Its parent kills it at the time limit; should the parent
be gone by then, the operating system's alarm does, which ends even a power of a power inside C.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from functools import lru_cache
from typing import Any, TextIO

from cord.types import Verdict
from cord.verification.math import normalise, shown, without_dollars
from cord.verification.notation import familiar
from cord.verification.units import without_unit
from cord.verification.words import is_text, letters_of

ORPHAN_GRACE_S = 2.0
"""Beyond the time limit: by then the parent has killed us, if there is one."""
_INTERVAL = re.compile(r"[\[\]]|\\infty|\\cup|∞|∪")
_PERCENT = re.compile(r"\s?(?:\\?%|percent)\s?\$?\.?$")
_E_NOTATION = re.compile(r"(?<![\w\\])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})(?![\w.])", re.ASCII)


def judge(answer: str, reference: str) -> Verdict:
    """Compare by value with math-verify. Neither string is empty. May take for ever."""
    if is_text(reference) and is_text(answer):
        if letters_of(reference) == letters_of(answer):
            return Verdict("correct", "text", f"{shown(answer)} is {shown(reference)}")
        return Verdict("wrong", "text", f"{shown(answer)} is not {shown(reference)}")
    verdict = _compare(*_right_sides(answer, reference))
    share = _PERCENT.search(reference)
    if verdict.outcome != "correct" and share is not None and not _PERCENT.search(answer):
        # The unit may have been left out, as others may be.
        without = _compare(answer, reference[: share.start()])
        return without if without.outcome == "correct" else verdict
    return verdict


def _compare(answer: str, reference: str) -> Verdict:
    from math_verify import verify

    expected, found = _read(reference), _read(answer)
    for text, values in ((reference, expected), (answer, found)):
        if not values:
            return Verdict(
                "undecided", "math-verify", f"{shown(text)} cannot be read as mathematics"
            )
    try:
        equal = verify(
            list(expected),
            list(found),
            timeout_seconds=None,
            raise_on_error=True,
            # `2 < x` is the interval, but `(1, 2)` may as well be a point.
            allow_set_relation_comp=_INTERVAL.search(reference) is not None,
        )
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        reason = f"{shown(answer)} and {shown(reference)} cannot be compared: {_named(error)}"
        return Verdict("undecided", "math-verify", reason)
    if equal:
        return Verdict("correct", "math-verify", f"{shown(answer)} equals {shown(reference)}")
    return Verdict("wrong", "math-verify", f"{shown(answer)} is not {shown(reference)}")


@lru_cache(maxsize=256)
def _read(answer: str) -> tuple[Any, ...]:
    """Sympy values (and spellings) of an answer; empty where it cannot be read.

    math-verify reads `18 dollars` as 18*d*o*l*l*a*r*s, and of a text that it cannot read it takes
    the last number: so a number with its words is read as the number, and all else whole."""
    from math_verify import parse

    text = without_unit(normalise(without_unit(without_dollars(familiar(answer)))))
    text = _E_NOTATION.sub(r"\1\\cdot10^{\2}", text.replace("**", "^"))
    values = parse(rf"\boxed{{{text}}}", parsing_timeout=None, raise_on_error=True)
    return () if all(isinstance(value, str) for value in values) else tuple(values)


def _right_sides(answer: str, reference: str) -> tuple[str, str]:
    """What both say of the same thing: `f(x)=x` and `f(x) = x` are `x`, and compared as that."""
    said, sign, answered = normalise(answer).partition("=")
    meant, _, referred = normalise(reference).partition("=")
    if sign and said == meant and "=" not in answered + referred and "," not in said:
        return answered, referred
    return answer, reference


def _named(error: BaseException) -> str:
    message = str(error).split("\n", 1)[0][:200]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def serve(requests: TextIO, replies: TextIO) -> None:
    """Answer requests until the other side closes."""
    import math_verify  # noqa: F401  # its import takes most of a second: before "ready"

    _reply(replies, {"ready": True})
    for line in requests:
        request = json.loads(line)
        _set_alarm(request["time_limit_s"] + ORPHAN_GRACE_S)
        verdict, fit = _judge_safely(request["answer"], request["reference"])
        _set_alarm(0)
        _reply(
            replies,
            {"outcome": verdict.outcome, "method": verdict.method, "reason": verdict.reason},
        )
        if not fit:
            return


def _judge_safely(answer: str, reference: str) -> tuple[Verdict, bool]:
    """The verdict, and whether this process is still fit for another one."""
    try:
        return judge(answer, reference), True
    except MemoryError:
        reason = f"{shown(answer)} needs more memory than the judge may use"
        return Verdict("undecided", "math-verify", reason), False
    except RecursionError:
        reason = f"{shown(answer)} is nested too deeply for the judge"
        return Verdict("undecided", "math-verify", reason), True
    except Exception as error:
        reason = f"{shown(answer)} cannot be judged: {_named(error)}"
        return Verdict("undecided", "math-verify", reason), True


def _reply(replies: TextIO, content: object) -> None:
    replies.write(json.dumps(content) + "\n")
    replies.flush()


def _set_alarm(seconds: float) -> None:
    import signal

    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit_memory(megabytes: int) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    except (ImportError, OSError, ValueError):
        pass  # not every system can; the time limit holds everywhere


def main() -> None:
    """Serve on standard input and output."""
    _limit_memory(int(sys.argv[1]))
    logging.disable(logging.CRITICAL)
    # A library that prints must not speak into the replies.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, replies)


if __name__ == "__main__":
    main()
