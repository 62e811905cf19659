"""What a changed field of a recipe costs."""

import pytest

from cord.changes.differences import differences
from cord.recipe import Recipe
from cord.recipe_file import parse_recipe

TEXT = """
name: r
problems: {path: p.jsonl, question: q, answer: a}
teachers:
  - {name: a, url: "http://one:8000/v1", model: A, temperature: 0.6}
  - {name: b, url: "http://two:8000/v1", model: B, temperature: 0.6}
meta_prover: a
run: {seed: 7, shards: 4}
"""
RECIPE = parse_recipe(TEXT)


def changed(old: str, new: str) -> Recipe:
    assert old in TEXT
    return parse_recipe(TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "field", "cost"),
    [
        ("seed: 7", "seed: 8", "run.seed", "search"),
        ("B, temperature: 0.6", "B, temperature: 0.7", "teachers.b.temperature", "search"),
        ("model: B", "model: C", "teachers.b.model", "search"),
        ("http://two", "http://three", "teachers.b.url", "nothing"),
        ("shards: 4", "shards: 9", "run.shards", "nothing"),
        ("run:", "search: {width: 2}\nrun:", "search.width", "search"),
        ("run:", "verify: numeric\nrun:", "verify.domain", "verdicts"),
        ("run:", "deduplicate: {near: 0.7}\nrun:", "deduplicate.near", "release"),
        ("run:", "contract: {min_correct: 0.5}\nrun:", "contract.min_correct", "release"),
        ("run:", "publish: {keep: all}\nrun:", "publish.keep", "release"),
        ("p.jsonl", "other.jsonl", "problems.path", "source"),
        ("answer: a}", "answer: a, licence: mit}", "problems.licence", "nothing"),
    ],
)
def test_each_field_has_its_cost(old: str, new: str, field: str, cost: str) -> None:
    today = changed(old, new)
    (found,) = differences(RECIPE, today, same_search=cost != "search")
    assert (found.field, found.cost) == (field, cost)


def test_a_difference_reads_as_was_and_is() -> None:
    (found,) = differences(RECIPE, changed("seed: 7", "seed: 8"), same_search=False)
    assert str(found) == "run.seed: 7 -> 8"


def test_the_dearest_come_first_and_the_same_recipe_has_none() -> None:
    today = changed("seed: 7, shards: 4", "seed: 8, shards: 9")
    assert [one.cost for one in differences(RECIPE, today, same_search=False)] == [
        "search",
        "nothing",
    ]
    assert differences(RECIPE, RECIPE, same_search=True) == ()


def test_where_the_search_is_the_same_another_name_for_its_model_costs_nothing() -> None:
    inline = 'meta_prover: {model: A, url: "http://one:8000/v1"}'
    found = differences(RECIPE, changed("meta_prover: a", inline), same_search=True)
    assert found and {one.cost for one in found} == {"nothing"}


def test_a_teacher_that_left_is_told_once() -> None:
    gone = '  - {name: b, url: "http://two:8000/v1", model: B, temperature: 0.6}\n'
    (found,) = differences(RECIPE, changed(gone, ""), same_search=False)
    assert str(found) == "teachers: [a, b] -> [a]"


def test_other_models_behind_the_same_addresses_are_told_as_such() -> None:
    then, now = {"a": "A on vllm 1", "b": "B on vllm 1"}, {"a": "A on vllm 1", "b": "X on vllm 1"}
    (found,) = differences(RECIPE, RECIPE, False, (then, now))
    assert str(found) == "models.b: B on vllm 1 -> X on vllm 1"
    (found,) = differences(RECIPE, RECIPE, False, (then, then))
    assert found.cost == "search" and "other weights" in found.after


def test_long_texts_that_differ_at_their_end_differ() -> None:
    words = "Think aloud, and write each step. " * 5
    before = changed("run:", f"search: {{instructions: '{words}Now.'}}\nrun:")
    after = changed("run:", f"search: {{instructions: '{words}Then.'}}\nrun:")
    (found,) = differences(before, after, same_search=False)
    assert found.field == "search.instructions" and len(found.before) <= 60


def test_what_may_hold_a_secret_is_not_shown() -> None:
    serve = "model: B, serve: {arguments: [--some-key=%s]}, temperature: 0.6"
    old = 'url: "http://two:8000/v1", model: B, temperature: 0.6'
    one, other = (changed(old, serve % word) for word in ("hushhush", "quiet"))
    found = differences(one, other, same_search=True)
    assert [one.field for one in found] == ["teachers.b.serve.arguments"]
    assert "hush" not in str(found[0]) and found[0].cost == "nothing"
