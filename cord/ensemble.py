"""The models of a recipe, opened: teachers at their seats, whoever scores, the integrator.

Two entries that name the same model share one engine (homogeneous teachers, or a teacher that is
also the meta-prover), and so do all shards of a process: a model is loaded once, and a server that
cord serves itself is started once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cord.engines import Engine, EngineInfo
from cord.engines.managed.bringing import BringsItsServer
from cord.engines.managed.serving import Serving, serving_of
from cord.engines.metering import AskedBy, MeteredEngine
from cord.engines.rewarding import RewardEngine, WorkingRewardEngine
from cord.engines.seats import SeatedEngine, Seats, shared_seats
from cord.engines.vllm.availability import Patience
from cord.engines.wrapped import WrappedEngine
from cord.errors import EngineError
from cord.prompts import merging_instructions
from cord.recipe import Model, Recipe, find_beside
from cord.recipe.roles import ANSWER_JUDGE, INTEGRATOR, JUDGE, META_PROVER, REWARD_MODEL
from cord.scoring import Criterion
from cord.scoring.binary import BinaryJudgement
from cord.scoring.predictive import PredictivePerplexity
from cord.scoring.process_reward import ProcessReward
from cord.scoring.simple import MaxLength, RandomChoice
from cord.search import Seat

if TYPE_CHECKING:
    from cord.engines.vllm.metrics import MeteredServer

T = TypeVar("T")
_opened: dict[Hashable, object] = {}
_lock = threading.Lock()


def open_engine(model: Model, instructions: str, folder: Path, patience: Patience) -> Engine:
    """The engine of a recipe's model, shared within this process. Nothing is contacted yet.

    A local model folder is looked for in `folder`, then in the working folder. `patience` is for
    servers."""
    place = _place(model, folder)
    key = (*_named(model, place), instructions, patience)
    with _lock:
        if key not in _opened:
            _opened[key] = _open(model, place, instructions, patience)
        engine = _opened[key]
    assert isinstance(engine, WrappedEngine)
    if isinstance(engine, SeatedEngine):
        engine.seats.widen(model.seats)  # of several entries the largest number counts
    return engine


def open_reward_engine(model: Model, folder: Path, patience: Patience) -> RewardEngine:
    """The reward model of a recipe, shared and looked for as `open_engine` does."""
    place = _place(model, folder, pooling=True)
    key = (REWARD_MODEL, *_named(model, place), patience)
    with _lock:
        if key not in _opened:
            _opened[key] = _open_reward(model, place, patience)
        engine = _opened[key]
    assert isinstance(engine, WorkingRewardEngine)
    if engine.seats is not None:
        engine.seats.widen(model.seats)
    return engine


def _place(model: Model, folder: Path, pooling: bool = False) -> str | Serving:
    if model.kind == "embedded":
        return find_beside(model.model, folder)
    return serving_of(model, folder, pooling) if model.managed else model.model


def _named(model: Model, place: str | Serving) -> tuple[Hashable, ...]:
    return model.kind, place, model.url, model.api_key_env, model.context


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
    metered = MeteredEngine(engine, _titled(model))
    return SeatedEngine(metered, shared_seats(model.url.rstrip("/"), model.seats))


def _open_reward(model: Model, place: str | Serving, patience: Patience) -> RewardEngine:
    if isinstance(place, Serving):
        from cord.engines.managed.reward_engine import ManagedVllmRewardEngine

        managed = ManagedVllmRewardEngine(place, patience=patience, connections=_connections(model))
        return WorkingRewardEngine(managed, place.title, REWARD_MODEL, Seats(model.seats))
    if model.kind == "embedded":
        from cord.engines.embedded.reward_engine import open_embedded_reward

        return WorkingRewardEngine(open_embedded_reward(place), model.model, REWARD_MODEL)
    from cord.engines.vllm.reward_engine import VllmRewardEngine

    assert model.url is not None
    engine = VllmRewardEngine(
        model.url, model.model, model.api_key_env, patience, _connections(model)
    )
    seats = shared_seats(model.url.rstrip("/"), model.seats)
    return WorkingRewardEngine(engine, _titled(model), REWARD_MODEL, seats)


def _titled(model: Model) -> str:
    return f"{model.model} on {model.url}"


def _connections(model: Model) -> int:
    """A seat's scoring may be several requests at once, so never fewer than a few hundred."""
    return max(256, model.seats)


