"""Estimates, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from cord.estimate import PilotProblem, asked_of, from_paper, from_pilot
from cord.recipe import Recipe, SearchSettings


def recipe(model: str = "Qwen/QwQ-32B", **search: Any) -> Recipe:
    served = {"url": "http://gpu:8000/v1"} if not model.startswith("cord:") else {}
    teachers = [{"name": name, "model": model, **served} for name in ("a", "b", "c")]
    return Recipe.model_validate(
        {
            "name": "r",
            "problems": {"path": "p.jsonl"},
            "teachers": teachers,
            "meta_prover": "a",
            "search": search,
        }
    )


def asked(**search: Any) -> tuple[float, float, float, float]:
    found = asked_of(SearchSettings(**search), 3)
    return found.proposals, found.sampled, found.read, found.scored


def test_a_beam_of_four_with_three_teachers() -> None:
    """3 + 24 * 12 proposals of 200 tokens; 250 and, from the second round on, 12.5 steps before."""
    proposals = 3 + 24 * 12
    read = 3 * 250 + 288 * (250 + 12.5 * 200)
    scored = read + proposals * (200 + 16) + 250 + 16
    assert asked() == (proposals, proposals * 200, read, scored)


def test_the_other_ways_to_search() -> None:
    assert asked(strategy="greedy")[:2] == (25 * 3, 25 * 3 * 200)
    assert asked(strategy="mcts", max_steps=10, width=2)[0] == 3 * 20
    assert asked(strategy="curation") == (12, 12 * 5000, 12 * 250, 12 * 5266)
    merged = asked(strategy="integration")
    assert merged[:2] == (13, 13 * 5000)
    assert merged[2] == 12 * 250 + 250 + 12 * 5000, "the integrator reads them all"


def test_caps_make_it_shorter() -> None:
    assert asked(max_steps=2, max_step_tokens=50)[:2] == (3 + 12, 15 * 50)
    assert asked(max_tokens=600)[0] == 3 + 2 * 12, "three steps of 200"
    assert asked(max_problem_tokens=6000)[0] == 3 + 3 * 12, "the round under way still ends"
    assert asked(strategy="greedy", max_problem_tokens=6000)[0] == 10 * 3, "it begins again"


def test_gpu_time_is_the_papers_and_follows_the_tokens() -> None:
    whole = from_paper(recipe(), 817)
    assert whole.gpu_hours is not None
    assert whole.gpu_hours.value == pytest.approx(817 * 288.7 * 4 / 3600)
    half = from_paper(recipe(width=2), 817)
    assert half.gpu_hours is not None
    ratio = (3 + 24 * 6) / (3 + 24 * 12)
    assert half.gpu_hours.value == pytest.approx(ratio * whole.gpu_hours.value)
    curated = from_paper(recipe(strategy="curation", width=8), 1)
    assert curated.gpu_hours is not None
    assert curated.gpu_hours.value == pytest.approx(2 * 168.3 * 4 / 3600), "at twice the budget"


def test_what_is_asked_of_each_teacher_adds_up() -> None:
    found = from_paper(recipe(), 10)
    assert found.sampled.value == 10 * 291 * 200
    assert sum(work.sampled.value for work in found.teachers.values()) == pytest.approx(582_000)
    assert found.scorer is not None and found.scorer.requests.value == 10 * 292
    assert from_paper(recipe(criterion="random"), 10).scorer is None
    text = 10 * (291 * 200 + 4 * 5000) * 4 * 0.45
    assert found.storage_bytes.value == pytest.approx(text + 10 * 291 * 120)


def test_models_in_this_process_take_no_gpu() -> None:
    found = from_paper(recipe("cord:ada"), 10)
    assert found.gpu_hours is None
    assert any("cord's own process" in said for said in found.assumptions)


def flown(tokens: int, cached: int | None = 5) -> PilotProblem:
    by = {"a": tokens, "b": 10}
    return PilotProblem({"a": 1, "b": 1}, by, {"a": 7, "b": 7}, {"a": cached, "b": 1}, 2, 40, 100)


def test_a_pilot_is_its_mean_a_problem_times_all() -> None:
    found = from_pilot(recipe(), [flown(90), flown(110)], 50, seconds=4.0, gpus=2)
    assert found.teachers["a"].sampled.value == 50 * 100
    assert found.sampled.value == 50 * 110
    assert (found.sampled.low, found.sampled.high) == (50 * 100, 50 * 120), "of two, the extremes"
    assert found.teachers["c"].sampled.value == 0
    assert found.scorer is not None and found.scorer.requests.value == 50 * 3
    assert found.seconds == 100.0
    assert found.gpu_hours is not None and found.gpu_hours.value == pytest.approx(200 / 3600)
    assert found.storage_bytes.value == 5000


def test_what_a_pilot_does_not_know_it_does_not_say() -> None:
    found = from_pilot(recipe(), [flown(90), flown(90, cached=None)], 50, seconds=4.0, gpus=None)
    assert found.teachers["a"].cached is None
    assert found.gpu_hours is None
