"""A thousand faults of S3, injected between cord and a real server: no release may be torn.

Two kinds of work go through the proxy (`benchmarks.faulty_s3`): what a run does to its lake, shard
after shard and release after release, in storms and in spells in which every request fails; and
whole refreshes by `cord run`, resumed until they succeed. Then the lake is read with the proxy out
of the way. CORD_CHAOS_SEED chooses the storms.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from benchmarks.chaos.inspection import compare, contents
from benchmarks.chaos.plausible import TABLES, append_all, rows
from benchmarks.chaos.servers import S3, moto, prefect_server
from benchmarks.chaos.workshop import Workshop
from benchmarks.faulty_s3 import (
    PASSING,
    FaultyS3,
    access_denied,
    expired,
    full,
    hang,
    internal_error,
    slow_down,
)
from benchmarks.figures import Figure, at_least, at_most
from benchmarks.storm import Storm
from cord.errors import LakeError
from cord.lake import Lake, open_lake
from cord.lake.releases.audit import verify_release
from cord.lake.releases.manifest import content_hash
from cord.lake.releases.release import list_releases, publish
from cord.lake.runs.staging import DecodedShard, load_staged, stage
from cord.lake.tables.query import query

SHARE = 0.15
RUN_SHARE = 0.1
SPELLS = (access_denied, expired, full, internal_error, slow_down)
SHARDS = 3
ATTEMPTS = 200
T = TypeVar("T")


@dataclass
class Tally:
    """What came of it."""

    faults: Counter[str] = field(default_factory=Counter)
    torn: int = 0
    lost: int = 0
    twice: int = 0
    other_hash: int = 0
    unclear: int = 0
    """Errors that were no `LakeError` with one sentence."""

    @property
    def injected(self) -> int:
        """Faults in all."""
        return sum(self.faults.values())


def measure(quick: bool) -> list[Figure]:
    """A thousand faults, 120 of them in whole refreshes; quick: a hundred, and no refresh."""
    seed = int(os.environ.get("CORD_CHAOS_SEED", "1"))
    tally = Tally()
    goal, in_runs = (100, 0) if quick else (1000, 120)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        server = stack.enter_context(_server(Path(folder) / "s3"))
        if in_runs:
            _refreshes(Path(folder), server, in_runs, seed, tally)
        number = 0
        while tally.injected < goal:
            _lake_work(server, f"work-{number}", seed + number, quick, tally)
            number += 1
            print(f"{tally.injected} faults, {number} lakes", flush=True)
    print(", ".join(f"{name} {count}" for name, count in tally.faults.most_common()))
    return [
        at_least("S3 faults injected", tally.injected, goal, "faults"),
        at_most("torn releases under S3 faults", tally.torn, 0, "releases"),
        at_most("rows lost under S3 faults", tally.lost, 0, "rows"),
        at_most("rows twice under S3 faults", tally.twice, 0, "rows"),
        at_most("other content hashes under S3 faults", tally.other_hash, 0, "releases"),
        at_most("S3 faults that were not one clear sentence", tally.unclear, 0, "errors"),
    ]


def _lake_work(server: S3, name: str, seed: int, quick: bool, tally: Tally) -> None:
    """Fill a lake of its own through the proxy, and look at it without."""
    address, chance = f"s3://chaos/{name}", random.Random(seed)
    kinds = PASSING if quick else (*PASSING * 8, hang)
    with FaultyS3(server.endpoint) as proxy:
        with _pointing_at(server, proxy.endpoint):
            for shard in range(SHARDS):
                proxy.calm()
                if chance.random() < 0.3:
                    proxy.aim(chance.choice(SPELLS), times=chance.randint(3, 12))
                proxy.storm = Storm(seed + shard, SHARE, kinds)
                _one_shard(address, shard, chance, tally)
        tally.faults += Counter({k: n for k, n in proxy.counts.items() if k != "passed"})
    with _pointing_at(server, server.endpoint):
        _inspect(open_lake(address), tally)


def _one_shard(address: str, shard: int, chance: random.Random, tally: Tally) -> None:
    """Stage, append, publish, ask: each again until it succeeds, from the very beginning."""

    def opened() -> Lake:
        return open_lake(address, create=True)

    run_id, problems = f"run-{shard}", _problems(shard)
    mine = DecodedShard([{"by": chance.random()}], [], [], [])
    _until_done(lambda: stage(opened(), run_id, shard, mine), tally)
    staged = _until_done(lambda: load_staged(opened(), run_id, shard), tally)
    tally.torn += staged != mine
    _until_done(lambda: append_all(opened(), run_id, problems), tally)
    records = rows("records", run_id, problems)
    done = _until_done(
        lambda: publish(opened(), "work", records, run_id, "r", {"success": True}, {}), tally
    )
    tally.other_hash += done.manifest.content_hash != content_hash(records.to_batches())
    asked = _until_done(
        lambda: query(opened(), f"select count(*) n from steps where run_id = '{run_id}'"), tally
    )
    tally.torn += asked["n"][0].as_py() != len(problems)


def _inspect(lake: Lake, tally: Tally) -> None:
    wanted = Counter(problem for shard in range(SHARDS) for problem in _problems(shard))
    for table in TABLES:
        column = lake.tables.read(table, ["problem_id"])["problem_id"]
        found = Counter(str(problem) for problem in column.to_pylist())
        tally.lost += (wanted - found).total()
        tally.twice += (found - wanted).total()
    released = list_releases(lake, "work")
    tally.lost += SHARDS - len(released)
    tally.torn += sum(bool(verify_release(lake, manifest)) for manifest in released)
    tally.torn += [manifest.version for manifest in released] != [*range(1, SHARDS + 1)]


def _until_done(work: Callable[[], T], tally: Tally) -> T:
    for _ in range(ATTEMPTS):
        try:
            return work()
        except LakeError as error:
            unclear = "\n" in str(error) or "secret" in str(error)
        except Exception as error:
            print(f"not a sentence: {error!r}")
            unclear = True
        tally.unclear += unclear
    raise RuntimeError(f"it did not succeed in {ATTEMPTS} attempts")


def _refreshes(folder: Path, server: S3, faults: int, seed: int, tally: Tally) -> None:
    """`cord run` in a storm, resumed until it succeeds, until so many faults were injected."""
    prefect = prefect_server(folder / "prefect")
    prefect.start()
    try:
        peaceful = _workshop(folder, "peace", server, prefect.environment_for_runs())
        assert peaceful.cord("run", "recipe.yaml", "--run-id", "trial") == 0, peaceful.said
        with peaceful.opened() as lake:
            wanted = contents(lake)
        number = 0
        while tally.injected < faults:
            with FaultyS3(server.endpoint) as proxy:
                proxy.storm = Storm(seed + number, RUN_SHARE, PASSING)
                through = replace(server, endpoint=proxy.endpoint)
                mark = f"storm-{number}"
                stormy = _workshop(folder, mark, through, prefect.environment_for_runs())
                code, tries = stormy.cord("run", "recipe.yaml", "--run-id", "trial"), 1
                while code != 0 and tries < ATTEMPTS:
                    code, tries = stormy.cord("run", "recipe.yaml", "--run-id", "trial"), tries + 1
                proxy.calm()
                tally.faults += Counter({k: n for k, n in proxy.counts.items() if k != "passed"})
                tally.unclear += stormy.said.count("Traceback") + stormy.said.count("panicked")
                with stormy.opened() as lake:
                    found = compare(contents(lake), wanted)
            tally.lost, tally.twice = tally.lost + found.lost, tally.twice + found.twice
            tally.other_hash += not found.same_hash
            tally.torn += bool(found.sentences)
            number += 1
            print(f"refresh {number}: done at the {tries}. try; {tally.injected} faults")
            print(*found.sentences, sep="\n")
    finally:
        prefect.kill()


def _workshop(folder: Path, mark: str, server: S3, environment: dict[str, str]) -> Workshop:
    made = Workshop(
        folder / mark,
        f"s3://chaos/{mark}",
        {**environment, **server.environment_for_runs(), "CORD_S3_TIMEOUT": "5"},
        mark,
    )
    made.write(8, shards=2)
    return made


@contextmanager
def _server(folder: Path) -> Iterator[S3]:
    server = moto(folder)
    server.start()
    try:
        server.client().create_bucket(Bucket="chaos")
        yield server
    finally:
        server.kill()


@contextmanager
def _pointing_at(server: S3, endpoint: str) -> Iterator[None]:
    """The environment leads to the server by this address; a silent one is soon given up."""
    before = dict(os.environ)
    try:
        os.environ.update(replace(server, endpoint=endpoint).environment_for_runs())
        os.environ["CORD_S3_TIMEOUT"] = "2"
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _problems(shard: int) -> list[str]:
    return [f"p{shard}-{place}" for place in range(2)]
