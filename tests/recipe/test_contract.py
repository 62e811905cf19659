"""The contract as a recipe writes it."""

from __future__ import annotations

import pytest

from cord.engines import EngineInfo
from cord.errors import CordError
from cord.plan import identify
from cord.recipe import ContractSettings, DriftBounds
from cord.recipe_file import parse_recipe
from cord.types import Problem

RECIPE = """
name: r
problems: {path: p.jsonl}
teachers:
  - {name: a, model: "cord:a", temperature: 0.6}
  - {name: b, model: "cord:b", temperature: 0.6}
meta_prover: a
run: {seed: 7, shards: 4}
"""
BEFORE_QUALITY = "f980a65c73911f05f9ec680cb7c03ddde675085a5bd7e8ca2d927982153441b9"
"""The run of this recipe in the days before bounds on quality."""


def contract(written: str) -> ContractSettings:
    return parse_recipe(f"{RECIPE}contract: {written}\n").contract


def run(settings: ContractSettings) -> str:
    recipe = parse_recipe(RECIPE).model_copy(update={"contract": settings})
    engines = {
        name: EngineInfo("m", identity, 4096, "embedded", True, True)
        for name, identity in (("a", "A"), ("b", "B"), ("meta-prover", "A"))
    }
    return identify(recipe, engines, [Problem("p", "q", "1")], []).run


def test_it_is_written_in_one_line() -> None:
    found = contract("{min_correct: 0.7, languages: [en, zh], drift: {score: 0.05}, max_leaks: 0}")
    assert found.languages == ("en", "zh") and found.drift == DriftBounds(score=0.05)
    assert contract("{warn: [score_drift]}").warn == ("score_drift",)


def test_only_expectations_on_quality_can_be_softened() -> None:
    with pytest.raises(CordError, match=r"contract\.warn"):
        contract("{warn: [verified_correct]}")
    with pytest.raises(CordError, match=r"contract\.max_repetition"):
        contract("{max_repetition: 1.5}")


def test_bounds_name_another_run_only_where_they_are_given() -> None:
    assert run(ContractSettings()) == run(contract("{max_outliers: 0.01}")) == BEFORE_QUALITY
    given = ["{languages: [en]}", "{max_repetition: 0.3}", "{drift: {}}", "{warn: [score_drift]}"]
    assert len({BEFORE_QUALITY, *(run(contract(one)) for one in given)}) == 1 + len(given)
