"""What the lake remembers of a run: `runs/RUN/run.json` beside the recipe as it was run.

The document is small and rewritten as the run goes on; everything a run *made* is in the tables.
`state` is what the run last said of itself; `observed_state` looks whether whoever said `running`
still holds the run's lease, so that a killed run is not "running" for ever.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from cord.errors import LakeError, UsageError
from cord.lake.runs.lease import Leases
from cord.recipe import SAFE_NAME, Recipe

if TYPE_CHECKING:
    from cord.lake import Lake

State = Literal["running", "completed", "failed", "refused", "interrupted", "damaged"]
"""`refused`: decoded and verified, but its contract did not hold. `damaged`: its document in the
lake cannot be understood."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""When a run began of which it is not known."""


class RunDocument(BaseModel):
    """One run, as `cord runs` lists it."""

    model_config = ConfigDict(extra="ignore")

    run_id: str
    recipe: str
    """The recipe's name, which is also the data set's."""
    fingerprint: str
    search: str = ""
    """Fingerprint of everything but the problems that decides a trajectory."""
    reproducible: bool | None = None
    """The engines give the same tokens for the same seed, by their own probe: a run that was
    disturbed then makes the same bytes as one that was not. None: not known yet."""
    state: State = "running"
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    """When the latest process began; later than `created_at` in a resumed run."""
    ended_at: AwareDatetime | None = None
    shards: int = 0
    problems: int | None = None
    """Rows in the source; problems = records + wrong + quarantined."""
    records: int | None = None
    wrong: int | None = None
    quarantined: int | None = None
    release: str | None = None
    """`NAME@V`: the release that holds this run's records."""
    engines: dict[str, str] = {}
    """Teacher name to engine and model."""
    message: str = ""
    """Why it failed or was refused; of a completed one, what there is to know."""


def observed_state(lake: Lake, document: RunDocument) -> State:
    """Its `state`, but `interrupted` where nobody holds its lease any more: at once where the
    process that did was on this machine, else when the lease has ended (`cord.lake.runs.lease`)."""
    if document.state != "running" or Leases(lake.store, document.run_id).living():
        return document.state
    latest = load_run(lake, document.run_id)  # it may have ended between the two looks
    return latest.state if latest is not None and latest.state != "running" else "interrupted"


def state_in_words(state: str, quarantined: int | None) -> str:
    """A run's state, for people: `completed with 3 quarantined`."""
    return (
        f"completed with {quarantined} quarantined"
        if state == "completed" and quarantined
        else state
    )


def now() -> datetime:
    """The present, in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def check_run_id(run_id: str) -> str:
    """A run id that stays inside the lake. Raises `UsageError`."""
    if not re.fullmatch(SAFE_NAME, run_id):
        raise UsageError(
            f"{run_id!r} cannot name a run: use letters, digits, '.', '_' and '-', beginning with "
            "a letter or digit, at most 100"
        )
    return run_id


def save_run(lake: Lake, document: RunDocument) -> None:
    """Write `runs/RUN/run.json`."""
    content = document.model_dump_json(indent=2) + "\n"
    lake.store.write(f"runs/{document.run_id}/run.json", content.encode())


def load_run(lake: Lake, run_id: str) -> RunDocument | None:
    """The run's document, or None. Raises `LakeError` when it cannot be understood."""
    content = lake.store.read(f"runs/{check_run_id(run_id)}/run.json")
    if content is None:
        return None
    document = _understood(content, run_id)
    if document is None:
        raise LakeError(_damaged(run_id))
    return document


def _understood(content: bytes, run_id: str) -> RunDocument | None:
    try:
        document = RunDocument.model_validate_json(content)
    except ValidationError:
        return None
    return document if document.run_id == run_id else None


def _damaged(run_id: str) -> str:
    return (
        f"runs/{run_id}/run.json in the lake is not this run's document; was it edited? "
        "Move it away and run the recipe again: decoded shards are kept"
    )


def require_run(lake: Lake, run_id: str) -> RunDocument:
    """The run's document. Raises `UsageError` naming the runs there are."""
    document = load_run(lake, run_id)
    if document is None:
        known = ", ".join(run.run_id for run in list_runs(lake)[:10]) or "none yet"
        raise UsageError(f"there is no run {run_id!r} in this lake; runs here: {known}")
    return document


def list_runs(lake: Lake) -> list[RunDocument]:
    """All runs, newest first, each with its `observed_state`; damaged ones say so in `message`."""
    names = {key.split("/")[1] for key in lake.store.list("runs/") if key.endswith("/run.json")}
    contents = {name: lake.store.read(f"runs/{name}/run.json") for name in sorted(names)}
    listed = [_listed(lake, name, read) for name, read in contents.items() if read is not None]
    return sorted(listed, key=lambda run: (run.created_at, run.run_id), reverse=True)


def _listed(lake: Lake, run_id: str, content: bytes) -> RunDocument:
    document = _understood(content, run_id)
    if document is not None:
        return document.model_copy(update={"state": observed_state(lake, document)})
    return RunDocument(
        run_id=run_id,
        recipe="",
        fingerprint="",
        state="damaged",
        created_at=LONG_AGO,
        message=_damaged(run_id),
    )


def save_recipe(lake: Lake, run_id: str, recipe: Recipe, folder: str) -> None:
    """Keep the recipe as it was run, and the folder its paths are relative to."""
    content = {"folder": folder, "recipe": recipe.model_dump(mode="json")}
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    lake.store.write(f"runs/{run_id}/recipe.json", text.encode())


def load_recipe_of(lake: Lake, run_id: str) -> tuple[Recipe, str]:
    """The recipe as it was run, and its folder. Raises `LakeError` when it is gone."""
    content = lake.store.read(f"runs/{run_id}/recipe.json")
    if content is None:
        raise LakeError(f"run {run_id!r} has no recipe in the lake; run its recipe file again")
    try:
        kept = json.loads(content)
        return Recipe.model_validate_json(json.dumps(kept["recipe"])), str(kept["folder"])
    except (ValueError, KeyError, TypeError, RecursionError):  # pydantic's is a ValueError
        raise LakeError(
            f"runs/{run_id}/recipe.json in the lake is damaged, or of another version of cord; "
            "run the recipe's file again: what is decoded is kept"
        ) from None
