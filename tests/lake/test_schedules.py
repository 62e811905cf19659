from datetime import UTC, datetime
from pathlib import Path

import pytest

from cord.errors import LakeError, UsageError
from cord.lake import Lake, open_lake
from cord.lake.schedules import (
    Schedule,
    load_schedule,
    remove_schedule,
    require_schedule,
    save_schedule,
    schedule_names,
)
from cord.recipe_file import load_recipe


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"), create=True)


def schedule(name: str) -> Schedule:
    recipe = load_recipe("recipes/demo.yaml")
    return Schedule(
        name=name,
        recipe=recipe,
        folder="/data",
        file="demo.yaml",
        cron="0 3 * * *",
        timezone="UTC",
        pool="cord",
        scheduled_at=datetime(2026, 11, 29, tzinfo=UTC),
    )


def test_a_schedule_comes_back_as_it_was_until_it_is_removed(lake: Lake) -> None:
    save_schedule(lake, schedule("demo"))
    assert load_schedule(lake, "demo") == schedule("demo")
    assert schedule_names(lake) == ["demo"]
    remove_schedule(lake, "demo")
    assert load_schedule(lake, "demo") is None


def test_names_stay_inside_the_lake_and_an_unknown_one_is_told_what_there_is(lake: Lake) -> None:
    for name in ("../runs/x", "a/b", ""):
        with pytest.raises(UsageError):
            load_schedule(lake, name)
    save_schedule(lake, schedule("demo"))
    with pytest.raises(UsageError, match="there is demo"):
        require_schedule(lake, "dmo")


def test_a_damaged_one_is_a_sentence(lake: Lake) -> None:
    lake.store.write("schedules/demo.json", b'{"name": "demo"}')
    with pytest.raises(LakeError, match="schedule the recipe again"):
        load_schedule(lake, "demo")
