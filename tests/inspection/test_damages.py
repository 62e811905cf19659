"""Each kind of damage is named, and mended where that needs no guess."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from inspection.a_run import RUN, carry_out, released
from inspection.damages import DAMAGES

from cord.inspection import inspect_lake
from cord.inspection.census import YOUNG, present
from cord.inspection.mending import Repair, repair_lake
from cord.lake import Lake, open_lake
from cord.lake.releases.audit import verify_release
from cord.lake.releases.release import list_releases

pytestmark = pytest.mark.slow
LATER = present() + 2 * YOUNG
"""When what has just been written is young no more."""
MENDABLE = sorted(name for name, damage in DAMAGES.items() if not damage.left)
LEFT = sorted(set(DAMAGES) - set(MENDABLE))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with one completed run and its release; copy it."""
    path = tmp_path_factory.mktemp("sound") / "lake"
    carry_out(open_lake(str(path), create=True))
    return path


def copied(sound: Path, to: Path) -> Lake:
    shutil.copytree(sound, to)
    return open_lake(str(to))


def contents(lake: Lake) -> dict[str, bytes | None]:
    return {key: lake.store.read(key) for key in lake.store.list()}


def check(lake: Lake, name: str) -> None:
    """Named, mended, and not mended twice."""
    damage = DAMAGES[name]
    damage.do(lake)
    repaired = repair_lake(lake, LATER)
    assert {finding.kind for finding in repaired.left} == damage.left
    assert {one.finding.kind for one in repaired.mended} == damage.found - damage.left
    assert all(finding.sentence and finding.remedy for finding in repaired.left)
    before = contents(lake)
    assert repair_lake(lake, LATER) == Repair((), repaired.left, {})
    assert contents(lake) == before


@pytest.mark.parametrize("name", MENDABLE)
def test_what_needs_no_guess_is_mended_and_the_release_stays_as_it_was(
    sound: Path, tmp_path: Path, name: str
) -> None:
    lake = copied(sound, tmp_path / "lake")
    released_before = list_releases(lake)[0].content_hash
    check(lake, name)
    (manifest,) = list_releases(lake)
    assert manifest.content_hash == released_before
    assert verify_release(lake, manifest) == []


@pytest.mark.parametrize("name", LEFT)
def test_what_needs_a_person_is_said(sound: Path, tmp_path: Path, name: str) -> None:
    check(copied(sound, tmp_path / "lake"), name)


@pytest.mark.parametrize("name", ["in one table", "no manifest"])
def test_it_is_the_same_on_s3(lake: Lake, name: str) -> None:
    carry_out(lake)
    check(lake, name)
    assert verify_release(lake, released(lake)) == []


@settings(max_examples=4)
@example(names=["torn summary", "torn usage"])
@example(names=["a run that died", "torn usage", "no summary"])
@given(names=st.lists(st.sampled_from(MENDABLE), min_size=2, max_size=5, unique=True))
def test_any_damages_together_are_mended(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    lake = copied(sound, tmp_path_factory.mktemp("damaged") / "lake")
    released_before = list_releases(lake)[0].content_hash
    for name in names:
        DAMAGES[name].do(lake)
    assert repair_lake(lake, LATER).left == ()
    assert inspect_lake(lake, LATER) == []
    (manifest,) = list_releases(lake)
    assert manifest.content_hash == released_before and manifest.run_id == RUN
    assert verify_release(lake, manifest) == []
