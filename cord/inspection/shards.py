"""Shards: staged files that were left, tables that disagree, journals that nobody needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from cord.inspection.census import Census
from cord.inspection.finding import Finding, FinishShard, MoveAside, Remove
from cord.lake.runs.journals import read_journal
from cord.lake.runs.progress import decode_app
from cord.lake.runs.staging import DECODED, staged_key

_STAGED = re.compile(r"^runs/([^/]+)/shards/(\d{5,})\.json$")
_SEGMENT = re.compile(r"^(journals/[^/]+/([^/]+)/(\d{5,})/)[^/]+\.jsonl$")


def inspect_shards(census: Census, planned: Mapping[str, set[int]]) -> Iterator[Finding]:
    """Findings about the shards of every run; `planned` are those of each."""
    staged = set()
    for key in census.entries:
        if match := _STAGED.match(key):
            staged.add((match[1], int(match[2])))
            yield from _of_staged(census, key, match[1], int(match[2]))
    for run_id, shards in planned.items():
        for shard in sorted(shards):
            if (run_id, shard) not in staged:
                yield from _torn(census, run_id, shard)
    yield from _of_journals(census)


def _of_staged(census: Census, key: str, run_id: str, shard: int) -> Iterator[Finding]:
    lacking = [t for t in DECODED if not census.committed(t, decode_app(run_id, shard))]
    since = census.written_at(key)
    if not lacking:
        yield Finding(
            "staged shard left over",
            key,
            f"shard {shard} is in all its tables, and its staged file was not removed",
            "it may be removed",
            since,
            run_id,
            Remove((key,)),
        )
        return
    content = census.lake.store.read(key)
    if content is None:
        return  # it was committed since
    if not _is_whole(content):
        yield Finding(
            "damaged staged shard",
            key,
            f"shard {shard} cannot be committed from it to {', '.join(lacking)}",
            f"it is moved aside; `cord resume {run_id}` decodes that shard again",
            since,
            run_id,
            MoveAside(key),
        )
    elif run_id not in census.runs:
        yield Finding(
            "staged shard of an unknown run",
            key,
            f"shard {shard} is decoded, and is not in {', '.join(lacking)}",
            "run the recipe of that run again under `--run-id " + run_id + "`: it is used",
            since,
            run_id,
        )
    else:
        yield Finding(
            "shard committed in part" if len(lacking) < len(DECODED) else "shard not committed",
            key,
            f"shard {shard} is decoded, and is not in {', '.join(lacking)}",
            f"`cord resume {run_id}` commits the rest",
            since,
            run_id,
            FinishShard(run_id, shard),
        )


def _torn(census: Census, run_id: str, shard: int) -> Iterator[Finding]:
    """A shard that is in some of its tables, with no staged file to finish it from."""
    app_id = decode_app(run_id, shard)
    has = [table for table in DECODED if census.committed(table, app_id)]
    if not 0 < len(has) < len(DECODED):
        return
    journal = re.compile(rf"^journals/[^/]+/{re.escape(run_id)}/{shard:05d}/")
    is_journalled = any(map(journal.search, census.under("journals/")))
    yield Finding(
        "tables disagree about a shard",
        f"runs/{run_id}",
        f"shard {shard} is in {', '.join(has)} and not in "
        f"{', '.join(table for table in DECODED if table not in has)}, and "
        f"{staged_key(run_id, shard)}, from which the rest could be committed, is gone",
        f"`cord resume {run_id}` makes the same again from its journal"
        if is_journalled
        else "restore that file from a copy, or run the recipe under another --run-id: what this "
        "run has decoded is kept, this shard is decoded again",
        run_id=run_id,
    )


def _of_journals(census: Census) -> Iterator[Finding]:
    folders: dict[tuple[str, str, int], list[str]] = {}
    for key in census.under("journals/"):
        if match := _SEGMENT.match(key):
            folders.setdefault((match[1], match[2], int(match[3])), []).append(key)
    for (folder, run_id, shard), keys in folders.items():
        since = min(census.entries[key].written_at for key in keys)
        if all(census.committed(table, decode_app(run_id, shard)) for table in DECODED):
            yield Finding(
                "journal left over",
                folder,
                f"shard {shard} is in all its tables, and its journal was not removed",
                "it may be removed",
                since,
                run_id,
                Remove(tuple(keys)),
            )
            continue
        if run_id not in census.known:
            yield Finding(
                "journal of an unknown run",
                folder,
                "rounds that were decided and are in no table",
                "run the recipe again, which takes them up, or remove them",
                since,
                run_id,
            )
        reading, _ = read_journal(census.lake, folder, None)
        for fault in reading.faults:
            yield Finding(
                "damaged journal",
                folder,
                fault,
                f"`cord resume {run_id}` drops what is damaged and decodes those problems again",
                since,
                run_id,
            )


def _is_whole(content: bytes) -> bool:
    try:
        tables = json.loads(content)
    except ValueError:
        return False
    return isinstance(tables, dict) and set(tables) == set(DECODED)
