"""Judging in processes, each with a hard limit of time and memory.

math-verify hands model output to a computer algebra system, so one hostile answer (`9^9^9^9`) can
run for ever inside C, where neither a signal handler nor a thread can stop it. Only a process can
be killed: an answer that meets its limit costs that limit and one process start, and nothing else.
The processes are plain subprocesses (no fork of a process that holds threads and torch) and speak
JSON lines over pipes (no pickle).
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cord.errors import CordError
from cord.types import Verdict
from cord.verification import choice, math, tatqa

_READ_HERE = {"choice": choice.judge, "tatqa": tatqa.judge}
"""Domains whose judge takes no mathematics, and so no process."""
DOMAINS = ("math", *_READ_HERE)
START_LIMIT_S = 120.0
"""For importing sympy on a machine that is busy with models."""
TRIES = 2
"""Processes that may die over one answer before it is held against it: one may have been killed by
somebody else."""


class Verifier:
    """Judges answers, up to `workers` at once; safe to use from any number of threads.

    A process is started when a question first needs it, and replaced when it was killed. Close it
    (or use `with`) to end the processes; they also end by themselves when this process is gone.
    """

    def __init__(
        self, time_limit_s: float = 5.0, workers: int = 2, memory_limit_mb: int = 2048
    ) -> None:
        self.time_limit_s = time_limit_s
        self.memory_limit_mb = memory_limit_mb
        self._seats = threading.Semaphore(workers)
        self._lock = threading.Lock()
        self._idle: deque[_Process] = deque()
        self._closed = False

    def verify(self, domain: str, response: str, reference: str | Sequence[str]) -> Verdict:
        """Judge `response` against one reference, or several spellings of it: one that agrees is
        enough, and it is wrong only if it is wrong against each.

        Raises `CordError` for a domain that does not exist, or when the judge cannot be started.
        """
        if domain not in DOMAINS:
            raise CordError(
                f"verify: there is no domain {domain!r}; there is: {', '.join(DOMAINS)}"
            )
        references = [reference] if isinstance(reference, str) else list(reference)
        if domain in _READ_HERE:
            return _first([_READ_HERE[domain](response, text) for text in references or [""]])
        references = [math.find_answer(text) or text for text in references] or [""]
        answer = math.find_answer(response)
        verdicts: list[Verdict] = []
        costly: list[str] = []
        for text in references:
            verdict = math.judge_at_once(answer, text)
            if verdict is None:
                costly.append(text)
            elif verdict.outcome == "correct":
                return verdict
            else:
                verdicts.append(verdict)
        for text in costly:
            verdicts.append(self._judge(answer or "", text))
            if verdicts[-1].outcome == "correct":
                return verdicts[-1]
        return _first(verdicts)

    def _judge(self, answer: str, reference: str) -> Verdict:
        request = {"answer": answer, "reference": reference, "time_limit_s": self.time_limit_s}
        with self._seats:
            for _ in range(TRIES):
                process = self._take()
                try:
                    reply = process.ask(request, self.time_limit_s)
                except TimeoutError:
                    process.kill()
                    reason = f"{math.shown(answer)} was not judged within {self.time_limit_s:g} s"
                    return Verdict("undecided", "math-verify", reason)
                except (EOFError, OSError, ValueError):
                    status = process.kill()
                except BaseException:  # Ctrl-C as it computes: the next reply would be this one's
                    process.kill()
                    raise
                else:
                    self._give_back(process)
                    return Verdict(reply["outcome"], reply["method"], reply["reason"])
            reason = f"the judge broke off at {math.shown(answer)} (exit status {status})"
            return Verdict("undecided", "math-verify", reason)

    def _take(self) -> _Process:
        with self._lock:
            if self._closed:
                raise CordError("verify: this verifier was closed")
            while self._idle:
                process = self._idle.pop()
                if process.is_alive():
                    return process
                process.kill()
        return _Process(self.memory_limit_mb)

    def _give_back(self, process: _Process) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(process)
                return
        process.kill()

    def close(self) -> None:
        """End the processes; those at work end with the answer they are at."""
        with self._lock:
            self._closed = True
            idle = list(self._idle)
            self._idle.clear()
        for process in idle:
            process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _first(verdicts: Sequence[Verdict]) -> Verdict:
    """One that agrees is enough; it is wrong only against each."""
    for outcome in ("correct", "undecided"):
        for verdict in verdicts:
            if verdict.outcome == outcome:
                return verdict
    return verdicts[-1]


class _Process:
    """One `cord.verification.worker`. Used by one thread at a time."""

    def __init__(self, memory_limit_mb: int) -> None:
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        # -P: no file of the working folder may pass for a module. A session of its own: Ctrl-C is
        # for the parent, which then decides.
        self._popen = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "cord.verification.worker", str(memory_limit_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        self._unread = b""
        self._selector = selectors.DefaultSelector()
        assert self._popen.stdout is not None
        self._selector.register(self._popen.stdout, selectors.EVENT_READ)
        try:
            self._read_reply(time.monotonic() + START_LIMIT_S)
        except (TimeoutError, EOFError, OSError, ValueError):
            status = self.kill()
            raise CordError(
                f"verify: the judge's process did not start (exit status {status}); "
                f"`python -m cord.verification.worker {memory_limit_mb}` shows why"
            ) from None
        except BaseException:
            self.kill()
            raise

    def ask(self, request: dict[str, Any], time_limit_s: float) -> dict[str, Any]:
        """Raises TimeoutError, EOFError (it died), OSError (it had died) or ValueError."""
        deadline = time.monotonic() + time_limit_s
        assert self._popen.stdin is not None
        # It is waiting for a line, so that even one longer than the pipe is taken at once.
        self._popen.stdin.write(json.dumps(request).encode() + b"\n")
        return self._read_reply(deadline)

    def _read_reply(self, deadline: float) -> dict[str, Any]:
        assert self._popen.stdout is not None
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                raise TimeoutError
            received = os.read(self._popen.stdout.fileno(), 65536)
            if not received:
                raise EOFError
            self._unread += received
        line, _, self._unread = self._unread.partition(b"\n")
        reply = json.loads(line)
        if not isinstance(reply, dict):
            raise ValueError("not an object")
        return reply

    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def kill(self) -> int:
        """End it now; its exit status. Negative is the signal that ended it."""
        self._popen.kill()
        status = self._popen.wait()
        self._selector.close()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                pipe.close()
        return status
