"""Sixteen processes at once publish different runs to one data set; some are killed, and repeated.

On a folder and on S3. Every run must get a version of its own, 1 to 16 without a gap, each the
child of the one before, and each must hold exactly its run's records.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from benchmarks.chaos.plausible import append_all, rows
from benchmarks.chaos.servers import moto
from benchmarks.figures import Figure, at_least, at_most
from cord.lake import open_lake
from cord.lake.releases.audit import verify_release
from cord.lake.releases.release import list_releases, publish

PUBLISHERS = 16
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["benchmarks.chaos.publishers"])


def measure(quick: bool) -> list[Figure]:
    """All at once, then with every fourth of them killed; quick: the latter alone."""
    versions, wrong, killed = [], 0, 0
    for kills in (PUBLISHERS // 4,) if quick else (0, PUBLISHERS // 4, PUBLISHERS // 2):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            s3 = stack.enter_context(on_s3(Path(folder) / "s3"))
            for lake in (f"{folder}/lake", s3):
                dead = publish_at_once(lake, kills)
                made, sentences = inspect(lake)
                where = lake.partition("://")[0] if "://" in lake else "folder"
                print(f"{where}: {made} versions, {dead} publishers killed", *sentences, sep="\n  ")
                killed += dead
                versions.append(made)
                wrong += len(sentences)
    return [
        at_least("versions of 16 publishers at once", min(versions), PUBLISHERS, "versions"),
        at_most("publishers' releases that are not sound", wrong, 0, "releases"),
        at_least("publishers killed with SIGKILL", killed, 1, "kills"),
    ]


def publish_at_once(lake: str, kills: int) -> int:
    """Let the publishers loose, kill some of them at random moments, and start those again.
    Returns how many were dead before they were done."""
    opened = open_lake(lake, create=True)
    for number in range(PUBLISHERS):
        append_all(opened, _run_id(number), _problems(number))
    with tempfile.TemporaryDirectory() as line:
        made = [_begin(lake, number, Path(line)) for number in range(PUBLISHERS)]
        while len(os.listdir(line)) < PUBLISHERS:
            time.sleep(0.01)
        (Path(line) / "go").touch()
        chance = random.Random(kills)
        for victim in chance.sample(made, kills):
            victim.join(chance.uniform(0.0, 0.8))
            victim.kill()
        for process in made:
            process.join(300)
        dead = [number for number, process in enumerate(made) if process.exitcode != 0]
        for number in dead:
            _begin(lake, number, Path(line)).join(300)
    return len(dead)


def inspect(lake: str) -> tuple[int, list[str]]:
    """How many versions there are, and what is wrong with any of them."""
    opened = open_lake(lake)
    released = list_releases(opened, "shared")
    wrong = [f"{m.label}: {said}" for m in released for said in verify_release(opened, m)]
    for place, manifest in enumerate(released, 1):
        if manifest.version != place or manifest.parent != (place - 1 or None):
            wrong.append(f"{manifest.label} is number {place} and names {manifest.parent}")
    runs = sorted(manifest.run_id for manifest in released)
    if runs != sorted(_run_id(number) for number in range(PUBLISHERS)):
        wrong.append(f"the runs released are {runs}")
    wrong += [
        f"{manifest.label} has {manifest.rows} rows"
        for manifest in released
        if manifest.rows != len(_problems(int(manifest.run_id.removeprefix("run-"))))
    ]
    return len(released), wrong


@contextmanager
def on_s3(folder: Path) -> Iterator[str]:
    """A lake's address on an S3 server of its own, to which the environment points meanwhile."""
    server, before = moto(folder), dict(os.environ)
    server.start()
    try:
        os.environ.update(server.environment_for_runs())
        server.client().create_bucket(Bucket="chaos")
        yield "s3://chaos/lake"
    finally:
        server.kill()
        os.environ.clear()
        os.environ.update(before)


def _begin(lake: str, number: int, line: Path) -> BaseProcess:
    # A fork server keeps the environment that it was started in.
    keys = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    process = _PROCESSES.Process(target=_publish, args=(lake, number, line, keys))
    process.start()
    return process


def _publish(lake: str, number: int, line: Path, keys: dict[str, str]) -> None:
    os.environ.update(keys)
    opened, run_id = open_lake(lake), _run_id(number)
    records = rows("records", run_id, _problems(number))
    # No lock that a killed process could take along: files say who is there, and when to go.
    (line / str(number)).touch()
    while not (line / "go").exists():
        time.sleep(0.001)
    publish(opened, "shared", records, run_id, "recipe", {"success": True}, {"problems": 1})


def _run_id(number: int) -> str:
    return f"run-{number}"


def _problems(number: int) -> list[str]:
    return [f"p{number}-{place}" for place in range(number % 3 + 1)]
