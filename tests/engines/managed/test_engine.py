"""Models on servers that cord starts itself, with a double at the seam of processes."""

import pytest
from doubles.vllm_program import DEADLY
from engines.managed.a_server import QWQ, serving

from cord.engines.managed.engine import ManagedVllmEngine
from cord.engines.vllm.availability import Patience
from cord.errors import EngineRefused
from cord.recipe import SearchSettings
from cord.scheduler import decode_problems
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat
from cord.types import Problem, Quarantined


async def test_what_identifies_a_model_is_told_without_a_start(program):
    started = program("fail")
    engine = ManagedVllmEngine(serving(context=4096))
    info = await engine.describe()
    assert (info.model, info.identity, info.context) == (QWQ, f"vllm:{QWQ}", 4096)
    assert started.starts == []
    with pytest.raises(EngineRefused, match="did not start"):
        await engine.prompt_tokens("1+1?")


async def test_without_a_context_in_the_recipe_the_start_tells(program):
    program("fail")
    with pytest.raises(EngineRefused, match="did not start"):
        await ManagedVllmEngine(serving()).describe()


async def test_a_problem_that_its_server_dies_of_costs_itself_alone(program, monkeypatch):
    program("mortal")
    monkeypatch.setattr("cord.engines.managed.keeper.RESTART_WAITS_S", (0.01,) * 6)
    engine = ManagedVllmEngine(serving(), patience=Patience(60.0, longest_wait_s=0.5))
    questions = {"deadly": DEADLY, **{f"p{n}": f"question {n}" for n in range(4)}}
    ended = decode_problems(
        [Problem(id, question, "0") for id, question in questions.items()],
        [Seat("one", engine, 0.7)], PredictivePerplexity(engine), SearchSettings(width=1), 7, 6,
    )  # fmt: skip
    done = [one async for one in ended]
    (aside,) = (one for one in done if isinstance(one, Quarantined))
    assert aside.problem_id == "deadly" and len(done) == 5
    assert "CUDA out of memory" in aside.reason, "as its log tells"
    await engine.close()
