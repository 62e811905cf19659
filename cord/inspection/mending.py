"""What can be mended without guessing, mended.

Whatever belongs to a run is done while holding that run's lease, so that nobody carries it out
meanwhile. Nothing that a release refers to is touched, nothing that a living run may need is
removed, and what is damaged is moved aside, never thrown away. Mending twice changes nothing more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from cord.errors import CordError, LakeError
from cord.inspection import inspect_lake
from cord.inspection.census import alive
from cord.inspection.delta_log import log_key, read_log
from cord.inspection.finding import (
    Complete,
    Discard,
    Finding,
    FinishRelease,
    FinishShard,
    Interrupt,
    Mend,
    MoveAside,
    Remove,
    RemoveOrphans,
    Resummarise,
    some,
)
from cord.lake import Lake
from cord.lake.releases.manifest import content_hash
from cord.lake.releases.release import dataset_key, find_release, publish
from cord.lake.runs.holding import take_hold
from cord.lake.runs.journals import forget_journal
from cord.lake.runs.run import RunDocument, now, require_run, save_run
from cord.lake.runs.staging import commit_staged, load_staged, unstage
from cord.lake.tables.delta import open_table, speaking
from cord.lake.tables.schemas import RECORDS
from cord.summary import summarise


@dataclass(frozen=True, slots=True)
class Mended:
    """One thing that was done."""

    finding: Finding
    done: str


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of a lake."""

    mended: tuple[Mended, ...]
    left: tuple[Finding, ...]
    """What a person must do; each one's `remedy` says what."""
    refused: Mapping[Mend, str]
    """Why a mend was not done."""


def repair_lake(lake: Lake, at: datetime | None = None) -> Repair:
    """Mend, look again, and so on until nothing is left that can be mended. What could not be
    done is tried again once something else was: it may have been in its way.

    `at` is the present by default. Raises `LakeError` where the lake cannot be read; a mend that
    fails is left, and the others are done."""
    mended: list[Mended] = []
    refused: dict[Mend, str] = {}
    done: set[Mend] = set()
    while True:
        found = inspect_lake(lake, at)
        done_before = len(done)
        for finding in found:
            if finding.mend is None or finding.mend in done:
                continue
            try:
                with _held(lake, finding):
                    mended.append(Mended(finding, _mend(lake, finding.mend)))
            except CordError as error:
                refused[finding.mend] = str(error)
            else:
                done.add(finding.mend)
                refused.pop(finding.mend, None)
        if len(done) == done_before:
            return Repair(tuple(mended), tuple(found), refused)


@contextmanager
def _held(lake: Lake, finding: Finding) -> Iterator[None]:
    """Nobody else carries the finding's run out while the block runs. Raises `RunHeld`."""
    run_id = finding.run_id
    if run_id is None or lake.store.read(f"runs/{run_id}/run.json") is None:
        yield  # nobody can, without a document
        return
    hold = take_hold(lake, run_id, lambda: None)
    try:
        yield
    finally:
        hold.close()


def _mend(lake: Lake, mend: Mend) -> str:
    """Do it, and say what was done."""
    match mend:
        case Remove(keys):
            lake.store.delete(keys)
            return f"removed {some(keys)}"
        case RemoveOrphans(table, keys):
            return _remove_orphans(lake, table, keys)
        case Discard(unfinished):
            _refuse_if_any_lives(lake)
            for one in unfinished:
                lake.store.discard(one)
            return f"removed {some([one.where for one in unfinished])}"
        case MoveAside(key):
            return f"moved {key} aside to {_move_aside(lake, key)}"
        case Interrupt(run_id):
            return _interrupt(lake, run_id)
        case FinishShard(run_id, shard):
            return _finish_shard(lake, run_id, shard)
        case FinishRelease(name, delta_version):
            return _finish_release(lake, name, delta_version)
        case Complete(run_id, release):
            return _complete(lake, run_id, release)
        case Resummarise(run_id):
            return _resummarise(lake, run_id)


def _remove_orphans(lake: Lake, table: str, keys: tuple[str, ...]) -> str:
    _refuse_if_any_lives(lake)
    log = read_log(lake, table, lake.store.list(f"{table}/_delta_log/"))
    orphans = [key for key in keys if key not in log.files]
    if log.damaged:
        raise LakeError(f"{some(log.damaged)} cannot be read, and may name them")
    lake.store.delete(orphans)
    return f"removed {some(orphans)}"


