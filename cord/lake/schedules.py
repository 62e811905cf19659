"""Schedules: which recipe is refreshed when, as it was when it was scheduled.

    schedules/NAME.json      the recipe, the folder of its paths, the cron

The recipe's file may be edited at any time; what is refreshed is what lies here, until it is
scheduled again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from cord.errors import LakeError, UsageError
from cord.recipe import SAFE_NAME, Recipe

if TYPE_CHECKING:
    from cord.lake import Lake

_FOLDER = "schedules/"


class Schedule(BaseModel):
    """One schedule. It holds no secret, as no recipe does."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    """Also the deployment's: `refresh/NAME`."""
    recipe: Recipe
    folder: str
    """Absolute; the recipe's paths are relative to it."""
    file: str
    """The recipe's own, for people."""
    cron: str
    timezone: str
    pool: str
    scheduled_at: AwareDatetime


def save_schedule(lake: Lake, schedule: Schedule) -> None:
    """Write it over an earlier one of the same name."""
    content = schedule.model_dump_json(indent=2) + "\n"
    lake.store.write(_key(schedule.name), content.encode())


def load_schedule(lake: Lake, name: str) -> Schedule | None:
    """The schedule, or None. Raises `LakeError` where it cannot be understood."""
    key = _key(name)
    content = lake.store.read(key)
    if content is None:
        return None
    try:
        return Schedule.model_validate_json(content)
    except ValidationError:
        raise LakeError(
            f"{lake.store.uri(key)} is damaged, or of another version of cord; schedule the "
            "recipe again: `cord schedule RECIPE --cron ...`"
        ) from None


def require_schedule(lake: Lake, name: str) -> Schedule:
    """The schedule. Raises `UsageError` that names those there are."""
    found = load_schedule(lake, name)
    if found is None:
        names = (
            ", ".join(schedule_names(lake)) or "none; `cord schedule RECIPE --cron ...` makes one"
        )
        raise UsageError(f"there is no schedule {name!r} in {lake.uri}; there is {names}")
    return found


def schedule_names(lake: Lake) -> list[str]:
    """Sorted."""
    keys = (key for key in lake.store.list(_FOLDER) if key.endswith(".json"))
    return [key.removeprefix(_FOLDER).removesuffix(".json") for key in keys]


def remove_schedule(lake: Lake, name: str) -> None:
    """Take it away; what it made stays."""
    lake.store.delete([_key(name)])


def check_schedule_name(name: str) -> str:
    """A name that stays inside the lake. Raises `UsageError`."""
    if not re.fullmatch(SAFE_NAME, name):
        raise UsageError(
            f"{name!r} cannot name a schedule: use letters, digits, '.', '_' and '-', beginning "
            "with a letter or digit, at most 100"
        )
    return name


def _key(name: str) -> str:
    return f"{_FOLDER}{check_schedule_name(name)}.json"