@dataclass(frozen=True)
class Ensemble:
    """Everything that decoding needs of the models."""

    teachers: tuple[Seat, ...]
    meta_prover: Engine
    criterion: Criterion
    judge: Engine | None = None
    """Where the criterion asks one."""
    reward_model: RewardEngine | None = None
    """Where the criterion asks one."""
    integrator: Seat | None = None
    """Where whole trajectories are merged."""
    answer_judge: Engine | None = None
    """Where a model judges open answers."""

    async def start(self) -> None:
        """Start the servers that cord serves itself, all at once, and try what they can do.

        Raises `EngineError` when one does not start, or when whoever scores cannot."""
        inner = {_innermost(engine) for engine in self._models.values()}
        if managed := [engine for engine in inner if isinstance(engine, BringsItsServer)]:
            await asyncio.gather(*(engine.start() for engine in managed))
            await self.describe()

    def metered_servers(self) -> tuple[MeteredServer, ...]:
        """The vLLM servers behind it, each once."""
        from cord.engines.vllm.model import VllmModel

        inner = {_innermost(engine) for engine in self._models.values()}
        servers = [e.metered_server for e in inner if isinstance(e, VllmModel)]
        return tuple({server.name: server for server in servers}.values())

    async def describe(self) -> dict[str, EngineInfo]:
        """What each engine says of itself: teachers by name, the others by `cord.recipe.roles`.

        Raises `EngineError` when one is away, or when whoever scores cannot."""
        models = self._models
        told = await asyncio.gather(*(engine.describe() for engine in models.values()))
        infos = dict(zip(models, told, strict=True))
        if isinstance(self.criterion, PredictivePerplexity):
            _require_scores("meta_prover", infos[META_PROVER])
        if self.judge is not None:
            _require_scores("judge", infos[JUDGE])
        return infos

    @property
    def writers(self) -> dict[str, Engine]:
        """Those that read the question as a chat of their own, and write or score behind it."""
        found = {seat.name: seat.engine for seat in self.teachers}
        found[META_PROVER] = self.meta_prover
        if self.judge is not None:
            found[JUDGE] = self.judge
        if self.integrator is not None:
            found[INTEGRATOR] = self.integrator.engine
        if self.answer_judge is not None:
            found[ANSWER_JUDGE] = self.answer_judge
        return found

    @property
    def _models(self) -> Mapping[str, Engine | RewardEngine]:
        if self.reward_model is None:
            return self.writers
        return {**self.writers, REWARD_MODEL: self.reward_model}


def _require_scores(key: str, scorer: EngineInfo) -> None:
    if not scorer.scores:
        raise EngineError(
            f"{key} {scorer.model}: it gives no log-probabilities, so it can be a teacher but "
            "cannot score; name a model on a vLLM server, or an embedded one"
        )


def _innermost(engine: Engine | RewardEngine) -> Engine | RewardEngine:
    while isinstance(engine, WrappedEngine | WorkingRewardEngine):
        engine = engine.engine
    return engine


def open_ensemble(recipe: Recipe, folder: Path) -> Ensemble:
    """Open a recipe's models. Raises `EngineError` for a local model that is not there."""
    words, patience = recipe.search.worded, Patience(total_s=recipe.run.patience_s)

    def opened(model: Model, name: str) -> Engine:
        return AskedBy(open_engine(model, words, folder, patience), name)

    teachers = tuple(
        Seat(t.name, opened(t, t.name), t.temperature, t.top_p) for t in recipe.teachers
    )
    roles = recipe.roles
    meta_prover = opened(recipe.meta_prover_model, META_PROVER)
    judge = opened(roles[JUDGE], JUDGE) if JUDGE in roles else None
    answer_judge = opened(roles[ANSWER_JUDGE], ANSWER_JUDGE) if ANSWER_JUDGE in roles else None
    reward_model = (
        open_reward_engine(roles[REWARD_MODEL], folder, patience) if REWARD_MODEL in roles else None
    )
    integrator = None
    if (writer := recipe.integrator_writer) is not None:
        integrator = Seat(
            INTEGRATOR,
            opened(writer, INTEGRATOR),
            writer.temperature,
            writer.top_p,
            merging_instructions(words),
        )
    criterion: Criterion
    if judge is not None:
        criterion = BinaryJudgement(judge)
    elif reward_model is not None:
        criterion = ProcessReward(reward_model)
    elif recipe.search.criterion == "random":
        criterion = RandomChoice()
    elif recipe.search.criterion == "max-length":
        criterion = MaxLength(recipe.search.max_step_tokens)
    else:
        criterion = PredictivePerplexity(meta_prover)
    return Ensemble(teachers, meta_prover, criterion, judge, reward_model, integrator, answer_judge)
