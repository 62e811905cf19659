"""A decoded shard, kept as one immutable file until its tables are committed.

A shard goes into several Delta tables, one commit each. Where engines do not give the same tokens
twice, a crash between two commits must not mix two decodings: so the shard is first written whole,
to be created once (`If-None-Match`), and every commit, first or repeated, is made from that file.
A second worker on the same shard finds it and uses it. When all is committed, it goes.
"""

from __future__ import annotations

import json
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
    app_id = decode_app(run_id, shard)
    return [
        table
        for table in DECODED
        if lake.tables.append_once(
            table, pa.Table.from_pylist(getattr(decoded, table), schema=SCHEMAS[table]), app_id
        )
    ]


def unstage(lake: Lake, run_id: str, shard: int) -> None:
    """Delete the file: call it when every table has the shard. A worker that is late and stages it
    again finds all its commits made, and comes here too."""
    lake.store.delete([staged_key(run_id, shard)])


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