def _refuse_if_any_lives(lake: Lake) -> None:
    if living := sorted(alive(lake)):
        raise LakeError(
            f"not while a run is alive that may be about to commit it: {some(living)}; "
            "repair again when it is over"
        )


def _move_aside(lake: Lake, key: str) -> str:
    content = lake.store.read(key) or b""
    aside, n = f"{key}.damaged", 1
    while not lake.store.create(aside, content):
        aside, n = f"{key}.damaged.{n}", n + 1
    lake.store.delete([key])
    return aside


def _interrupt(lake: Lake, run_id: str) -> str:
    document = require_run(lake, run_id)
    if document.state != "running":
        return f"run {run_id} is marked {document.state} already"
    update = {
        "state": "interrupted",
        "ended_at": now(),
        "message": "it was found dead by `cord verify --lake --repair`",
    }
    save_run(lake, document.model_copy(update=update))
    return f"marked run {run_id} interrupted; `cord resume {run_id}` goes on with it"


def _finish_shard(lake: Lake, run_id: str, shard: int) -> str:
    staged = load_staged(lake, run_id, shard)
    committed = [] if staged is None else commit_staged(lake, run_id, shard, staged)
    unstage(lake, run_id, shard)
    if search := require_run(lake, run_id).search:
        forget_journal(lake, search, run_id, shard)
    return f"committed shard {shard} of run {run_id} to {', '.join(committed) or 'no table'}"


def _finish_release(lake: Lake, name: str, delta_version: int) -> str:
    key = dataset_key(name)
    log = read_log(lake, key, [log_key(key, delta_version)])
    table = open_table(lake.store, key, delta_version)
    if not log.commits or table is None:
        raise LakeError(f"version {delta_version} of {lake.store.uri(key)} is gone")
    facts = log.commits[0].facts

    def rows() -> Iterator[pa.RecordBatch]:
        with speaking(lake.store, key):
            yield from table.to_pyarrow_dataset(schema=RECORDS).to_batches(batch_size=4_096)

    if content_hash(rows()) != facts["content_hash"]:
        raise LakeError(
            f"the rows of version {delta_version} of {lake.store.uri(key)} are not those that run "
            f"{facts['run_id']} committed; nothing was published"
        )
    published = publish(
        lake,
        name,
        rows,
        run_id=facts["run_id"],
        fingerprint=facts["recipe"],
        contract=json.loads(facts["contract"]),
        counts=json.loads(facts["counts"]),
        decontamination=json.loads(facts.get("decontamination", "{}")),
        source=json.loads(facts.get("source", "{}")),
    )
    verb = "published" if published.new else "found"
    return f"{verb} {published.manifest.label}, the records of run {facts['run_id']}"


def _complete(lake: Lake, run_id: str, release: str) -> str:
    manifest = find_release(lake, release)
    document = require_run(lake, run_id)
    update: dict[str, Any] = {
        "state": "completed",
        "ended_at": manifest.created_at,
        "release": release,
        "message": "",
        **{name: manifest.counts.get(name) for name in ("records", "wrong", "quarantined")},
    }
    save_run(lake, document.model_copy(update=update))
    return f"closed run {run_id}, which has made {release}"


def _resummarise(lake: Lake, run_id: str) -> str:
    document = require_run(lake, run_id)
    summary = summarise(lake, document, _counts(lake, document))
    content = json.dumps(summary.to_json(), indent=2, ensure_ascii=False) + "\n"
    lake.store.write(f"runs/{run_id}/summary.json", content.encode())
    return f"wrote runs/{run_id}/summary.json"


def _counts(lake: Lake, document: RunDocument) -> dict[str, int]:
    """What became of the run's problems, as it or its release remembers."""
    content = lake.store.read(f"runs/{document.run_id}/counts.json")
    if content is not None:
        return dict(json.loads(content))
    manifest = find_release(lake, document.release) if document.release else None
    if manifest is None or manifest.run_id != document.run_id:
        raise LakeError(f"runs/{document.run_id}/counts.json is gone: nobody counted the problems")
    return manifest.counts
