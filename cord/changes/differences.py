"""Today's recipe against one that was run, field by field, by what each difference costs.

What a field decides is listed here in words; whether anything is really decoded or judged again is
decided by the fingerprints of `cord.plan`. Where a search is the same by those, a field that
belongs to it (a model named in another way, say) costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from cord.plan import judgement
from cord.recipe import Recipe

Cost = Literal["search", "verdicts", "release", "source", "nothing"]
"""`search`: trajectories are decoded again; `verdicts`: they are judged again; `release`: it is put
together again; `source`: other problems are read; `nothing`: another way to the same data."""

COSTS: tuple[Cost, ...] = ("search", "verdicts", "release", "source", "nothing")
"""The dearest first."""
LONGEST = 60
"""Characters of a value that are shown."""
_NOT_THERE = "(none)"
_NOT_SHOWN = "(not shown)"
_MAY_HOLD_A_SECRET = {"arguments", "api_key_env"}
_BY_SECTION: Mapping[str, Cost] = {
    "search": "search",
    "verify": "verdicts",
    "deduplicate": "release",
    "decontaminate": "release",
    "contract": "release",
    "publish": "release",
    "problems": "source",
}
_OF_A_WRITER = {"model", "engine", "temperature", "top_p"}
"""Of a model in a recipe, what decides what it writes; the rest is where and how it is served."""
_STATED = {"licence"}
"""Of the problems, what is only told on the data card."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of a recipe that is not as it was."""

    field: str
    """`search.width`, `teachers.qwq.temperature`, `models.qwq`: the model behind a name."""
    before: str
    after: str
    cost: Cost

    def __str__(self) -> str:
        return f"{self.field}: {self.before} -> {self.after}"


def differences(
    before: Recipe,
    today: Recipe,
    same_search: bool,
    engines: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
) -> tuple[Difference, ...]:
    """What is not as it was, the dearest first.

    `same_search`: both name the same search by `cord.plan.search_fingerprint`. `engines` is what
    stood behind the models' names then and stands there now (`MODEL on ENGINE`)."""
    same_verdicts = judgement(before) == judgement(today)
    both = {one.name for one in before.teachers} & {one.name for one in today.teachers}
    old, new = dict(_fields(before, both)), dict(_fields(today, both))
    found = [
        Difference(
            field,
            _shown(field, old.get(field)),
            _shown(field, new.get(field)),
            _cost(field, same_search, same_verdicts),
        )
        for field in dict.fromkeys([*old, *new])
        if old.get(field) != new.get(field)
    ]
    if not same_search and not any(one.cost == "search" for one in found):
        found += _other_models(*engines)
    return tuple(sorted(found, key=lambda one: COSTS.index(one.cost)))


def _other_models(then: Mapping[str, str], now: Mapping[str, str]) -> list[Difference]:
    """The recipe is the same, its search is not: others answer behind the same addresses."""
    told = [
        Difference(f"models.{name}", then[name], now[name], "search")
        for name in then
        if name in now and then[name] != now[name]
    ]
    return told or [
        Difference("models", "as they were", "other weights under the same names", "search")
    ]


def _cost(field: str, same_search: bool, same_verdicts: bool) -> Cost:
    section, _, rest = field.partition(".")
    last = field.rpartition(".")[2]
    if section == "problems":
        return "nothing" if last in _STATED else "source"
    if section == "run":
        return "search" if rest == "seed" else "nothing"
    cost = _BY_SECTION.get(section)
    if cost is None:  # a teacher, or a model in a role
        if rest and (last not in _OF_A_WRITER or ".serve." in field):
            return "nothing"
        cost = "verdicts" if same_search else "search"
    if cost == "search" and same_search:
        return "nothing"
    if cost == "verdicts" and same_verdicts:
        return "nothing"
    return cost


def _fields(recipe: Recipe, teachers: Collection[str]) -> Iterator[tuple[str, object]]:
    """Dotted field and value; of the teachers, those named, and which there are in what order."""
    content = recipe.model_dump(mode="json")
    content.pop("name")  # the data set's: two that differ in it are not compared
    every = content.pop("teachers")
    yield "teachers", [one["name"] for one in every]
    for one in every:
        if one["name"] in teachers:
            yield from _flat(f"teachers.{one['name']}", one)
    yield from _flat("", content)


def _flat(prefix: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else name, inner)
    elif value is not None:
        yield prefix, value


def _shown(field: str, value: object) -> str:
    """As a recipe has it; a long text by its beginning, and what may hold a secret not at all."""
    if value is None:
        return _NOT_THERE
    if field.rpartition(".")[2] in _MAY_HOLD_A_SECRET:
        return _NOT_SHOWN
    if isinstance(value, list):
        return f"[{', '.join(_shown('', one) for one in value)}]"
    text = str(value).lower() if isinstance(value, bool) else " ".join(str(value).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
