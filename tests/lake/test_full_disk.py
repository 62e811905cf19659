"""A disk that is really full: one sentence, nothing half there, and all is well once there is room.

The disk is a small file system in memory, mounted for the test: that takes root, and is skipped
where it is not allowed.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from factory import Factory

from cord.errors import LakeError
from cord.lake import Lake, open_lake
from cord.lake.releases.release import list_releases, publish
from cord.lake.runs.staging import DecodedShard, load_staged, stage

Rows = Callable[..., pa.Table]
FULL = r"the disk is full; make room, then run the same command again"


@dataclass
class Disk:
    """A small file system."""

    folder: Path

    @property
    def free(self) -> int:
        """Bytes."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_bsize

    def fill(self, leave: int = 0) -> None:
        """Leave only so many bytes."""
        with (self.folder / "filler").open("ab") as filler:
            filler.write(b"x" * max(0, self.free - leave))

    def make_room(self) -> None:
        """Take away what `fill` has put there."""
        (self.folder / "filler").unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount program")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield Disk(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def lake(disk: Disk) -> Lake:
    return open_lake(str(disk.folder / "lake"), create=True)


def size_of(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def noise(size: int) -> str:
    """Text that does not compress well."""
    return random.Random(size).randbytes(size // 2).hex()


@pytest.mark.parametrize("leave", [0, 8192, 36_864])
def test_a_full_disk_is_one_sentence_and_nothing_is_half_there(
    disk: Disk, lake: Lake, make_rows: Rows, leave: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Full before the data file, in the midst of it, and before the commit."""
    text = noise(60_000)
    steps, records = make_rows("steps", ["p1"], text=text), make_rows("records", ["p1"])
    shard = DecodedShard([{"text": text}], [], [], [])
    lake.store.write("key", b"old")
    lake.tables.append_once("steps", make_rows("steps", ["p0"]), "run/0")
    disk.fill(leave)
    for work in (
        lambda: lake.store.write("key", b"x" * 50_000),
        lambda: lake.store.create("new", b"x" * 50_000),
        lambda: stage(lake, "run", 0, shard),
        lambda: lake.tables.append_once("steps", steps, "run/1"),
    ):
        with pytest.raises(LakeError, match=FULL) as caught:
            work()
        assert "\n" not in str(caught.value)
    assert lake.store.read("key") == b"old" and lake.store.read("new") is None
    assert load_staged(lake, "run", 0) is None
    assert lake.tables.committed("steps", ["run/1"]) == set()
    assert not [*lake.store.unfinished()], "what was begun was taken away"

    disk.fill()
    with pytest.raises(LakeError, match=FULL):
        publish(lake, "demo", records, "run", "fingerprint", {}, {})
    assert list_releases(lake) == []
    said = capfd.readouterr()
    assert "panicked" not in said.err + said.out

    disk.make_room()
    assert lake.tables.append_once("steps", steps, "run/1")
    assert publish(lake, "demo", records, "run", "fingerprint", {}, {}).manifest.label == "demo@1"
    assert lake.tables.read("steps").num_rows == 2


@pytest.mark.slow
def test_a_run_whose_disk_is_full_says_so_and_is_resumed_to_the_same_bytes(
    disk: Disk, factory: Factory
) -> None:
    other = factory.folder / "other lake"
    peaceful = factory.run("--run-id", "same", "--lake", str(other))
    assert peaceful.code == 0, peaceful.err
    wanted = factory.cord("releases", "--json", "--lake", str(other)).json

    factory.lake = str(disk.folder / "lake")
    factory.environment["CORD_LAKE"] = factory.lake
    disk.fill(size_of(other) // 2)
    full = factory.run("--run-id", "same")
    assert full.code == 1, full.err
    assert "the disk is full; make room" in full.err
    assert "panicked" not in full.err and "Traceback" not in full.err
    disk.make_room()
    resumed = factory.cord("resume", "same", "--json")
    assert resumed.code == 0, resumed.err
    found = factory.cord("releases", "--json").json
    assert [one["content_hash"] for one in found] == [one["content_hash"] for one in wanted]
    assert factory.cord("verify", "small@1", "--json").json["holds"]
