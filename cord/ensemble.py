"""The models of a recipe, opened: teachers at their seats, the meta-prover, the criterion.

Two entries that name the same model share one engine (homogeneous teachers, or a teacher that is
also the meta-prover), and so do all shards of a process: a model is loaded once.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path

from cord.engines import Engine, EngineInfo
from cord.engines.seats import SeatedEngine, shared_seats
from cord.errors import EngineError
from cord.plan import META_PROVER
from cord.recipe import Model, Recipe, find_beside
from cord.scoring import Criterion
from cord.scoring.predictive import PredictivePerplexity
from cord.scoring.simple import MaxLength, RandomChoice
from cord.search import Seat

_engines: dict[tuple[str, ...], Engine] = {}
_lock = threading.Lock()


def open_engine(model: Model, instructions: str, folder: Path) -> Engine:
    """The engine of a recipe's model, shared within this process. Nothing is contacted yet.

    A local model folder is looked for in `folder`, then in the working folder."""
    place = model.model
    if model.kind == "embedded":
        place = find_beside(place, folder)
    serve = "" if model.serve is None else model.serve.model_dump_json()
    key = (model.kind, place, model.url or "", model.api_key_env or "", serve, instructions)
    with _lock:
        if key not in _engines:
            _engines[key] = _open(model, place, instructions)
        engine = _engines[key]
    if isinstance(engine, SeatedEngine):
        engine.seats.widen(model.seats)  # of several entries the largest number counts
    return engine


def _open(model: Model, place: str, instructions: str) -> Engine:
    # Imported here: torch takes seconds, and a recipe of vLLM teachers never needs it.
    if model.kind == "embedded":
        from cord.engines.embedded import open_embedded

        return open_embedded(place, instructions=instructions)
    from cord.engines.vllm import VllmEngine

    if model.url is None or model.kind == "openai":
        raise EngineError(f"model {model.model!r}: this kind of engine is still to come")
    engine = VllmEngine(
        model.url, model.model, api_key_env=model.api_key_env, instructions=instructions
    )
    return SeatedEngine(engine, shared_seats(model.url.rstrip("/"), model.seats))


@dataclass(frozen=True)
class Ensemble:
    """Everything that decoding needs of the models."""

    teachers: tuple[Seat, ...]
    meta_prover: Engine
    criterion: Criterion

    async def describe(self) -> dict[str, EngineInfo]:
        """What each engine says of itself: teachers by name, the meta-prover as `META_PROVER`.

        Raises `EngineError` when one is away, or when the meta-prover cannot score."""
        named = [(seat.name, seat.engine) for seat in self.teachers]
        named.append((META_PROVER, self.meta_prover))
        infos = dict(
            zip(
                (name for name, _ in named),
                await asyncio.gather(*(engine.describe() for _, engine in named)),
                strict=True,
            )
        )
        scorer = infos[META_PROVER]
        if isinstance(self.criterion, PredictivePerplexity) and not scorer.scores:
            raise EngineError(
                f"meta_prover {scorer.model}: it returns no log-probabilities, so it cannot score; "
                "name a model on a vLLM server, or an embedded one"
            )
        return infos


def open_ensemble(recipe: Recipe, folder: Path) -> Ensemble:
    """Open a recipe's models. Raises `EngineError` for a local model that is not there."""
    words = recipe.search.instructions
    teachers = tuple(
        Seat(t.name, open_engine(t, words, folder), t.temperature, t.top_p) for t in recipe.teachers
    )
    meta_prover = open_engine(recipe.meta_prover_model, words, folder)
    criterion: Criterion
    if recipe.search.criterion == "random":
        criterion = RandomChoice()
    elif recipe.search.criterion == "max-length":
        criterion = MaxLength(recipe.search.max_step_tokens)
    else:
        criterion = PredictivePerplexity(meta_prover)
    return Ensemble(teachers, meta_prover, criterion)
