"""The models of a recipe, opened: teachers at their seats, the meta-prover, the criterion.

Two entries that name the same model share one engine (homogeneous teachers, or a teacher that is
also the meta-prover), and so do all shards of a process: a model is loaded once, and a server that
cord serves itself is started once.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cord.engines import Engine, EngineInfo
from cord.engines.managed.serving import Serving, serving_of
from cord.engines.metering import AskedBy, MeteredEngine
from cord.engines.seats import SeatedEngine, Seats, shared_seats
from cord.engines.vllm.availability import Patience
from cord.engines.wrapped import WrappedEngine
from cord.errors import EngineError
from cord.plan import META_PROVER
from cord.recipe import Model, Recipe, find_beside
from cord.scoring import Criterion
from cord.scoring.predictive import PredictivePerplexity
from cord.scoring.simple import MaxLength, RandomChoice
from cord.search import Seat

if TYPE_CHECKING:
    from cord.engines.managed.engine import ManagedVllmEngine
    from cord.engines.vllm.metrics import MeteredServer

_engines: dict[tuple[object, ...], Engine] = {}
_lock = threading.Lock()


def open_engine(model: Model, instructions: str, folder: Path, patience: Patience) -> Engine:
    """The engine of a recipe's model, shared within this process. Nothing is contacted yet.

    A local model folder is looked for in `folder`, then in the working folder. `patience` is for
    servers."""
    place: str | Serving = model.model
    if model.kind == "embedded":
        place = find_beside(model.model, folder)
    elif model.managed:
        place = serving_of(model, folder)
    key = (
        *(model.kind, place, model.url, model.api_key_env, model.context),
        *(instructions, patience),
    )
    with _lock:
        if key not in _engines:
            _engines[key] = _open(model, place, instructions, patience)
        engine = _engines[key]
    if isinstance(engine, SeatedEngine):
        engine.seats.widen(model.seats)  # of several entries the largest number counts
    return engine


def _open(model: Model, place: str | Serving, instructions: str, patience: Patience) -> Engine:
    # Imported here: torch takes seconds, and a recipe of vLLM teachers never needs it.
    if isinstance(place, Serving):
        from cord.engines.managed.engine import ManagedVllmEngine

        managed = ManagedVllmEngine(
            place, instructions=instructions, patience=patience, connections=_connections(model)
        )
        return SeatedEngine(MeteredEngine(managed, place.title), Seats(model.seats))
    if model.kind == "embedded":
        from cord.engines.embedded.engine import open_embedded

        return MeteredEngine(open_embedded(place, instructions=instructions), model.model)
    from cord.engines.endpoint.engine import OpenAIEngine
    from cord.engines.vllm.engine import VllmEngine

    assert model.url is not None  # a vLLM model without one is managed, an endpoint has one
    at, key = (model.url, model.model), model.api_key_env
    engine: Engine
    if model.kind == "openai":
        engine = OpenAIEngine(*at, key, instructions, model.context, patience)
    else:
        engine = VllmEngine(*at, key, instructions, patience, _connections(model))
    metered = MeteredEngine(engine, f"{model.model} on {model.url}")
    return SeatedEngine(metered, shared_seats(model.url.rstrip("/"), model.seats))


def _connections(model: Model) -> int:
    """A seat's scoring may be several requests at once, so never fewer than a few hundred."""
    return max(256, model.seats)


@dataclass(frozen=True)
class Ensemble:
    """Everything that decoding needs of the models."""

    teachers: tuple[Seat, ...]
    meta_prover: Engine
    criterion: Criterion

    async def start(self) -> None:
        """Start the servers that cord serves itself, all at once, and try what they can do.

        Raises `EngineError` when one does not start, or when the meta-prover cannot score."""
        engines = [*(seat.engine for seat in self.teachers), self.meta_prover]
        if managed := {m for m in map(_managed, engines) if m is not None}:
            await asyncio.gather(*(engine.start() for engine in managed))
            await self.describe()

    def metered_servers(self) -> tuple[MeteredServer, ...]:
        """The vLLM servers behind it, each once."""
        from cord.engines.vllm.engine import VllmEngine

        engines = {_innermost(e) for e in (*(s.engine for s in self.teachers), self.meta_prover)}
        servers = [e.metered_server for e in engines if isinstance(e, VllmEngine)]
        return tuple({server.name: server for server in servers}.values())

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
                f"meta_prover {scorer.model}: it gives no log-probabilities, so it can be a "
                "teacher but cannot score; name a model on a vLLM server, or an embedded one"
            )
        return infos


def _managed(engine: Engine) -> ManagedVllmEngine | None:
    from cord.engines.managed.engine import ManagedVllmEngine

    inner = _innermost(engine)
    return inner if isinstance(inner, ManagedVllmEngine) else None


def _innermost(engine: Engine) -> Engine:
    while isinstance(engine, WrappedEngine):
        engine = engine.engine
    return engine


def open_ensemble(recipe: Recipe, folder: Path) -> Ensemble:
    """Open a recipe's models. Raises `EngineError` for a local model that is not there."""
    words, patience = recipe.search.worded, Patience(total_s=recipe.run.patience_s)
    teachers = tuple(
        Seat(
            t.name, AskedBy(open_engine(t, words, folder, patience), t.name), t.temperature, t.top_p
        )
        for t in recipe.teachers
    )
    scorer = open_engine(recipe.meta_prover_model, words, folder, patience)
    meta_prover = AskedBy(scorer, META_PROVER)
    criterion: Criterion
    if recipe.search.criterion == "random":
        criterion = RandomChoice()
    elif recipe.search.criterion == "max-length":
        criterion = MaxLength(recipe.search.max_step_tokens)
    else:
        criterion = PredictivePerplexity(meta_prover)
    return Ensemble(teachers, meta_prover, criterion)
