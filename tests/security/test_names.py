"""Names that people and recipes give stay within the lake, whatever letters they try."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from factory import STARTER

from cord.errors import CordError, RecipeError
from cord.lake import open_lake
from cord.lake.releases.release import find_release
from cord.lake.runs.run import check_run_id
from cord.lake.schedules import load_schedule
from cord.recipe_file import parse_recipe

NAMES = (
    "..",
    ".",
    "",
    "../x",
    "a/../../x",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "a\x00b",
    "a\n",
    "a\nb",
    ".hidden",
    "-option",
    "a b",
    "a%2e%2e",
    "\u2025",  # TWO DOT LEADER, which folds to ..
    "\uff0e\uff0e\uff0fx",  # full-width ../x
    "a\u2215b",  # a slash of mathematics
    "a\u202egnp.exe",  # written backwards
    "е",  # a Cyrillic letter that looks like e
    "a" * 101,
    "~",
    "$HOME",
    "a;rm",
    "a'--",
)


@pytest.fixture
def lake_folder(tmp_path: Path) -> Path:
    open_lake(str(tmp_path / "lake"), create=True)
    (tmp_path / "secret.json").write_text(json.dumps({"state": "completed"}))
    return tmp_path / "lake"


@pytest.mark.parametrize("name", NAMES)
def test_no_data_set_run_or_schedule_can_be_named_so(name: str, lake_folder: Path) -> None:
    lake = open_lake(str(lake_folder))
    before = sorted(lake_folder.parent.rglob("*"))
    for look in (
        lambda: parse_recipe(yaml.safe_dump({**STARTER, "name": name})),
        lambda: check_run_id(name),
        lambda: find_release(lake, name),
        lambda: find_release(lake, f"{name}@1"),
        lambda: load_schedule(lake, name),
    ):
        with pytest.raises(CordError):
            look()
    assert sorted(lake_folder.parent.rglob("*")) == before


@pytest.mark.parametrize("key", ["../secret.json", "a/../../secret.json", "/etc/passwd", "a//b"])
def test_no_key_leaves_the_lake(key: str, lake_folder: Path) -> None:
    store = open_lake(str(lake_folder)).store
    for touch in (
        lambda: store.read(key),
        lambda: store.write(key, b""),
        lambda: store.create(key, b""),
        lambda: store.delete([key]),
        lambda: store.list(key),
        lambda: store.digest(key),
    ):
        with pytest.raises(CordError, match="leave the lake"):
            touch()
    assert (lake_folder.parent / "secret.json").exists()


def test_teachers_names_are_held_to_the_same() -> None:
    for name in NAMES:
        teachers = [{"name": name, "model": "cord:ada"}]
        with pytest.raises(RecipeError):
            parse_recipe(yaml.safe_dump({**STARTER, "teachers": teachers}))
