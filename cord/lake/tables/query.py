"""Questions to the lake, in SQL, answered by DuckDB. Read-only in earnest.

Each query gets a DuckDB of its own, in memory: extensions are loaded from their Python packages
(nothing is downloaded), the views that the statement names are made, then the doors are locked:
no external access but to the lake's own folder, no setting can be changed. What may be asked at
all is decided before, by `cord.lake.tables.select_only`.
"""

from __future__ import annotations

import importlib
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa

from cord.errors import LakeError, UsageError
from cord.lake import Lake
from cord.lake.releases.release import find_release
from cord.lake.stores.store import Store
from cord.lake.tables.schemas import SCHEMAS, TABLES
from cord.lake.tables.select_only import sentence, views_used
from cord.lake.tables.views import VIEWS, define_rows, define_views, literal

_BATCH_ROWS = 16_384
_SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
}
_checked_extensions: set[str] = set()
"""Extensions whose signature DuckDB has checked in this process. The check hashes 80 MB, near
half a second, so a process does it once for each and trusts its own files from then on."""


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What one query may use."""

    seconds: float = 300.0
    """It is interrupted after that."""
    memory: str = "4GB"
    """DuckDB's `memory_limit`; the result that is handed out does not count."""
    threads: int | None = None
    """By default one for each core."""
    spills: bool = False
    """What does not fit goes to the system's temporary folder, instead of ending the query."""


WORK = QueryLimits(seconds=86_400.0, memory="1GB", spills=True)
"""For a run's own stages: they may take as long as the data is large, and no more memory."""
SORTED_WORK = replace(WORK, threads=1)
"""The same for texts in an order. Measured on DuckDB 1.5.5: two threads that sort 1.2 GB of texts
in 1 GB of memory give up; one sorts 4.6 GB, and is no slower."""


def query(
    lake: Lake,
    sql: str,
    release: str | None = None,
    limits: QueryLimits | None = None,
    beside: Mapping[str, pa.Table] | None = None,
) -> pa.Table:
    """The answer to one SELECT over the views of `cord.lake.tables.views`, in one piece.

    With `release` (`demo@1`) the views show what was there when it was published; `beside` are
    further tables by name. Raises `UsageError` for what is wrong with the question, `LakeError`
    where the lake fails."""
    with stream(lake, sql, release, limits, beside) as batches:
        return batches.read_all()


@contextmanager
def stream(
    lake: Lake,
    sql: str,
    release: str | None = None,
    limits: QueryLimits | None = None,
    beside: Mapping[str, pa.Table] | None = None,
) -> Iterator[pa.RecordBatchReader]:
    """Like `query`, batch by batch: for answers that are larger than memory."""
    limits, beside = limits or QueryLimits(), beside or {}
    try:
        sql.encode()
    except UnicodeEncodeError:
        raise UsageError("the SQL is not valid UTF-8") from None
    used = _views_used(sql, (*VIEWS, *beside))
    extensions = _extensions(lake.store, used)
    spill = tempfile.mkdtemp(prefix="cord-query-") if limits.spills else ""
    connection = _open(limits, extensions, spill)
    clock = threading.Timer(limits.seconds, connection.interrupt)
    clock.daemon = True
    try:
        # Only what DuckDB raises is translated, never what the caller does with the batches.
        with _speaking(limits, lake.store):
            pinned = find_release(lake, release) if release else None
            if used.intersection(SCHEMAS):
                _connect(connection, lake.store, extensions)
            define_views(connection, lake, sorted(used.difference(beside)), pinned)
            for name, rows in beside.items():
                define_rows(connection, name, rows)
            _lock(connection, lake.store)
            clock.start()
            answer = connection.execute(sql).to_arrow_reader(_BATCH_ROWS)
        names = _told_apart(answer.schema.names)
        schema = pa.schema(
            [field.with_name(name) for field, name in zip(answer.schema, names, strict=True)]
        )
        batches = _batches(answer, names, limits, lake.store)
        yield pa.RecordBatchReader.from_batches(schema, batches)
    finally:
        clock.cancel()
        connection.close()
        if spill:
            shutil.rmtree(spill, ignore_errors=True)


def _views_used(sql: str, views: Collection[str]) -> set[str]:
    """In a DuckDB of its own: how the one that answers is opened depends on it."""
    with _parser(os.getpid()).cursor() as parser:
        return views_used(parser, sql, views)


@cache
def _parser(process: int) -> duckdb.DuckDBPyConnection:
    """One for a process: opening it costs as much as many a query. A forked child has its own."""
    return duckdb.connect(":memory:", config={**_SETTINGS, "temp_directory": ""})


def _batches(
    answer: pa.RecordBatchReader, names: list[str], limits: QueryLimits, store: Store
) -> Iterator[pa.RecordBatch]:
    with _speaking(limits, store):
        for batch in answer:
            yield batch.rename_columns(names)


