"""The models of a recipe, opened and put to work: who is asked, and under whose name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from random_models import write_random_reward_model

from cord.engines.metering import ASKERS
from cord.ensemble import Ensemble, open_ensemble
from cord.miniature.problems import distinct
from cord.recipe import Recipe
from cord.scheduler import decode_problems
from cord.types import Decoding, Problem

PROBLEMS = [Problem(f"p{i}", c.question, c.answer) for i, c in enumerate(distinct("demo", 2, 5))]


def recipe(search: dict[str, Any], **models: Any) -> Recipe:
    content = {
        "name": "r",
        "problems": {"path": "p.jsonl"},
        "teachers": [{"name": n, "model": f"cord:{n}"} for n in ("ada", "ben")],
        "meta_prover": {"model": "cord:meta"},
        "search": {"width": 1, "max_steps": 3, "max_step_tokens": 32, "max_tokens": 200, **search},
    }
    return Recipe.model_validate({**content, **models})


async def decoded(made: Recipe, ensemble: Ensemble) -> list[Decoding]:
    ended = decode_problems(
        *(PROBLEMS, ensemble.teachers, ensemble.criterion, made.search, 7, 2),
        integrator=ensemble.integrator,
    )
    done = [one async for one in ended]
    assert all(isinstance(one, Decoding) for one in done)
    ended_ones = [one for one in done if isinstance(one, Decoding)]
    # They come as they end, and which of two ends first is the machine's affair.
    return sorted(ended_ones, key=lambda one: one.problem.id)


def asked(name: str) -> int:
    return ASKERS.of(name).read().requests


@pytest.mark.parametrize(
    ("criterion", "role"), [("binary", "judge"), ("process-reward", "reward-model")]
)
async def test_whoever_scores_is_asked_under_its_name_and_the_meta_prover_is_not(
    criterion: str, role: str, tmp_path: Path
) -> None:
    write_random_reward_model(tmp_path / "prm")
    made = recipe({"criterion": criterion}, reward_model={"model": "prm", "engine": "embedded"})
    ensemble = open_ensemble(made, tmp_path)
    await ensemble.start()
    assert list(await ensemble.describe()) == ["ada", "ben", "meta-prover", role]
    before = asked(role), asked("meta-prover")
    done = await decoded(made, ensemble)
    candidates = [c for one in done for decided in one.rounds for c in decided.candidates]
    assert asked(role) - before[0] == len(candidates) > 0
    assert asked("meta-prover") == before[1]
    assert len({c.step.score for c in candidates}) > 1
    assert [one.trajectories for one in await decoded(made, ensemble)] == [
        one.trajectories for one in done
    ], "the same seeds, the same trajectories"


async def test_an_integrator_that_is_a_teacher_shares_its_model_and_not_its_name(
    tmp_path: Path,
) -> None:
    made = recipe({"strategy": "integration"}, integrator="ada")
    ensemble = open_ensemble(made, tmp_path)
    assert list(await ensemble.describe()) == ["ada", "ben", "meta-prover", "integrator"]
    assert ensemble.integrator is not None
    inner = [seat.engine.engine for seat in (ensemble.teachers[0], ensemble.integrator)]  # type: ignore[attr-defined]
    assert inner[0] is inner[1]
    before = asked("integrator")
    for one in await decoded(made, ensemble):
        assert [cost.proposals for cost in one.costs.values()] == [1, 1, 1]
        assert list(one.costs) == ["ada", "ben", "integrator"]
    assert asked("integrator") - before == len(PROBLEMS)
