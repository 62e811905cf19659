"""What a recipe says about judging."""

import pytest

from cord.errors import RecipeError
from cord.recipe import Recipe
from cord.recipe_file import parse_recipe
from cord.verification import Rules, rules_of


def recipe(verify: str) -> Recipe:
    return parse_recipe(
        f"""
name: r
problems: {{path: p.jsonl}}
teachers: [{{name: ada, model: "cord:ada"}}]
meta_prover: ada
verify: {verify}
"""
    )


def test_a_domain_alone_has_the_usual_rules():
    for domain in ("math", "numeric", "choice", "yes-no-maybe", "span", "tatqa", "code"):
        settings = recipe(domain).verify
        assert settings.domain == domain
        assert rules_of(settings) == Rules()


def test_a_recipe_sets_what_a_domain_lets_it_set():
    settings = recipe("{domain: numeric, tolerance: 0.01, scale: optional}").verify
    assert rules_of(settings) == Rules(tolerance=0.01, scale="optional")
    assert rules_of(recipe("{domain: span, least_f1: 0.8}").verify).least_f1 == 0.8
    assert (
        rules_of(recipe("{domain: code, program_memory_mb: 256}").verify).program_memory_mb == 256
    )


def test_the_judge_is_a_teacher_or_a_model_of_its_own():
    assert recipe("{domain: judge, judge: {model: ada}}").roles["answer-judge"].model == "cord:ada"
    own = recipe("{domain: judge, judge: {model: {model: m, url: http://j/v1, engine: openai}}}")
    assert own.roles["answer-judge"].url == "http://j/v1"
    assert recipe("{judge: {votes: 5}}").roles["answer-judge"].model == "cord:ada"
    assert "answer-judge" not in recipe("math").roles


@pytest.mark.parametrize(
    ("verify", "sentence"),
    [
        (
            "{domain: judge, judge: {model: zoe}}",
            "judge.model 'zoe' is none of the teachers",
        ),
        ("{domain: numeric, tolerance: 2}", "verify.tolerance"),
        ("{domain: span, least_f1: 0}", "verify.least_f1"),
        ("{domain: judge, judge: {votes: 0}}", "verify.judge.votes"),
        ("chemistry", "verify.domain"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(verify, sentence):
    with pytest.raises(RecipeError, match=sentence):
        recipe(verify)
