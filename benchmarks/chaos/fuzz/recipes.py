"""Whatever stands in a recipe file: a recipe that can be written and read again, or one sentence a
mistake, and no key or password ever repeated."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st
from pydantic import BaseModel

from benchmarks.chaos.fuzz.mutation import near_json, scalars, torn
from benchmarks.chaos.fuzz.trying import Property
from cord.errors import RecipeError
from cord.recipe import Recipe
from cord.recipe_file import load_recipe, parse_recipe

SECRET = "sk-0dd4ba11"

RECIPES: tuple[dict[str, Any], ...] = (
    {
        "name": "limo",
        "problems": {"source": "hf", "path": "GAIR/LIMO", "question": "question", "limit": 8},
        "teachers": [
            {"name": "qwq", "url": "http://gpu-1:8000/v1", "model": "Qwen/QwQ-32B", "top_p": 0.9},
            {
                "name": "phi4",
                "model": "p4",
                "serve": {"gpus": [0, 1], "arguments": ["--seed", "1"]},
            },
        ],
        "meta_prover": "qwq",
        "search": {"width": 4, "quorum": 0.9, "max_problem_tokens": None},
        "run": {"seed": 7, "teacher_deadline_s": 60, "on_teacher_lost": "continue"},
        "verify": "math",
        "contract": {"min_correct": 0.7},
    },
    {
        "name": "s",
        "problems": {"path": "p.jsonl", "answer_rule": "gsm8k"},
        "teachers": [{"name": "a", "model": "cord:ada", "temperature": 0}],
        "meta_prover": {"model": "m", "url": "http://h/v1", "api_key_env": "KEY"},
        "deduplicate": {"near": None},
        "verify": {"domain": "math", "time_limit_s": 2},
    },
)
NAMES = (
    *Recipe.model_fields,
    *("source", "path", "url", "model", "engine", "serve", "gpus", "api_key_env", "api_key"),
    *("width", "seed", "shards", "temperature", "near", "min_correct", "<<", "token"),
)
SNIPPETS = tuple(
    snippet.encode("utf-8", "surrogatepass")
    for snippet in (
        *("\n", "\r", "\t", "\x00", "\ufeff", "\ud800", "\x85", "\u2028", ": ", "- ", "#", "%"),
        *("!!int ''", "!!float ''", "!!bool x", "!!timestamp x", "!!int x", "!!binary '='"),
        *("!!python/object:os.system {}", "!!set {a}", "!!omap [a: 1]", "!secret x", "!<!>"),
        *("&a ", "*a", "&a [*a]", "<<: *a", "<<: {name: x}", "? [a]\n: b\n", "? {a: b}\n: c\n"),
        *("2001-02-30", "2001-01-01", "010", "0x_", "0b", "1:30", "1_000", "1e-3", ".nan", ".inf"),
        *("9" * 5000, "1" + "0" * 30, "yes", "no", "~", "null", "|", ">", "'", '"', "{", "[", "]"),
        *("[" * 500, "{a: " * 300, "- " * 400, "--- \n", "...\n", "%YAML 9.9\n---\n", "name: x\n"),
        *('"\\ud800"', '"\\x00"', "url: http://me:pass@h\n", "a" * 300),
    )
)


@dataclass(frozen=True)
class RecipeFile:
    """A file's bytes; `secret` where `SECRET` stands in it where a secret might."""

    content: bytes
    secret: bool = False


@st.composite
def recipe_files(draw: st.DrawFn) -> RecipeFile:
    """Valid recipes changed in their values or in their letters, bombs, and bytes."""
    base = draw(st.sampled_from(RECIPES))
    match draw(st.sampled_from(["values", "values", "letters", "scalar", "secret", "bomb", "any"])):
        case "values":
            return RecipeFile(_yaml(draw(near_json(base, NAMES))))
        case "letters":
            return RecipeFile(draw(torn(_yaml(base), SNIPPETS)))
        case "scalar":
            return RecipeFile(_yaml(draw(_with_scalar(base))))
        case "secret":
            return RecipeFile(_yaml(draw(_with_secret(base))), secret=True)
        case "bomb":
            return RecipeFile(draw(_bomb()))
    return RecipeFile(
        draw(st.binary(max_size=40) | st.lists(st.sampled_from(SNIPPETS)).map(b"".join))
    )


@st.composite
def _with_scalar(draw: st.DrawFn, base: dict[str, Any]) -> dict[str, Any]:
    """One field of one section is another scalar: often still a valid recipe."""
    changed = {**base}
    section = draw(st.sampled_from(["search", "run", "contract", "problems", "deduplicate"]))
    fields = list(Recipe.model_fields[section].annotation.model_fields)  # type: ignore[union-attr]
    value = draw(st.integers(-1, 100) | st.floats(0, 1) | scalars)
    changed[section] = {**changed.get(section, {}), draw(st.sampled_from(fields)): value}
    return changed


