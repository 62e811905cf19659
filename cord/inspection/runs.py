"""Runs: documents that cannot be read, runs that say they are running and are not."""

from __future__ import annotations

import json
from collections.abc import Iterator

from cord.inspection.census import Census
from cord.inspection.finding import Finding, Interrupt, MoveAside, Remove, Resummarise
from cord.lake.runs.lease import Lease
from cord.lake.runs.run import RunDocument
from cord.recipe import Recipe
from cord.usage import Usage


def inspect_runs(census: Census) -> Iterator[Finding]:
    """Findings in `runs/`, but for staged shards."""
    for run_id in sorted(census.damaged_runs):
        key = f"runs/{run_id}/run.json"
        yield Finding(
            "damaged run document",
            key,
            "it cannot be read, so that no command can list the runs",
            "it is moved aside; run the recipe again: what is decoded is kept",
            census.written_at(key),
            run_id,
            MoveAside(key),
        )
    for run_id, document in census.runs.items():
        yield from _of_run(census, run_id, document)
    yield from _without_document(census)
    yield from _damaged(census)


def _of_run(census: Census, run_id: str, document: RunDocument) -> Iterator[Finding]:
    since = document.ended_at or document.started_at or document.created_at
    if document.state == "running":
        yield Finding(
            "dead run",
            f"runs/{run_id}/run.json",
            "it says `running`, and nobody is carrying it out",
            f"`cord resume {run_id}` does what is missing",
            since,
            run_id,
            Interrupt(run_id),
        )
    if f"runs/{run_id}/recipe.json" not in census.entries:
        yield Finding(
            "run without recipe",
            f"runs/{run_id}/recipe.json",
            "it cannot be resumed, and its release not be held against its contract",
            "restore the file from a copy, or run the recipe's file again",
            since,
            run_id,
        )
    summary = f"runs/{run_id}/summary.json"
    if document.state in ("completed", "refused") and _lacks_summary(census, run_id):
        yield Finding(
            "run without summary",
            summary,
            "the run is closed, and its summary is gone",
            f"everything it tells is in the tables: `cord query \"... where run_id = '{run_id}'\"`",
            since,
            run_id,
            Resummarise(run_id),
        )


def _lacks_summary(census: Census, run_id: str) -> bool:
    """Runs that were refused before anything was counted have none to write."""
    return f"runs/{run_id}/summary.json" not in census.entries and (
        census.runs[run_id].state == "completed" or f"runs/{run_id}/counts.json" in census.entries
    )


def _without_document(census: Census) -> Iterator[Finding]:
    made: dict[str, list[str]] = {}
    for key in census.under("runs/"):
        made.setdefault(key.split("/")[1], []).append(key)
    for run_id, keys in sorted(made.items()):
        if run_id in census.known:
            continue
        times = [census.entries[key].written_at for key in keys]
        if census.is_young(max(times)):
            continue  # somebody may be laying it down
        left = [key for key in keys if not key.endswith(".damaged")]
        nothing = not _has_commits(census, run_id) and all(
            key.startswith((f"runs/{run_id}/recipe.json", f"runs/{run_id}/lease/")) for key in left
        )
        if not nothing:
            yield Finding(
                "files of an unknown run",
                f"runs/{run_id}/",
                f"{len(keys)} files, and no run.json that says what they are",
                "run its recipe again, which makes the document anew, or remove the folder",
                min(times),
                run_id,
            )
        elif left:
            yield Finding(
                "run that never began",
                f"runs/{run_id}/",
                "its recipe was laid down, and nothing was made",
                "run the recipe again",
                min(times),
                run_id,
                Remove(tuple(left)),
            )


def _has_commits(census: Census, run_id: str) -> bool:
    return any(
        app_id.startswith((f"{run_id}/", f"release:{run_id}:"))
        for log in census.logs.values()
        for app_id in log.app_ids
    ) or any(f"/{run_id}/" in key for key in census.under("journals/"))


def _damaged(census: Census) -> Iterator[Finding]:
    """Documents that are written anew by whoever needs them, or not needed at all."""
    for key in census.under("runs/"):
        run_id, _, name = key.removeprefix("runs/").partition("/")
        content = census.lake.store.read(key) if _is_document(name) else None
        if content is None or (fault := _fault(name, content)) is None:
            continue
        means, remedy = _DOCUMENTS[name.partition("/")[0]]
        yield Finding(
            f"{fault} document",
            key,
            means,
            remedy,
            census.written_at(key),
            run_id,
            MoveAside(key) if fault == "damaged" else None,
        )


_DOCUMENTS = {
    "recipe.json": (
        "the run's recipe cannot be used, so that it cannot be resumed",
        "run the recipe's file again, or restore this one from a copy",
    ),
    "summary.json": ("the run's summary cannot be read", "it is written anew from the tables"),
    "counts.json": (
        "what became of the run's problems cannot be read",
        "a run that is resumed counts again",
    ),
    "usage": (
        "what a process asked of its models cannot be read, and with it no summary be made",
        "it is moved aside: what that process cost is then missing from the summary",
    ),
    "contracts": ("a contract's result cannot be read", "a run that is resumed checks again"),
    "lease": ("it says not who carried the run out", "it is moved aside"),
}
"""What it means where a document cannot be read, and what to do."""


def _is_document(name: str) -> bool:
    return name.endswith(".json") and name.partition("/")[0] in _DOCUMENTS


def _fault(name: str, content: bytes) -> str | None:
    """None where it can be read."""
    try:
        document = json.loads(content)
        if not isinstance(document, dict):
            return "damaged"
        if name.startswith("usage/"):
            Usage.model_validate_json(content)
        elif name.startswith("lease/"):
            Lease.model_validate_json(content)
        elif name == "recipe.json":
            return _fault_of_recipe(document)
    except ValueError:  # pydantic's is one too
        return "damaged"
    return None


def _fault_of_recipe(document: dict[str, object]) -> str | None:
    if not isinstance(document.get("folder"), str) or "recipe" not in document:
        return "damaged"
    try:
        Recipe.model_validate_json(json.dumps(document["recipe"]))
    except ValueError:
        return "unusable"  # it may be of another version of cord, and is not ours to move
    return None
