"""Questions to a release: the lake's query beside plain DuckDB over the same Parquet files."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.chaos.publishers import on_s3
from benchmarks.figures import Figure, at_most
from cord.lake import Lake, open_lake
from cord.lake.releases.manifest import Manifest
from cord.lake.releases.release import find_release, publish
from cord.lake.tables.query import query, stream
from cord.lake.tables.schemas import SCHEMAS

ROUNDS = 25
LATER = 10
"""Releases that come after the one that is asked."""
GOAL = 1.3
QUESTIONS = {
    "aggregate": "select rank, avg(score) as score, sum(tokens) as tokens, "
    "count(*) filter (repetition > .1) as n from records group by rank",
    "look-up": "select messages from records where problem_id = '{problem}'",
}


def query_figures(folder: Path, small: str, large: str) -> list[Figure]:
    """Ratios to plain DuckDB, on the large run's folder and with the small run's release on S3."""
    figures = _of_lake(open_lake(str(folder / large)), "on a folder", direct_folder)
    with on_s3(folder / "s3") as uri:
        lake = open_lake(uri, create=True)
        _copy(open_lake(str(folder / small)), lake)
        figures += _of_lake(lake, "on S3", direct_s3)
    return figures


def direct_folder(lake: Lake) -> duckdb.DuckDBPyConnection:
    """Plain DuckDB."""
    return duckdb.connect(":memory:")


def direct_s3(lake: Lake) -> duckdb.DuckDBPyConnection:
    """Plain DuckDB with httpfs and the lake's credentials."""
    from cord.lake.tables.query import _extension
    from cord.lake.tables.views import literal

    connection = duckdb.connect(":memory:", config={"allow_unsigned_extensions": "true"})
    connection.execute(f"load {literal(str(_extension('httpfs')))}")
    secret = lake.store.duckdb_secret() or {}
    parameters = ", ".join(f"{name} {literal(value)}" for name, value in secret.items())
    connection.execute(f"create secret plain (type s3, {parameters})")
    return connection


def _of_lake(
    lake: Lake, where: str, direct: Callable[[Lake], duckdb.DuckDBPyConnection]
) -> list[Figure]:
    first = find_release(lake, "scale")
    figures = _compared(lake, first, where, direct)
    old = _seconds(lambda: _ask(lake, first, "aggregate"))
    for _ in range(LATER):
        _publish_another(lake)
    older = _seconds(lambda: _ask(lake, first, "aggregate"))
    name = f"{LATER} releases back {where}, against when it was the newest"
    return [*figures, at_most(name, older / old, GOAL, "times as long")]


def _compared(
    lake: Lake, release: Manifest, where: str, direct: Callable[[Lake], duckdb.DuckDBPyConnection]
) -> list[Figure]:
    figures = []
    files = ", ".join(f"'{lake.store.uri(file.path)}'" for file in release.files)
    for name, sql in QUESTIONS.items():
        plain = sql.format(problem=_problem(release)).replace(
            "from records", f"from read_parquet([{files}])"
        )

        def asked(plain: str = plain) -> None:
            with direct(lake) as connection:
                connection.execute(plain).to_arrow_table()

        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(_once(lambda name=name: _ask(lake, release, name)))  # type: ignore[misc]
            theirs.append(_once(asked))
        print(
            f"  {name} {where}: {min(ours) * 1e3:.0f} ms, plain DuckDB {min(theirs) * 1e3:.0f} ms "
            f"(medians {statistics.median(ours) * 1e3:.0f}, {statistics.median(theirs) * 1e3:.0f})",
            flush=True,
        )
        figure = f"{name} {where}, against plain DuckDB"
        figures.append(at_most(figure, min(ours) / min(theirs), GOAL, "times as long"))
    return figures


def _ask(lake: Lake, release: Manifest, name: str) -> None:
    query(lake, QUESTIONS[name].format(problem=_problem(release)), release=release.label)


def _problem(release: Manifest) -> str:
    return f"p{release.rows // 2 // 20 * 20:07d}"


def _publish_another(lake: Lake) -> None:
    """A small release of the same data set."""
    with stream(lake, "select * exclude (dataset) from records limit 1000") as batches:
        rows = batches.read_all()
    taken = rows.slice(0, 900 - len(lake.store.list("releases/scale/")))
    publish(lake, "scale", taken.cast(SCHEMAS["records"]), "later", "f", {"holds": True}, {})


def _copy(source: Lake, target: Lake) -> None:
    def rows() -> Iterator[pa.RecordBatch]:
        with stream(source, "select * exclude (dataset) from records", release="scale@1") as all_:
            yield from all_

    publish(target, "scale", rows, "scale", "f", {"holds": True}, {})


def _seconds(work: Callable[[], None]) -> float:
    return min(_once(work) for _ in range(ROUNDS))


def _once(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