@st.composite
def _with_secret(draw: st.DrawFn, base: dict[str, Any]) -> Any:
    """A key or a password where people put them, and often something else that is wrong."""
    model: dict[str, Any] = {"name": "t", "model": "m", "url": "http://h/v1"}
    match draw(st.sampled_from(["key env", "password", "user", "unknown", "argument", "query"])):
        case "key env":
            model["api_key_env"] = draw(st.sampled_from([SECRET, [SECRET], {"value": SECRET}]))
        case "password":
            url = draw(st.sampled_from(["http://me:%s@h/v1", "https://me:%s/x@h", "//a:%s@h"]))
            model["url"] = draw(st.sampled_from([url % SECRET, [url % SECRET]]))
        case "user":
            model["url"] = f"https://{SECRET}@h/v1"
        case "query":
            model["url"] = f"https://h/v1?api_key={SECRET}"
        case "unknown":
            name = draw(st.sampled_from(["api_key", "token", "password", "key", "headers"]))
            model[name] = draw(st.sampled_from([SECRET, {"Authorization": f"Bearer {SECRET}"}]))
        case _:
            flag = draw(st.sampled_from(["--api-key", "--hf-token", "--api_key"]))
            del model["url"]
            words = draw(st.sampled_from([[flag, SECRET], [f"{flag}={SECRET}"]]))
            model["serve"] = {"arguments": draw(st.sampled_from([words, " ".join(words), [words]]))}
    place = draw(st.sampled_from(["teacher", "meta_prover", "list", "name", "top"]))
    changed = {**base}
    match place:
        case "teacher":
            changed["teachers"] = [model]
        case "meta_prover":
            changed["meta_prover"] = {key: model[key] for key in model if key != "name"}
        case "list":
            changed["meta_prover"] = [model]
        case "name":
            changed["teachers"] = {"t": model}
        case _:
            changed |= model
    if draw(st.booleans()):
        changed["search"] = draw(scalars)
    return draw(st.sampled_from([changed, changed, changed, [changed]]))


@st.composite
def _bomb(draw: st.DrawFn) -> bytes:
    """Aliases of aliases, in lists or in merged mappings: small to read, huge written out."""
    levels, width = draw(st.integers(2, 40)), draw(st.integers(2, 12))
    form = draw(st.sampled_from(["[%s]", "{%s}", "{<<: [%s]}"]))
    lines = ["a0: &a0 {k: v}"]
    for level in range(1, levels):
        names = [f"*a{level - 1}"] * width
        if form == "{%s}":
            names = [f"k{n}: {name}" for n, name in enumerate(names)]
        lines.append(f"a{level}: &a{level} " + form % ", ".join(names))
    place = draw(st.sampled_from(["teachers", "name", "search", "x"]))
    lines.append(f"{place}: *a{levels - 1}")
    return "\n".join(lines).encode()


def _yaml(value: Any) -> bytes:
    try:
        return yaml.safe_dump(value, sort_keys=False).encode("utf-8", "surrogatepass")
    except RecursionError:
        return b"{a: " * 900


def a_recipe_or_a_sentence(file: RecipeFile) -> None:
    """`load_recipe` on the bytes, as a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "r.yaml")
        path.write_bytes(file.content)
        try:
            recipe = load_recipe(path)
        except RecipeError as error:
            _check_sentence(str(error), str(path), file.secret)
            return
    for value in _values(recipe):
        if isinstance(value, float):
            assert math.isfinite(value)
        elif isinstance(value, int):
            assert abs(value) < 2**63
        elif isinstance(value, str):
            value.encode()
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    again = yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True))
    # The fields whose null is not their default.
    similarities = (recipe.deduplicate.near, recipe.deduplicate.trajectories)
    assert None in similarities or parse_recipe(again) == recipe


def _check_sentence(said: str, path: str, secret: bool) -> None:
    said.encode()
    assert said
    assert len(said) < 20_000
    for line in said.split("\n"):
        assert line.startswith(f"{path}:"), line
        assert len(line) > len(path) + 8
    assert not secret or SECRET not in said, said


def _values(value: object) -> Iterator[object]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _values(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _values(item)
    else:
        yield value


PROPERTIES = (
    Property(
        "recipe reader",
        "a recipe that can be written and read again, or a sentence for each mistake",
        recipe_files(),
        a_recipe_or_a_sentence,
    ),
)
