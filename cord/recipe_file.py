"""Reading a recipe from YAML, with errors that name the file, the line and the field.

PyYAML's node tree keeps line numbers, pydantic's errors keep field paths: joined, they give
`limo.yaml:7: search.widht: unknown key; did you mean 'width'?`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, get_args

import yaml
from pydantic import BaseModel, ValidationError

from cord.errors import RecipeError
from cord.recipe import Recipe

FieldPath: TypeAlias = tuple[str | int, ...]


def load_recipe(path: str | Path, overrides: Mapping[str, object] | None = None) -> Recipe:
    """Read and validate a recipe file.

    `overrides` sets dotted fields (`{"run.seed": 8}`) over what the file says. Raises
    `RecipeError` with one line per mistake, each naming file, line and field.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise RecipeError(f"{path}: there is no such recipe file") from None
    except IsADirectoryError:
        raise RecipeError(f"{path}: this is a folder; name the recipe file in it") from None
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{path}: not valid UTF-8 at byte {error.start}; save the file as UTF-8"
        ) from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_recipe(text, str(path), overrides)


def parse_recipe(
    text: str, name: str = "recipe", overrides: Mapping[str, object] | None = None
) -> Recipe:
    """Validate a recipe's text; `name` stands in the messages. Raises `RecipeError`."""
    content, lines = _parse_yaml(text, name)
    for dotted, value in (overrides or {}).items():
        _override(content, dotted.split("."), value)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError("\n".join(_sentences(error, name, lines))) from None


def _parse_yaml(text: str, name: str) -> tuple[dict[str, Any], dict[FieldPath, int]]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RecipeError(f"{name}:{line}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecipeError(f"{name}: not valid YAML: {reason}") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{name}: a recipe is a mapping of keys to values; see recipes/demo.yaml")
    lines: dict[FieldPath, int] = {}
    for field, line, repeated in _walk(node, ()):
        if repeated:
            dotted = ".".join(map(str, field))
            raise RecipeError(f"{name}:{line}: {dotted}: this key stands twice; remove one")
        lines[field] = line
    return content, lines


def _walk(node: yaml.Node | None, prefix: FieldPath) -> Iterator[tuple[FieldPath, int, bool]]:
    """Yield (field path, 1-based line, stands twice) for each key and list item."""
    if len(prefix) > 20:  # an anchor that contains itself
        return
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            yield (*prefix, name), key.start_mark.line + 1, name in seen
            seen.add(name)
            yield from _walk(value, (*prefix, name))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*prefix, index), item.start_mark.line + 1, False
            yield from _walk(item, (*prefix, index))


def _override(content: dict[str, Any], keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        inner = content.setdefault(key, {})
        if not isinstance(inner, dict):
            return  # the file's own mistake; validation names it
        content = inner
    content[keys[-1]] = value


def _sentences(error: ValidationError, name: str, lines: Mapping[FieldPath, int]) -> Iterator[str]:
    details = error.errors(include_url=False)
    for detail in details:
        location = tuple(part for part in detail["loc"] if not _is_branch(part))
        if "str" in detail["loc"]:
            continue  # the other branch of `meta_prover: name | model` says it
        if location == ("meta_prover",) and detail["type"].endswith("_type"):
            detail["msg"] = "should be a teacher's name, or a model (`{model: ..., url: ...}`)"
        if not location and "meta_prover" in detail["msg"]:
            location = ("meta_prover",)
        line = next(
            (lines[location[:n]] for n in range(len(location), 0, -1) if location[:n] in lines), 1
        )
        field = ".".join(str(part) for part in location)
        where = f"{name}:{line}: {field}: " if field else f"{name}: "
        yield where + _remedy(detail["type"], detail["msg"], location, detail.get("input"))


def _is_branch(part: str | int) -> bool:
    """Pydantic's own names of a union's branches, which no user wrote."""
    return isinstance(part, str) and (part in ("str", "Model") or part.startswith("function-"))


def _remedy(kind: str, message: str, location: FieldPath, value: object) -> str:
    if kind == "extra_forbidden":
        valid = _valid_keys(location[:-1])
        near = difflib.get_close_matches(str(location[-1]), valid, n=1, cutoff=0.6)
        if near:
            return f"unknown key; did you mean '{near[0]}'?"
        return f"unknown key; valid keys here: {', '.join(valid)}"
    if kind == "missing":
        return "this key is missing; add it"
    text = message.removeprefix("Value error, ")
    text = text.replace("Input should be", "should be")
    shown = repr(value)
    if kind == "value_error" or len(shown) > 60:
        return text
    return f"{text}, not {shown}"


def _valid_keys(location: FieldPath) -> list[str]:
    """Keys of the section at `location`."""
    model: type[BaseModel] = Recipe
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        if field is None:
            return []
        model = next(iter(_sections(field.annotation)), model)
    return list(model.model_fields)


def _sections(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections(argument)
