"""Reading a recipe from YAML, with errors that name the file, the line and the field.

PyYAML's node tree keeps line numbers, pydantic's errors keep field paths: joined, they give
`limo.yaml:7: search.widht: unknown key; did you mean 'width'?`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, get_args, overload

import yaml
from pydantic import BaseModel, ValidationError

from cord.errors import RecipeError
from cord.recipe import Recipe

S = TypeVar("S", bound=BaseModel)
FieldPath: TypeAlias = tuple[str | int, ...]

MAX_BYTES = 256 << 10
MAX_VALUES = 10_000
"""Keys and list items, aliases written out: a few aliases of aliases make billions."""
MAX_DEPTH = 20
MAX_SENTENCES = 20
_MAY_HOLD_A_SECRET = {"url", "api_key_env", "arguments"}
ROLE_KEYS = ("judge", "reward_model", "integrator", "meta_prover")
_NAMED_OR_GIVEN = {(key,) for key in ROLE_KEYS if key != "reward_model"}
MARKS = {"student": "cord distill", "benchmarks": "cord evaluate", "variants": "cord ablate"}
"""The key by which a recipe of another kind is known, and its command; any other recipe is one of
`cord run`."""


@overload
def load_recipe(path: str | Path, overrides: Mapping[str, object] | None = None) -> Recipe: ...
@overload
def load_recipe(
    path: str | Path, overrides: Mapping[str, object] | None = None, *, kind: type[S]
) -> S: ...
def load_recipe(
    path: str | Path,
    overrides: Mapping[str, object] | None = None,
    *,
    kind: type[BaseModel] = Recipe,
) -> BaseModel:
    """Read and validate a recipe file.

    `overrides` sets dotted fields (`{"run.seed": 8}`) over what the file says. Raises
    `RecipeError` with one line per mistake, each naming file, line and field.
    """
    text = read_text(Path(path))
    return parse_recipe(text, str(path), overrides, kind=kind)


def read_text(path: Path) -> str:
    """A recipe file's text. Raises `RecipeError`."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode("utf-8")
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
    except ValueError:
        raise RecipeError(f"{str(path)!r}: no file can have this name") from None
    if len(raw) > MAX_BYTES:
        raise RecipeError(f"{path}: larger than {MAX_BYTES >> 10} KiB, which no recipe is")
    return text


@overload
def parse_recipe(
    text: str, name: str = "recipe", overrides: Mapping[str, object] | None = None
) -> Recipe: ...
@overload
def parse_recipe(
    text: str,
    name: str = "recipe",
    overrides: Mapping[str, object] | None = None,
    *,
    kind: type[S],
) -> S: ...
def parse_recipe(
    text: str,
    name: str = "recipe",
    overrides: Mapping[str, object] | None = None,
    *,
    kind: type[BaseModel] = Recipe,
) -> BaseModel:
    """Validate a recipe's text; `name` stands in the messages. Raises `RecipeError`."""
    content, lines = _parse_yaml(text, name)
    _refuse_another_kind(content, kind, name)
    for dotted, value in (overrides or {}).items():
        _override(content, dotted.split("."), value)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise RecipeError("\n".join(_sentences(error, name, lines, kind))) from None


def command_of(text: str, name: str = "recipe") -> str:
    """The command that a recipe is for: `cord run`, `cord distill` ... Raises `RecipeError`."""
    content, _ = _parse_yaml(text, name)
    return next((command for mark, command in MARKS.items() if mark in content), "cord run")


def _refuse_another_kind(content: Mapping[str, Any], kind: type[BaseModel], name: str) -> None:
    for mark, command in MARKS.items():
        if mark in content and mark not in kind.model_fields:
            raise RecipeError(f"{name}: this is a recipe for `{command}` (it has `{mark}`)")


