"""The embedded engine: a transformers model in this process, on a CPU or a GPU.

    request ──ids──> ticket ──┐
    request ──ids──> ticket ──┼─> one worker thread ─> one batch ─> results, each to its caller
    request ──ids──> ticket ──┘

Ids are made in the caller's thread; requests that cannot be run (too long for the context, an
answer without tokens) fail there and never join a batch. Small models run in float64, where the
same request gives the same bytes whatever else is in its batch (`cord.engines.embedded.precision`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import torch
import transformers

from cord.engines import AnswerRequest, EngineInfo, Proposal, ProposalRequest
from cord.engines.embedded.batching import Batcher, Ticket
from cord.engines.embedded.causal_model import CausalModel, Row, portions
from cord.engines.embedded.chat_tokenizer import ChatTokenizer
from cord.engines.embedded.generation import Continuation, Generator
from cord.engines.embedded.precision import computes_exactly, usual_dtype, widen_norms
from cord.engines.embedded.sampling import rounded
from cord.engines.embedded.weights import (
    context_of,
    identity_of,
    load_model,
    model_folder,
    parameters_in,
    read_config,
)
from cord.engines.prefix import prefix_segments
from cord.errors import ContextTooLong, EngineError
from cord.prompts import INSTRUCTIONS
from cord.types import Step

BATCH = 128
"""Most requests in one batch (measured on two cores: a fifth faster than 32; 256 is no faster)."""
THREADS = 2
"""Intra-operation threads of each engine's worker, where torch may use as many (OMP_NUM_THREADS);
results are the same whatever their number."""


def usual_threads() -> int:
    """`THREADS`, or as many as torch may use."""
    return min(THREADS, torch.get_num_threads())


class EmbeddedEngine:
    """One model in this process; implements `cord.engines.Engine`."""

    def __init__(
        self, info: EngineInfo, model: CausalModel, tokenizer: ChatTokenizer, threads: int
    ) -> None:
        self._info = info
        self._tokenizer = tokenizer
        self._scorer = _Scorer(model)
        self._generator = Generator(model, tokenizer, end_ids(model, tokenizer))
        self._batcher = Batcher(
            f"cord engine {info.model}", BATCH, lambda: torch.set_num_threads(threads)
        )

    async def describe(self) -> EngineInfo:
        """Say what model this is."""
        return self._info

    async def propose(self, request: ProposalRequest) -> Proposal:
        """Sample one continuation. Raises `ContextTooLong`, `EngineError`."""
        opening = self._tokenizer.text_ids(request.opening)
        segments = self._segments(request.question, request.steps, request.instructions)
        prefix = Row(segments, opening)
        room = self._room(prefix, "the prompt and the steps so far", 1)
        job = Continuation(
            prefix=prefix,
            stop=request.stop,
            max_tokens=max(1, min(request.max_tokens, room)),
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed,
        )
        begun = time.monotonic()
        written = await asyncio.wrap_future(self._batcher.submit(self._generator.run, job))
        text, ids = self._tokenizer.canonical(
            request.opening + written.text, (*opening, *written.token_ids)
        )
        return Proposal(
            text=text,
            token_ids=ids,
            model=self._info.identity,
            tokens=written.tokens,
            finish=written.finish,
            stopped_at=written.stopped_at,
            prompt_tokens=prefix.length,
            cached_tokens=written.cached_tokens,
            seconds=time.monotonic() - begun,
        )

    async def answer_logprobs(self, request: AnswerRequest) -> Sequence[tuple[float, ...]]:
        """Natural-log probabilities, one value per answer token, for each answer; on the grid of
        `cord.engines.embedded.sampling.GRID`. Raises `ContextTooLong`, `EngineError`."""
        segments = self._segments(request.question, request.thinking)
        probe = self._tokenizer.text_ids(request.probe)
        jobs: list[Row] = []
        for answer in request.answers:
            ids = self._tokenizer.text_ids(answer)
            if not ids:
                raise EngineError("an empty answer cannot be scored; it has no tokens")
            job = Row(segments, probe, ids)
            self._room(job, "the prompt, the steps so far and the answer", 0)
            jobs.append(job)
        futures = [self._batcher.submit(self._scorer.run, job) for job in jobs]
        return list(await asyncio.gather(*map(asyncio.wrap_future, futures)))

    async def prompt_tokens(self, question: str) -> int:
        """How many tokens the prompt of this question takes, the opened thinking included."""
        return len(self._tokenizer.prompt_ids(question))

    async def close(self) -> None:
        """Stop the worker; requests under way fail."""
        await asyncio.to_thread(self._batcher.close)

    def _segments(
        self, question: str, steps: Sequence[Step], instructions: str = ""
    ) -> tuple[tuple[int, ...], ...]:
        tokenizer = self._tokenizer
        prompt = tokenizer.prompt_ids(question, instructions)
        return prefix_segments(prompt, steps, self._info.identity, tokenizer.text_ids)

    def _room(self, row: Row, what: str, needed: int) -> int:
        """Ids that fit behind the row. Raises `ContextTooLong` where `needed` do not."""
        room = self._info.context - row.length
        if room < needed:
            raise ContextTooLong(
                f"{what} take {row.length + needed} tokens, and {self._info.model} has a context "
                f"of {self._info.context}; shorten the problem or lower search.max_tokens"
            )
        return room


class _Scorer:
    """Runs batches of answers on one model."""

    def __init__(self, model: CausalModel) -> None:
        self._model = model

    def run(self, tickets: Sequence[Ticket[Row, tuple[float, ...]]]) -> None:
        """Score all of them, equal ones once, in one forward pass if they fit into it."""
        jobs = list({ticket.job: None for ticket in tickets})
        scores: dict[Row, tuple[float, ...]] = {}
        for part in portions(jobs):
            rows = [jobs[place] for place in part]
            for row, logprobs in zip(rows, self._model.target_logprobs(rows), strict=True):
                scores[row] = tuple(rounded(logprobs).tolist())
        for ticket in tickets:
            ticket.done(scores[ticket.job])


def end_ids(model: CausalModel, tokenizer: ChatTokenizer) -> frozenset[int]:
    """Every id that ends the model's turn."""
    ends = set() if tokenizer.end_id is None else {tokenizer.end_id}
    for config in (model.model.generation_config, model.model.config):
        named = getattr(config, "eos_token_id", None)
        ends.update(named if isinstance(named, list) else [] if named is None else [named])
    return frozenset(ends)


def open_embedded(
    model: str,
    instructions: str = INSTRUCTIONS,
    *,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    threads: int | None = None,
) -> EmbeddedEngine:
    """Load `cord:NAME` or a local folder.

    dtype: by default `usual_dtype`. threads: of the engine's worker, by default `usual_threads`
    (torch keeps this number for the whole process: threads that have not used torch yet inherit
    it). Raises `EngineError`.
    """
    folder = model_folder(model)
    config = read_config(folder)
    tokenizer = ChatTokenizer.from_folder(folder, instructions)
    context = context_of(folder, config)
    dtype = dtype or usual_dtype(parameters_in(folder), device)
    network: Any = load_model(folder, config, dtype)
    network.to(device)
    if dtype == torch.float64:
        widen_norms(network)
    causal = CausalModel(network)
    info = EngineInfo(
        model=model,
        identity=identity_of(folder),
        context=context,
        engine=f"embedded {transformers.__version__}",
        reproducible=computes_exactly(
            network,
            lambda: causal.target_logprobs([Row(((0, 1),), (), (0,)), Row(((1,),), (), (1,))]),
        ),
        scores=True,
    )
    return EmbeddedEngine(info, causal, tokenizer, threads or usual_threads())