def _told_apart(names: list[str]) -> list[str]:
    """Column names, each once: `a, a` becomes `a, a_1`, as DuckDB names them in a subquery.

    A join's `select *` gives names twice, and a row as a dictionary would lose one of the two."""
    taken: dict[str, None] = {}
    for name in names:
        numbered = (f"{name}_{n}" for n in itertools.count(1))
        taken[next(n for n in itertools.chain([name], numbered) if n not in taken)] = None
    return list(taken)


def _open(limits: QueryLimits, needed: set[str], spill: str = "") -> duckdb.DuckDBPyConnection:
    unsigned = "true" if _checked_extensions >= needed else "false"
    connection = duckdb.connect(
        ":memory:",
        config={
            **_SETTINGS,
            "temp_directory": spill,
            "memory_limit": limits.memory,
            "allow_unsigned_extensions": unsigned,
        },
    )
    # DuckDB draws one on standard output, where it takes the process for an interactive one.
    connection.execute("set enable_progress_bar = false")
    # A view is bound when it is made, and again when it is asked.
    connection.execute("set parquet_metadata_cache = true")
    if limits.threads is not None:
        connection.execute(f"set threads = {int(limits.threads)}")
    return connection


def _connect(connection: duckdb.DuckDBPyConnection, store: Store, extensions: set[str]) -> None:
    """Make the connection able to read what lies on this store."""
    secret = store.duckdb_secret()
    try:
        for extension in sorted(extensions, reverse=True):
            connection.execute(f"load {literal(str(_extension(extension)))}")
        if secret is not None:
            # httpfs copies AWS_* into settings, where SQL could read them.
            connection.execute("set enable_global_s3_configuration = false")
            for setting in ("s3_access_key_id", "s3_secret_access_key", "s3_session_token"):
                connection.execute(f"set {setting} = ''")
            parameters = ", ".join(f"{name} {literal(value)}" for name, value in secret.items())
            connection.execute(f"create secret lake (type s3, {parameters})")
    except duckdb.Error as error:
        # `from None`: the statement that failed may hold credentials.
        raise LakeError(
            f"DuckDB could not be set up for the lake ({type(error).__name__}); are "
            "duckdb-extension-delta and -httpfs of DuckDB's own version?"
        ) from None
    _checked_extensions.update(extensions)


def _extensions(store: Store, used: set[str]) -> set[str]:
    """Records are read as plain Parquet, by their release's manifest."""
    needed = {"delta"} if used.intersection(TABLES) else set()
    remote = used.intersection(SCHEMAS) and store.duckdb_secret() is not None
    return needed | {"httpfs"} if remote else needed


def _extension(name: str) -> Path:
    """The extension's file inside its Python package, which must fit DuckDB to the digit."""
    package = f"duckdb_extension_{name}"
    try:
        folder = Path(str(importlib.import_module(package).__file__)).parent / "extensions"
    except ImportError as error:
        raise LakeError(
            f"the package {package} is missing; run "
            f"pip install duckdb-extension-{name}=={duckdb.__version__}"
        ) from error
    path = folder / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not path.is_file():
        raise LakeError(
            f"the package {package} is not for DuckDB {duckdb.__version__}; run "
            f"pip install duckdb-extension-{name}=={duckdb.__version__}"
        )
    return path


def _lock(connection: duckdb.DuckDBPyConnection, store: Store) -> None:
    connection.execute(f"set allowed_directories = [{literal(store.root.rstrip('/') + '/')}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


@contextmanager
def _speaking(limits: QueryLimits, store: Store) -> Iterator[None]:
    """Turn what DuckDB raises, at once or while batches are read, into a sentence.

    A question cannot name files, so an error that names one under the lake's root is the lake's."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise _too_long(limits) from error
    except duckdb.OutOfMemoryException as error:
        raise UsageError(
            f"the query needs more than {limits.memory} of memory; select fewer columns or rows"
        ) from error
    except (duckdb.IOException, duckdb.HTTPException) as error:
        raise _unreadable(error, store) from error
    except duckdb.Error as error:
        if store.root in str(error):
            raise _unreadable(error, store) from error
        raise UsageError(sentence(error)) from error
    except (pa.ArrowException, OSError) as error:
        if "INTERRUPT" in str(error).upper():
            raise _too_long(limits) from error
        if store.root in str(error):
            raise _unreadable(error, store) from error
        raise UsageError(f"the query failed: {sentence(error)}") from error


def _unreadable(error: Exception, store: Store) -> LakeError:
    said = store.explain(str(error), "tables")
    return LakeError(said or f"the lake could not be read: {sentence(error)}")


def _too_long(limits: QueryLimits) -> UsageError:
    return UsageError(
        f"the query took longer than {limits.seconds:g} s and was stopped; narrow it with WHERE"
    )
