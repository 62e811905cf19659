"""How one vLLM server is best asked for log p(answer | context): found by trying.

What a server can do depends on its version and its flags, and nothing it says of itself can be
relied on. So the ways (`scoring_ways`) are tried, the fastest first, on a short real prompt with an
answer of several tokens that no model would give, and the first whose values agree with the plain
way's is used from then on. A server that answers with processed log-probabilities (all of a forced
token's probability is then its own) or that ignores what it does not know is so found out.

Every answer is checked again: a server that was started anew without the processor decodes other
tokens than those asked for. It is then probed once more, and the request repeated in a way that
works. No number of a wrong token is ever used.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from cord.engines.vllm.scoring_ways import PLAIN, WAYS, ScoringWay, WayLost
from cord.engines.vllm.server import VllmServer
from cord.engines.vllm.tokens import Ids, VllmTokenizer
from cord.errors import EngineError, EngineUnreachable
from cord.prompts import ANSWER_PROBE

_log = logging.getLogger(__name__)

_QUESTION = "1+1="
_ANSWERS = ("71942603", "850")
"""Several tokens in any vocabulary, and improbable: their log-probabilities are far from 0."""
_SLACK, _SHARE = 0.2, 0.05
"""Mean difference from the plain way, in nats and as a share of the values' mean: what a bf16
server may differ between reading a token in a prompt and decoding it. Processed log-probabilities
differ by the values themselves."""
_FAILURES = 3
"""Requests that a way fails at, though it passes its probe, before it is given up."""


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """The outcome of one probe; another probe's is another object."""

    name: str


class _Abandoned(Exception):
    """Whoever probed was cancelled."""


class Scoring:
    """Reads log-probabilities of one server in the best way it has. Safe from several event loops
    and threads: they share one probe."""

    def __init__(
        self,
        server: VllmServer,
        tokenizer: VllmTokenizer,
        ways: Mapping[str, ScoringWay] = WAYS,
    ) -> None:
        """`ways`: those to try, the fastest first; the plain one is there in any case."""
        self._server = server
        self._tokenizer = tokenizer
        self._ways = {**ways, PLAIN: WAYS[PLAIN]}
        self._probe: Future[_Choice] | None = None
        self._failures = Counter[str]()  # of ways that pass their probe
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The way in use, as `way` gives it; "" where none was found (yet)."""
        with self._lock:
            probe = self._probe
        return probe.result().name if probe is not None and probe.done() else ""

    async def way(self) -> str:
        """The name of the way in use, as `WAYS` has it. Raises `EngineError` where there is none:
        the server cannot score."""
        return (await self._chosen()).name

    async def __call__(self, context: Ids, answers: Sequence[Ids]) -> list[tuple[float, ...]]:
        """Natural-log probabilities of each answer's ids behind `context`. Raises `EngineError`."""
        choice, tried = await self._chosen(), list[str]()
        while tried.count(choice.name) < 2:
            try:
                return await self._ways[choice.name](self._server, context, answers)
            except WayLost as error:
                tried.append(choice.name)
                choice = await self._chosen(choice)
                _log.warning("%s; scoring was by %s, is by %s", error, tried[-1], choice.name)
        with self._lock:
            self._failures[choice.name] += 1
        return await self._ways[PLAIN](self._server, context, answers)

    async def _chosen(self, lost: _Choice | None = None) -> _Choice:
        """The choice in force; probes where there is none, or where it is `lost`."""
        while True:
            with self._lock:
                probe = self._probe
                if mine := probe is None or (probe.done() and probe.result() is lost):
                    probe = self._probe = Future()
                    probe.set_running_or_notify_cancel()  # those who wait cannot cancel it
            assert probe is not None
            if mine:
                return await self._settle(probe)
            try:
                return await asyncio.wrap_future(probe)
            except _Abandoned:
                continue

    async def _settle(self, probe: Future[_Choice]) -> _Choice:
        try:
            choice = _Choice(await self._first_that_works())
        except BaseException as error:
            with self._lock:
                self._probe = None  # the next who asks tries again
            probe.set_exception(error if isinstance(error, EngineError) else _Abandoned())
            raise
        probe.set_result(choice)
        return choice

    async def _first_that_works(self) -> str:
        context = await self._tokenizer.prompt_ids(_QUESTION)  # fails without a chat template
        context += await self._tokenizer.ids(ANSWER_PROBE)
        answers = [await self._tokenizer.ids(answer) for answer in _ANSWERS]
        reference = await self._ways[PLAIN](self._server, context, answers)
        for name, way in self._ways.items():
            if name == PLAIN or self._failures[name] >= _FAILURES:
                continue
            try:
                ask = partial(way, self._server, context, answers)
                if _agree(await self._server.insist(ask), reference):
                    return name
            except EngineUnreachable:
                raise
            except EngineError:
                continue
        return PLAIN


def _agree(values: Sequence[tuple[float, ...]], reference: Sequence[tuple[float, ...]]) -> bool:
    """They are the same log-probabilities but for rounding."""
    pairs = [
        (value, expected)
        for ours, theirs in zip(values, reference, strict=True)
        for value, expected in zip(ours, theirs, strict=True)
    ]
    difference = sum(abs(value - expected) for value, expected in pairs) / len(pairs)
    size = sum(abs(expected) for _, expected in pairs) / len(pairs)
    return difference <= _SLACK + _SHARE * size
