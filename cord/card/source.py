"""Where a release comes from, in plain JSON: what its manifest keeps, and its data card tells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import Any

from cord.recipe import Model, ProblemSource, Recipe, Writer

METHOD = "arXiv 2605.02290"
_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def describe(recipe: Recipe, engines: Mapping[str, str]) -> dict[str, Any]:
    """What made the records of a run of `recipe`.

    `engines` names what each model ran on, by teacher or role: `{"ada": "embedded 5.23.0"}`. Urls
    of models are left out, and of a local path only its last part is told. What the recipe does
    not state is None."""
    return {
        "problems": _problems(recipe.problems),
        "teachers": [{"name": t.name, **_model(t)} for t in recipe.teachers],
        "roles": {role: _model(model) for role, model in recipe.roles.items()},
        "search": recipe.search.model_dump(mode="json", exclude={"instructions"}),
        "seed": recipe.run.seed,
        "verify": recipe.verify.domain,
        "deduplicate": recipe.deduplicate.model_dump(mode="json"),
        "publish": recipe.publish.model_dump(mode="json"),
        "engines": dict(sorted(engines.items())),
        "cord": _own_version(),
        "method": METHOD,
    }


def _problems(source: ProblemSource) -> dict[str, Any]:
    hub = source.source == "hf"
    return {
        "name": source.path if hub else _public(source.path),
        "on_hub": hub,
        "split": source.split if hub else None,
        "subset": source.subset,
        "limit": source.limit,
        "licence": source.licence,
    }


def _model(model: Model) -> dict[str, Any]:
    local = model.kind == "embedded" or PurePath(model.model).is_absolute()
    writer = model if isinstance(model, Writer) else None
    return {
        "model": _public(model.model) if local else model.model,
        "engine": model.kind,
        "licence": model.licence,
        "temperature": writer.temperature if writer else None,
        "top_p": writer.top_p if writer else None,
    }


def _public(place: str) -> str:
    """Of a path, the last part: the rest tells of a machine. An address without what stands before
    an @ or behind a ?."""
    if found := _ADDRESS.match(place):
        host, slash, rest = place[found.end() :].partition("/")
        return f"{found[0]}{host.rpartition('@')[2]}{slash}{rest.partition('?')[0]}"
    return PurePath(place).name or place


def _own_version() -> str:
    try:
        return version("cord-factory")
    except PackageNotFoundError:
        return "(not installed)"
