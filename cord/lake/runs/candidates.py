"""The records that ask to be published, on their way from one stage of a run to the next.

    runs/RUN/records/00000.parquet ...   the candidates, in parts: correct, chosen, with signals
    runs/RUN/drops/STAGE.parquet         what a stage drops of them, with the evidence

A part is never changed: what a stage drops is left out when the parts are read. All is streamed,
part by part, since the texts of a release may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cord.errors import LakeError
from cord.lake.runs.run import check_run_id
from cord.lake.tables.schemas import QUARANTINE, SCHEMAS

if TYPE_CHECKING:
    from cord.lake import Lake

CANDIDATES: Final = SCHEMAS["records"].append(pa.field("outcome", pa.string()))
"""Columns of records on their way to the contract, with the verdict that it looks at."""
SELECT, DEDUPLICATE, DECONTAMINATE = STAGES = ("select", "deduplicate", "decontaminate")
"""The stages that drop, in order."""
ASIDE: Final = QUARANTINE.remove(0)
"""Columns of what a stage sets aside, problem by problem."""
_PART_ROWS = 16_384
_BATCH_ROWS = 4_096


def write_candidates(lake: Lake, run_id: str, batches: Iterable[pa.RecordBatch]) -> int:
    """Write all candidates of a run, over what an earlier try has left; returns their number."""
    folder = _folder(run_id)
    rows, parts = 0, 0
    for part in _in_parts(batches):
        _write(lake, f"{folder}{parts:05d}.parquet", part)
        rows, parts = rows + part.num_rows, parts + 1
    if not parts:  # none is a result too
        _write(lake, f"{folder}{0:05d}.parquet", CANDIDATES.empty_table())
    lake.store.delete(_parts(lake, run_id)[max(parts, 1) :])
    return rows


def read_candidates(
    lake: Lake, run_id: str, columns: Sequence[str] | None = None, before: str | None = None
) -> Iterator[pa.RecordBatch]:
    """The candidates that no stage (none before the stage `before`) has dropped, by shard, problem
    and rank, a few thousand at a time. Raises `LakeError` where they are not there."""
    wanted = list(columns) if columns is not None else CANDIDATES.names
    stages = STAGES if before is None else STAGES[: STAGES.index(before)]
    gone = _gone(lake, run_id, stages)
    read = list(dict.fromkeys([*wanted, *(("problem_id", "rank") if gone is not None else ())]))
    parts = _parts(lake, run_id)
    if not parts:
        raise LakeError(f"{_folder(run_id)} is missing from the lake; resume run {run_id}")
    for key in parts:
        content = lake.store.read(key)
        if content is None:
            raise LakeError(f"{key} is gone from the lake; resume run {run_id}")
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=read):
                if gone is not None:
                    stays = pc.invert(pc.is_in(_names(batch), value_set=gone))
                    batch = batch.filter(stays)
                if batch.num_rows:
                    yield batch.select(wanted)


def write_drops(
    lake: Lake, run_id: str, stage: str, dropped: pa.Table, aside: pa.Table | None = None
) -> None:
    """Keep what a stage drops (columns of `SCHEMAS["dropped"]`), and, of the first stage, the
    problems that it sets aside (`ASIDE`)."""
    _write(lake, _drops_key(run_id, stage), dropped.cast(SCHEMAS["dropped"]))
    if aside is not None:
        _write(lake, _aside_key(run_id), aside.cast(ASIDE))


def read_drops(lake: Lake, run_id: str, stages: Iterable[str] = STAGES) -> pa.Table:
    """What stages have dropped, in columns of `SCHEMAS["dropped"]`."""
    tables = [_read(lake, _drops_key(run_id, stage)) for stage in stages]
    schema = SCHEMAS["dropped"]
    return pa.concat_tables([schema.empty_table(), *(t for t in tables if t is not None)])


def read_aside(lake: Lake, run_id: str) -> pa.Table:
    """The problems that the selection has set aside, in columns of `ASIDE`."""
    found = _read(lake, _aside_key(run_id))
    return ASIDE.empty_table() if found is None else found


def _in_parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    gathered: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        while rows + batch.num_rows >= _PART_ROWS:
            room = _PART_ROWS - rows
            yield pa.Table.from_batches([*gathered, batch.slice(0, room)], CANDIDATES)
            gathered, rows, batch = [], 0, batch.slice(room)
        if batch.num_rows:
            gathered.append(batch)
            rows += batch.num_rows
    if gathered:
        yield pa.Table.from_batches(gathered, CANDIDATES)


def _gone(lake: Lake, run_id: str, stages: Sequence[str]) -> pa.Array[Any] | None:
    drops = read_drops(lake, run_id, stages)
    return _names(drops.combine_chunks()).unique() if drops.num_rows else None


def _names(rows: pa.RecordBatch | pa.Table) -> pa.Array[Any]:
    """One text for each row that names it: its rank, which has no blank, and its problem."""
    rank: Any = pc.cast(rows["rank"], pa.string())
    joined = pc.binary_join_element_wise(rank, rows["problem_id"], " ")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def _write(lake: Lake, key: str, rows: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", compression_level=1)
    lake.store.write(key, sink.getvalue().to_pybytes())


def _read(lake: Lake, key: str) -> pa.Table | None:
    content = lake.store.read(key)
    return None if content is None else pq.read_table(pa.BufferReader(content))


def _folder(run_id: str) -> str:
    return f"runs/{check_run_id(run_id)}/records/"


def _parts(lake: Lake, run_id: str) -> list[str]:
    return lake.store.list(_folder(run_id))


def _drops_key(run_id: str, stage: str) -> str:
    return f"runs/{check_run_id(run_id)}/drops/{stage}.parquet"


def _aside_key(run_id: str) -> str:
    return f"runs/{check_run_id(run_id)}/drops/aside.parquet"
