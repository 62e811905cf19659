"""What belongs to a run that is alive is never called wrong, and never touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from inspection.a_run import RUN, carry_out, step_names
from s3_server import S3Server

from cord.inspection import inspect_lake
from cord.inspection.census import YOUNG, present
from cord.inspection.mending import repair_lake
from cord.lake import Lake
from cord.lake.runs.lease import Leases
from cord.lake.runs.run import require_run

LATER = present() + 2 * YOUNG


@contextmanager
def carried_out_by_a_process(lake: Lake) -> Iterator[subprocess.Popen[str]]:
    """A process of its own holds the run's lease while the block runs."""
    program = f"""
        import time
        from cord.lake import open_lake
        from cord.lake.runs.holding import take_hold
        take_hold(open_lake({lake.uri!r}), {RUN!r}, lambda: None)
        print("held", flush=True)
        time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("behind", ["journal 0", "costs 0", "commit", "manifest", "close"])
def test_a_run_at_work_is_sound_whatever_it_has_written(folder_lake: Lake, behind: str) -> None:
    carry_out(folder_lake, 1 + step_names(folder_lake).index(behind))
    with carried_out_by_a_process(folder_lake):
        assert inspect_lake(folder_lake, LATER) == []
        assert repair_lake(folder_lake, LATER).mended == ()


def test_orphans_stay_while_any_run_is_alive_and_it_is_named(folder_lake: Lake) -> None:
    lake = folder_lake
    carry_out(lake, 10)
    orphan = "tables/steps/part-00000-dead.zstd.parquet"
    lake.store.write(orphan, b"PAR1")
    with carried_out_by_a_process(lake):
        repaired = repair_lake(lake, LATER)
        (left,) = repaired.left
        assert left.kind == "orphan files" and orphan in left.sentence
        assert left.mend is not None and RUN in repaired.refused[left.mend]
        assert lake.store.read(orphan)
    assert repair_lake(lake, LATER).left == ()
    assert lake.store.read(orphan) is None


def test_what_is_younger_than_an_hour_may_be_about_to_be_committed(folder_lake: Lake) -> None:
    carry_out(folder_lake)
    folder_lake.store.write("tables/steps/part-00000-new.zstd.parquet", b"PAR1")
    assert inspect_lake(folder_lake) == []
    assert [finding.kind for finding in inspect_lake(folder_lake, LATER)] == ["orphan files"]


def test_a_run_that_is_resumed_while_it_is_to_be_mended_is_left_alone(folder_lake: Lake) -> None:
    carry_out(folder_lake, step_names(folder_lake).index("costs 0"))
    found = inspect_lake(folder_lake)
    with carried_out_by_a_process(folder_lake) as process:
        assert {finding.run_id for finding in found} == {RUN}
        assert repair_lake(folder_lake).mended == ()
        assert require_run(folder_lake, RUN).state == "running"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert Leases(folder_lake.store, RUN).living() is None
        assert repair_lake(folder_lake).left == ()
    assert require_run(folder_lake, RUN).state == "interrupted"


def test_what_a_killed_write_left_on_a_folder_is_removed(folder_lake: Lake) -> None:
    carry_out(folder_lake)
    root = Path(folder_lake.uri)
    left = [
        root / "releases" / f".{'0' * 32}.partial",
        root / "tables/steps/part-00000-1.zstd.parquet#1",
        root / "tables/steps/_delta_log/_commit_1.json.tmp",
    ]
    for path in left:
        path.write_bytes(b"half")
    assert inspect_lake(folder_lake) == []
    (finding,) = inspect_lake(folder_lake, LATER)
    assert finding.kind == "cut-off writes"
    assert repair_lake(folder_lake, LATER).left == ()
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize("server", ["moto", pytest.param("ceph", marks=pytest.mark.slow)])
def test_uploads_that_were_never_completed_are_aborted_on_s3(
    request: pytest.FixtureRequest, on_s3: Callable[[S3Server], Lake], server: str
) -> None:
    lake = on_s3(request.getfixturevalue(f"{server}_s3"))
    carry_out(lake, step_names(lake).index("manifest"))
    bucket, _, prefix = lake.uri.removeprefix("s3://").partition("/")
    client = boto3.Session().client("s3")
    key = f"{prefix}/tables/steps/part-00000-cut.parquet"
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"half")
    repaired = repair_lake(lake, LATER)
    assert {one.finding.kind for one in repaired.mended} >= {
        "cut-off writes",
        "commit without release",
        "dead run",
    }
    assert repaired.left == ()
    assert client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    assert require_run(lake, RUN).release == "demo@1"