class _Loader(yaml.SafeLoader):
    """YAML as people read it: `2026-11-24` is a text, and `010` and `1:30` are no numbers."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
            # PyYAML has no error of its own for `!!int x`.
            problem = f"this is no value of the kind {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None


_KINDS = {
    "tag:yaml.org,2002:int": r"^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F]+)$",
    "tag:yaml.org,2002:float": r"^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?"
    r"|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
}
_Loader.yaml_implicit_resolvers = {
    first: [one for one in known if one[0] not in (*_KINDS, "tag:yaml.org,2002:timestamp")]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _form in _KINDS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(_form), list("-+.0123456789"))


def _parse_yaml(text: str, name: str) -> tuple[dict[str, Any], dict[FieldPath, int]]:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines = _lines(node, name)  # before anything is written out
        content = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RecipeError(f"{name}:{line}: not valid YAML: {_one_line(error.problem)}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        found = f"U+{ord(error.character):04X}" if isinstance(error.character, str) else "a byte"
        raise RecipeError(f"{name}:{line}: not valid YAML: {found} may not stand in it") from None
    except RecursionError:
        raise RecipeError(f"{name}: not valid YAML: nested too deeply") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{name}: a recipe is a mapping of keys to values; see recipes/demo.yaml")
    return content, lines


def _lines(node: yaml.Node | None, name: str) -> dict[FieldPath, int]:
    """The line of each field. Raises `RecipeError` for a key that stands twice, and for what is
    too much to be a recipe."""
    lines: dict[FieldPath, int] = {}
    for field, line, fault in _walk(node, ()):
        if fault:
            raise RecipeError(f"{name}:{line}: {_dotted(field)}: {fault}")
        if len(lines) == MAX_VALUES:
            raise RecipeError(
                f"{name}:{line}: {_dotted(field)}: more than {MAX_VALUES:,} values, aliases "
                "written out; no recipe has so many"
            )
        lines[field] = line
    return lines


def _walk(node: yaml.Node | None, prefix: FieldPath) -> Iterator[tuple[FieldPath, int, str]]:
    """Yield (field path, 1-based line, what is wrong with it) for each key and list item."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                yield prefix, line, "a key that is no text; write it as one"
                return
            field = (*prefix, key.value)
            fault = "this key stands twice; remove one" if key.value in seen else _too_deep(field)
            yield field, line, fault
            seen.add(key.value)
            yield from _walk(value, field)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*prefix, index), item.start_mark.line + 1, _too_deep(prefix)
            yield from _walk(item, (*prefix, index))


def _too_deep(field: FieldPath) -> str:
    if len(field) < MAX_DEPTH:
        return ""
    return f"nested more than {MAX_DEPTH} deep, or an anchor that contains itself; remove it"


def _dotted(field: FieldPath) -> str:
    return _one_line(".".join(map(str, field))) or "the recipe"


def _one_line(text: object) -> str:
    """What came out of a file, for a message: printable, and not too long."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text)[:400])
    return line if len(line) <= 400 else line[:399] + "…"


def _override(content: dict[str, Any], keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        inner = content.setdefault(key, {})
        if not isinstance(inner, dict):
            return  # the file's own mistake; validation names it
        content = inner
    content[keys[-1]] = value


def _sentences(
    error: ValidationError, name: str, lines: Mapping[FieldPath, int], kind: type[BaseModel]
) -> Iterator[str]:
    details = error.errors(include_url=False)
    shown = [detail for detail in details if "str" not in detail["loc"]]
    # The other branch of `meta_prover: name | model` says it.
    for detail in islice(shown, MAX_SENTENCES):
        location = tuple(part for part in detail["loc"] if not _is_branch(part))
        if location in _NAMED_OR_GIVEN and detail["type"].endswith("_type"):
            detail["msg"] = "should be a teacher's name, or a model (`{model: ..., url: ...}`)"
        if not location:
            named = [key for key in ROLE_KEYS if key in detail["msg"]]
            location = tuple(named[:1])
        line = next(
            (lines[location[:n]] for n in range(len(location), 0, -1) if location[:n] in lines), 1
        )
        where = f"{name}:{line}: {_dotted(location)}: " if location else f"{name}: "
        valid = _valid_keys(kind, location[:-1])
        what = _remedy(detail["type"], detail["msg"], location, detail.get("input"), valid)
        yield where + _one_line(what)
    if len(shown) > MAX_SENTENCES:
        yield f"{name}: and {len(shown) - MAX_SENTENCES} more mistakes"


def _is_branch(part: str | int) -> bool:
    """Pydantic's own names of a union's branches, which no user wrote."""
    return isinstance(part, str) and (part in ("str", "Model") or part.startswith("function-"))


def _remedy(kind: str, message: str, location: FieldPath, value: object, valid: list[str]) -> str:
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), valid, n=1, cutoff=0.6)
        if near:
            return f"unknown key; did you mean '{near[0]}'?"
        return f"unknown key; valid keys here: {', '.join(valid)}"
    if kind == "missing":
        return "this key is missing; add it"
    text = message.removeprefix("Value error, ")
    text = text.replace("Input should be", "should be")
    known = value is None or isinstance(value, str | int | float)
    if kind == "value_error" or not known or _MAY_HOLD_A_SECRET & set(location):
        return text
    shown = repr(value)
    return text if len(shown) > 60 else f"{text}, not {shown}"


def _valid_keys(kind: type[BaseModel], location: FieldPath) -> list[str]:
    """Keys of the section at `location`."""
    model = kind
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
