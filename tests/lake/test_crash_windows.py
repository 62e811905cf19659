"""kill -9 at every boundary, of a real process: what is done again is the same, and there once.

On S3 a proxy holds one request, before or after the server has got it, and there the process dies;
on a folder it dies as soon as a name appears, or a little later.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.chaos.plausible import append_all, rows
from benchmarks.faulty_s3 import FaultyS3
from cord.lake import Lake, open_lake
from cord.lake.releases.manifest import content_hash
from cord.lake.releases.release import list_releases, publish
from cord.lake.runs.staging import DecodedShard, commit_staged, load_staged, stage, unstage

WORK = """
import json, sys
from test_crash_windows import WORKS
WORKS[sys.argv[1]](sys.argv[2], *json.loads(sys.argv[3]))
"""
TABLES = ("steps", "costs", "quarantine", "trajectories")
RECORDS = rows("records", "run", ["p1", "p2"])


def decoded(by: str) -> DecodedShard:
    """A shard of two problems as `by` has decoded it: engines need not agree."""
    made = {}
    for table in TABLES:
        found = rows(table, "run", ["p1", "p2"]).to_pylist()
        made[table] = [
            {**row, **({"text": f"by {by}"} if "text" in row else {"teacher": by})} for row in found
        ]
    return DecodedShard(**{table: made[table] for table in TABLES})


def make(uri: str) -> None:
    open_lake(uri, create=True)


def carry_out(uri: str, by: str) -> None:
    """A shard as `tasks.decode` does it, from the look into the lake to the end."""
    lake = open_lake(uri)
    if lake.tables.committed("trajectories", ["run/shard-00000"]):
        return unstage(lake, "run", 0)
    staged = load_staged(lake, "run", 0) or stage(lake, "run", 0, decoded(by))
    commit_staged(lake, "run", 0, staged)
    return unstage(lake, "run", 0)


def release(uri: str) -> None:
    publish(open_lake(uri), "demo", RECORDS, "run", "fingerprint", {"success": True}, {})


WORKS: dict[str, Callable[..., None]] = {
    "make": make,
    "carry_out": carry_out,
    "release": release,
}


def start(work: str, uri: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A process of its own that does one of `WORKS`."""
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), str(here.parent.parent)]
    return subprocess.Popen(
        [sys.executable, "-c", WORK, work, uri, json.dumps(arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stderr=subprocess.PIPE,
    )


def whose(lake: Lake) -> dict[str, set[str]]:
    """Who has decoded what is in each table; every table must have two rows."""
    found = {}
    for table in TABLES:
        read = lake.tables.read(table).to_pylist()
        assert len(read) == 2, f"{table} has {len(read)} rows"
        found[table] = {
            str(row["text"]).removeprefix("by ") if "text" in row else row["teacher"]
            for row in read
            if row.get("text") or row.get("teacher")
        }
    return found


@pytest.fixture
def uri(uri_behind_proxy: str) -> str:
    return uri_behind_proxy


@pytest.fixture
def kill_at(proxy: FaultyS3) -> Callable[..., None]:
    """kill_at(path, after, work, uri, ...): kill -9 while the put of such a path is under way."""

    def kill(path: str, after: bool, work: str, *arguments: str) -> None:
        held = proxy.hold("PUT", path, after=after)
        process = start(work, *arguments)
        while not held.arrived.wait(0.05):
            assert process.poll() is None, (process.stderr or sys.stdin.buffer).read().decode()
        process.kill()
        process.wait()
        proxy.calm()

    return kill


BOUNDARIES = [
    "/shards/00000.json",
    r"/tables/steps/.*parquet",
    r"/tables/steps/_delta_log/0+0\.json",
    *(rf"/tables/{table}/_delta_log/0+1\.json" for table in TABLES),
]


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_shard_killed_at_any_boundary_is_there_once_and_of_one_decoding(
    uri: str, kill_at: Callable[..., None], boundary: str, after: bool
) -> None:
    lake = open_lake(uri, create=True)
    kill_at(boundary, after, "carry_out", uri, "first")
    carry_out(uri, "second")
    survived = boundary != BOUNDARIES[0] or after
    assert set.union(*whose(lake).values()) == {"first" if survived else "second"}
    assert not lake.store.list("runs/")


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("boundary", ["parquet", r"_delta_log/0+1\.json", "/releases/demo/"])
def test_a_publication_killed_at_any_boundary_is_one_release_of_the_same_content(
    uri: str, kill_at: Callable[..., None], boundary: str, after: bool
) -> None:
    lake = open_lake(uri, create=True)
    kill_at(boundary, after, "release", uri)
    release(uri)
    release(uri)
    (only,) = list_releases(lake)
    assert (only.label, only.rows) == ("demo@1", 2)
    assert only.content_hash == content_hash(RECORDS.to_batches())
    assert only.delta_version == 1, "committed once"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_lake_whose_making_was_killed_is_made_by_the_next(
    uri: str, kill_at: Callable[..., None], after: bool
) -> None:
    kill_at(r"lake\.json", after, "make", uri)
    assert open_lake(uri, create=True).store.list() == ["lake.json"]


def test_of_two_runs_of_a_shard_at_once_one_decoding_wins_in_all_tables(
    uri: str, proxy: FaultyS3
) -> None:
    lake = open_lake(uri, create=True)
    racers = [start("carry_out", uri, by) for by in ("one", "two", "three")]
    for racer in racers:
        assert racer.wait(120) == 0, (racer.stderr or sys.stdin.buffer).read().decode()
    assert len(set.union(*whose(lake).values())) == 1
    assert not lake.store.list("runs/")


def test_a_racer_that_stages_when_all_is_committed_and_cleared_changes_nothing(
    folder_lake: Lake,
) -> None:
    """It looked before the other had staged, and was slow."""
    carry_out(folder_lake.uri, "the fast one")
    before = folder_lake.tables.versions()
    late = stage(folder_lake, "run", 0, decoded("the slow one"))
    assert commit_staged(folder_lake, "run", 0, late) == []
    unstage(folder_lake, "run", 0)
    assert folder_lake.tables.versions() == before
    assert set.union(*whose(folder_lake).values()) == {"the fast one"}


def test_a_killed_write_on_a_folder_leaves_the_old_content_and_no_key(tmp_path: Path) -> None:
    """Killed at random moments while it publishes, again and again, until it has succeeded once."""
    uri = str(tmp_path / "lake")
    lake = open_lake(uri, create=True)
    append_all(lake, "run", ["p1", "p2"])
    for delay in (0.0, 0.01, 0.02, 0.04):
        process = start("release", uri)
        while not (tmp_path / "lake/datasets").exists() and process.poll() is None:
            time.sleep(0.001)
        time.sleep(delay)
        process.kill()
        process.wait()
    release(uri)
    (only,) = list_releases(lake)
    assert (only.label, only.rows, only.delta_version) == ("demo@1", 2, 1)
    assert not any(".partial" in key for key in lake.store.list())
