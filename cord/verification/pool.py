"""Judging in processes, each with a hard limit of time and memory.

math-verify hands model output to a computer algebra system, so one hostile answer (`9^9^9^9`) can
run for ever inside C, where neither a signal handler nor a thread can stop it. Only a process can
be killed: an answer that meets its limit costs that limit and one process start, and nothing else.
Programs run confined, each in a process of its own (`cord.verification.code`).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, get_args

from cord.errors import CordError
from cord.prompts import THINK_CLOSE
from cord.types import Domain, Verdict
from cord.verification import choice, code, math, numeric, span, tatqa
from cord.verification.answer_judge import AnswerJudge
from cord.verification.process import JudgingProcess
from cord.verification.rules import USUAL, Rules

DOMAINS: tuple[Domain, ...] = get_args(Domain)
_READ_HERE: dict[str, Callable[[str | None, str, Rules], Verdict]] = {
    "numeric": numeric.judge,
    "choice": choice.judge,
    "yes-no-maybe": choice.judge_yes_no_maybe,
    "span": span.judge,
    "tatqa": tatqa.judge,
}
"""Domains whose judge takes no mathematics, and so no process."""
OF_THE_TEXT = ("code", "judge")
"""Domains that read more of a response than the answer it states."""
TRIES = 2
"""Processes that may die over one answer before it is held against it: one may have been killed by
somebody else."""


class Verifier:
    """Judges answers, up to `workers` at once; safe to use from any number of threads.

    A process is started when a question first needs it, and replaced when it was killed. Close it
    (or use `with`) to end the processes; they also end by themselves when this process is gone.
    """

    def __init__(
        self,
        time_limit_s: float = 5.0,
        workers: int = 2,
        memory_limit_mb: int = 2048,
        rules: Rules = USUAL,
        answer_judge: AnswerJudge | None = None,
    ) -> None:
        self.time_limit_s = time_limit_s
        self.memory_limit_mb = memory_limit_mb
        self.rules = rules
        self.answer_judge = answer_judge
        self._seats = threading.Semaphore(workers)
        self._lock = threading.Lock()
        self._idle: deque[JudgingProcess] = deque()
        self._closed = False

    def verify(
        self, domain: str, response: str, reference: str | Sequence[str], question: str = ""
    ) -> Verdict:
        """Judge `response` against one reference, or several spellings of it: one that agrees is
        enough, and it is wrong only if it is wrong against each. `question` is for the judge.

        Raises `CordError` for a domain that does not exist, or when the judge cannot be started.
        """
        if domain not in DOMAINS:
            raise CordError(
                f"verify: there is no domain {domain!r}; there is: {', '.join(DOMAINS)}"
            )
        references = [reference] if isinstance(reference, str) else list(reference)
        if domain in OF_THE_TEXT:
            return self._judge_text(domain, response, references or [""], question)
        return self.judge(domain, math.find_answer(response), references)

    def judge(self, domain: str, answer: str | None, references: Sequence[str]) -> Verdict:
        """Judge a stated answer, as `verify`, in the domains that need no more of a response."""
        verdict, costly = self._at_once(domain, answer, references)
        if verdict is not None and (verdict.outcome == "correct" or not costly):
            return verdict
        verdicts = [] if verdict is None else [verdict]
        for text in costly:
            verdicts.append(self._calculate(answer or "", text))
            if verdicts[-1].outcome == "correct":
                return verdicts[-1]
        return _first(verdicts)

    def judge_at_once(
        self, domain: str, answer: str | None, references: Sequence[str]
    ) -> Verdict | None:
        """The same where it takes no process and some microseconds; None where it takes one."""
        verdict, costly = self._at_once(domain, answer, references)
        return None if costly else verdict

    def _at_once(
        self, domain: str, answer: str | None, references: Sequence[str]
    ) -> tuple[Verdict | None, list[str]]:
        """The verdict so far, and the references that need a process; none once it is correct."""
        read, costly = _READ_HERE.get(domain), []
        verdicts: list[Verdict] = []
        for text in references or [""]:
            if read is not None:
                verdict: Verdict | None = read(answer, text, self.rules)
            else:
                text = math.reference_answer(text)
                verdict = math.judge_at_once(answer, text)
            if verdict is None:
                costly.append(text)
            elif verdict.outcome == "correct":
                return verdict, []
            else:
                verdicts.append(verdict)
        return (_first(verdicts) if verdicts else None), costly

    def _judge_text(
        self, domain: str, response: str, references: Sequence[str], question: str
    ) -> Verdict:
        if domain == "code":
            with self._seats:
                return _first(
                    [
                        code.judge(response, tests, self.time_limit_s, self.rules.program_memory_mb)
                        for tests in references
                    ]
                )
        if self.answer_judge is None:
            return NO_JUDGE
        closing = response.rpartition(THINK_CLOSE)[2]
        return asyncio.run(self.answer_judge.judge(question, closing, references))

    def _calculate(self, answer: str, reference: str) -> Verdict:
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

    def _take(self) -> JudgingProcess:
        with self._lock:
            if self._closed:
                raise CordError("verify: this verifier was closed")
            while self._idle:
                process = self._idle.pop()
                if process.is_alive():
                    return process
                process.kill()
        return JudgingProcess(self.memory_limit_mb)

    def _give_back(self, process: JudgingProcess) -> None:
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


NO_JUDGE = Verdict(
    "undecided",
    "none",
    "no model judges open answers here; name one in the recipe: verify: {judge: {model: ...}}",
)


def _first(verdicts: Sequence[Verdict]) -> Verdict:
    """One that agrees is enough; it is wrong only against each."""
    for outcome in ("correct", "undecided"):
        for verdict in verdicts:
            if verdict.outcome == outcome:
                return verdict
    return verdicts[-1]
