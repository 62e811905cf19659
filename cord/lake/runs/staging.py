"""A decoded shard, kept as one immutable file until its tables are committed.

A shard goes into several Delta tables, one commit each. Where engines do not give the same tokens
twice, a crash between two commits must not mix two decodings: so the shard is first written whole,
to be created once (`If-None-Match`), and every commit, first or repeated, is made from that file.
A second worker on the same shard finds it and uses it. When all is committed, it goes.

A staged shard is safe, so that where there are very many, several may go into the tables together:
a commit reads the table's whole log, and a question every file that it names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from cord.errors import LakeError
from cord.lake.runs.progress import decode_app
from cord.lake.tables.rows import Row
from cord.lake.tables.schemas import SCHEMAS

if TYPE_CHECKING:
    from cord.lake import Lake

DECODED = ("steps", "costs", "quarantine", "trajectories")
"""Tables of a decoded shard as they are committed. Trajectories last: they say that it is done."""


@dataclass(frozen=True, slots=True)
class DecodedShard:
    """Rows of one shard, ready for the tables."""

    steps: list[Row]
    trajectories: list[Row]
    costs: list[Row]
    quarantine: list[Row]


_ROWS = TypeAdapter(DecodedShard)


def staged_key(run_id: str, shard: int) -> str:
    """Where the file is."""
    return f"runs/{run_id}/shards/{shard:05d}.json"


def load_staged(lake: Lake, run_id: str, shard: int) -> DecodedShard | None:
    """The decoded shard, or None. Raises `LakeError` when the file is not whole."""
    key = staged_key(run_id, shard)
    content = lake.store.read(key)
    if content is None:
        return None
    try:
        return _ROWS.validate_json(content)
    except ValidationError as error:
        raise LakeError(
            f"{key} in the lake is damaged ({error.errors()[0]['msg'][:200]}); remove it and "
            "resume the run: "
            "this shard alone is decoded again"
        ) from None


def commit_staged(lake: Lake, run_id: str, shard: int, decoded: DecodedShard) -> list[str]:
    """Commit the shard to every table that has it not; returns which those were."""
    return commit_staged_together(lake, run_id, {shard: decoded})


def commit_staged_together(
    lake: Lake, run_id: str, decoded: Mapping[int, DecodedShard]
) -> list[str]:
    """The same for several shards, in one commit a table. Each shard is there once, as if it were
    committed by itself; a crash in between is mended by committing them again, in any company."""
    return [
        table
        for table in DECODED
        if lake.tables.append_each_once(
            table,
            {
                decode_app(run_id, shard): pa.Table.from_pylist(
                    getattr(rows, table), schema=SCHEMAS[table]
                )
                for shard, rows in decoded.items()
            },
        )
    ]


def unstage(lake: Lake, run_id: str, *shards: int) -> None:
    """Delete the files: call it when every table has these shards. A worker that is late and stages
    one again finds all its commits made, and comes here too."""
    lake.store.delete([staged_key(run_id, shard) for shard in shards])


def stage(lake: Lake, run_id: str, shard: int, decoded: DecodedShard) -> DecodedShard:
    """Write the decoded shard once; whoever was first wins, and the winner is returned."""
    content = json.dumps(
        {
            "steps": decoded.steps,
            "trajectories": decoded.trajectories,
            "costs": decoded.costs,
            "quarantine": decoded.quarantine,
        },
        ensure_ascii=False,
        allow_nan=False,
    )
    if lake.store.create(staged_key(run_id, shard), content.encode("utf-8", "replace")):
        return decoded
    return load_staged(lake, run_id, shard) or decoded
