import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cord.errors import RecipeError
from cord.recipe_file import load_recipe, parse_recipe
from cord.recipe_kinds import load_any_recipe

GOOD = """\
name: limo
problems: {source: hf, path: GAIR/LIMO, question: question, answer: answer}
teachers:
  - {name: qwq,    url: http://gpu-1:8000/v1, model: Qwen/QwQ-32B, temperature: 0.6}
  - {name: phi4,   url: http://gpu-3:8000/v1, model: microsoft/Phi-4-reasoning-plus}
meta_prover: qwq
search: {width: 4, max_steps: 40}
run: {shards: 32, in_flight: 64, seed: 7, runner: threads}
verify: math
"""


def said(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "limo.yaml")
    return str(caught.value)


def test_a_good_recipe_is_read() -> None:
    recipe = parse_recipe(GOOD)
    assert [t.name for t in recipe.teachers] == ["qwq", "phi4"]
    assert recipe.meta_prover_model.model == "Qwen/QwQ-32B"
    assert recipe.verify.domain == "math"


def test_the_shipped_recipes_are_good() -> None:
    for path in (Path(__file__).parents[1] / "recipes").glob("*.yaml"):
        assert load_any_recipe(path).model_dump()["name"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("width: 4", "widht: 4", "limo.yaml:7: search.widht: unknown key; did you mean 'width'?"),
        ("meta_prover", "meta_prove", "did you mean 'meta_prover'?"),
        ("width: 4", "width: four", "limo.yaml:7: search.width: should be a valid integer"),
        ("name: limo", "nam: limo", "name: this key is missing; add it"),
        ("meta_prover: qwq", "meta_prover: qwen", "limo.yaml:6: meta_prover"),
        ("name: phi4,", "name: qwq,", "two teachers are named 'qwq'"),
        ("http://gpu-3", "http://me:secret@gpu-3", "a password in a url"),
        ("url: http://gpu-3:8000/v1, ", "engine: openai, ", "no url"),
        ("temperature: 0.6", "temperature: 9", "limo.yaml:4: teachers.0.temperature"),
        ("verify: math", "verify: maths", "limo.yaml:9: verify.domain"),
        (
            "verify: math",
            "verify: math\nverify: math",
            "limo.yaml:10: verify: this key stands twice",
        ),
        ("name: limo", "name: ../limo", "limo.yaml:1: name"),
        ("meta_prover: qwq", "meta_prover: 7", "a teacher's name, or a model"),
        ("teachers:", "teachers: [", "not valid YAML"),
        (
            "verify: math",
            "verify: math\ndeduplicate: {against: [limo]}",
            "deduplicate.against 'limo' is this recipe's own newest release",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line_and_field(old: str, new: str, sentence: str) -> None:
    assert sentence in said(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("added", "sentence"),
    [
        ("judge: zoe", "limo.yaml:10: judge: judge 'zoe' is none of the teachers (qwq, phi4)"),
        ("integrator: 7", "limo.yaml:10: integrator: should be a teacher's name, or a model"),
        ("reward_model: qwq", "limo.yaml:10: reward_model"),
        (
            "integrator: {model: m, url: 'http://h/v1', temperature: 9}",
            "limo.yaml:10: integrator.temperature: should be less than or equal to 2",
        ),
    ],
)
def test_a_mistake_in_a_model_beside_the_teachers_is_named(added: str, sentence: str) -> None:
    assert sentence in said(f"{GOOD}{added}\n")


@pytest.mark.parametrize(
    ("search", "added", "sentence"),
    [
        ("criterion: process-reward", "", "reward_model: search.criterion is process-reward, and"),
        ("criterion: process-reward", "reward_model: {%s}", "gives no rewards"),
        ("criterion: binary", "judge: {%s}", "judge: far is behind an OpenAI-compatible endpoint"),
    ],
)
def test_who_cannot_score_is_refused_where_it_would_have_to(
    search: str, added: str, sentence: str
) -> None:
    added = added.replace("%s", "model: far, url: 'http://far/v1', engine: openai")
    assert sentence in said(GOOD.replace("width: 4", f"width: 4, {search}") + added)
    assert parse_recipe(GOOD + added).name == "limo", "it is not asked for anything here"


def test_a_teacher_does_not_go_by_the_name_of_another_model_of_the_run() -> None:
    named = GOOD.replace("phi4", "judge")
    assert parse_recipe(named).teachers[1].name == "judge"
    assert "a teacher is named 'judge'" in said(
        named.replace("width: 4", "width: 4, criterion: binary")
    )


def test_judge_and_integrator_are_the_meta_prover_unless_the_recipe_names_others() -> None:
    both = GOOD.replace("width: 4", "width: 4, criterion: binary, strategy: integration")
    own = "{model: m, url: 'http://h/v1', temperature: 0.3}"
    recipe = parse_recipe(both.replace("temperature: 0.6", "temperature: 0.7"))
    assert {role: model.model for role, model in recipe.roles.items()} == dict.fromkeys(
        ("meta-prover", "judge", "integrator"), "Qwen/QwQ-32B"
    )
    assert recipe.integrator_writer is not None and recipe.integrator_writer.temperature == 0.7
    recipe = parse_recipe(f"{both}judge: phi4\nintegrator: {own}\n")
    assert recipe.roles["judge"].model == "microsoft/Phi-4-reasoning-plus"
    assert recipe.integrator_writer is not None and recipe.integrator_writer.temperature == 0.3
    assert list(parse_recipe(GOOD).roles) == ["meta-prover"]


def test_a_password_is_not_repeated_in_the_message() -> None:
    assert "secret" not in said(GOOD.replace("http://gpu-3", "http://me:secret@gpu-3"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("http://gpu-3:8000/v1", '"https://sk-0dd@h/v1"'),
        ("http://gpu-3:8000/v1", '"https://h/v1?key=sk-0dd"'),
        ("http://gpu-3:8000/v1", '["http://me:sk-0dd@h"]'),
        ("url: http://gpu-3:8000/v1", "api_key_env: sk-0dd"),
        ("url: http://gpu-3:8000/v1", "api_key: sk-0dd"),
        ("url: http://gpu-3:8000/v1", 'serve: {arguments: "--api-key sk-0dd"}'),
    ],
)
def test_a_key_is_refused_and_not_repeated(old: str, new: str) -> None:
    assert "sk-0dd" not in said(GOOD.replace(old, new))


@pytest.mark.parametrize("form", ["[%s]", "{<<: [%s]}"])
def test_aliases_of_aliases_cost_no_memory_and_no_time(form: str) -> None:
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{n}: &a{n} " + form % ", ".join([f"*a{n - 1}"] * 10) for n in range(1, 40)]
    assert "more than 10,000 values" in said("\n".join([*lines, "teachers: *a39"]))


@pytest.mark.parametrize("value", ["010", "1:30", "2026-11-24", "!!int x", "!!float ''", "9" * 30])
def test_a_number_is_what_people_read_as_one(value: str) -> None:
    assert "limo.yaml:" in said(GOOD.replace("seed: 7", f"seed: {value}"))
    assert parse_recipe(GOOD.replace("name: limo", "name: 2026-11-24")).name == "2026-11-24"


@pytest.mark.parametrize("old", ["temperature: 0.6", "seed: 7"])
@pytest.mark.parametrize("value", [".nan", ".inf", "1e999"])
def test_a_number_is_finite(old: str, value: str) -> None:
    said(GOOD.replace(old, f"{old.split(':')[0]}: {value}"))


@pytest.mark.parametrize(
    "url", ["http://h:99999/v1", "http://h:x/v1", '"http://[::1"', '"http://h\\e"']
)
def test_a_url_that_cannot_be_one_is_refused(url: str) -> None:
    assert "write it as http://host:port/v1" in said(GOOD.replace("http://gpu-3:8000/v1", url))


def test_the_command_line_overrides_the_file() -> None:
    assert parse_recipe(GOOD, overrides={"run.seed": 8}).run.seed == 8
    assert parse_recipe(GOOD.replace("seed: 7, ", ""), overrides={"run.seed": 8}).run.seed == 8


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"- a\n- b", b"a: &a [*a]", b"{" * 3000])
def test_what_is_no_recipe_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"r\.yaml"):
        load_recipe(path)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        parse_recipe(text)
    except RecipeError as error:
        assert str(error)  # noqa: PT017


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_any_value_in_any_place_is_read_or_refused_in_words(data: st.DataObject) -> None:
    content = copy.deepcopy(yaml.safe_load(GOOD))
    place = data.draw(st.sampled_from(sorted(content)))
    value = data.draw(values)
    section = content[place]
    if isinstance(section, dict) and data.draw(st.booleans()):
        section[data.draw(st.sampled_from(sorted(section)))] = value
    else:
        content[place] = value
    try:
        parse_recipe(yaml.safe_dump(content))
    except RecipeError as error:
        assert str(error)  # noqa: PT017
