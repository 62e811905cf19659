"""Questions to the lake, in SQL, answered by DuckDB. Read-only in earnest.

Each query gets a DuckDB of its own, in memory: extensions are loaded from their Python packages
(nothing is downloaded), the views that the statement names are made, then the doors are locked:
no external access but to the lake's own folder, no setting can be changed. What may be asked at
all is decided before, by `cord.lake.select_only`.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from cord.errors import LakeError, UsageError
from cord.lake import Lake
from cord.lake.releases import find_release
from cord.lake.select_only import sentence, views_used
from cord.lake.store import Store
from cord.lake.views import VIEWS, define_views, literal

_BATCH_ROWS = 16_384
_SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_persistent_secrets": "false",
    "temp_directory": "",
    "python_enable_replacements": "false",
}


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What one query may use."""

    seconds: float = 300.0
    """It is interrupted after that."""
    memory: str = "4GB"
    """DuckDB's `memory_limit`; the result that is handed out does not count."""
    threads: int | None = None
    """By default one for each core."""


def query(
    lake: Lake, sql: str, release: str | None = None, limits: QueryLimits | None = None
) -> pa.Table:
    """The answer to one SELECT over the views of `cord.lake.views`, in one piece.

    With `release` (`demo@1`) the views show what was there when it was published. Raises
    `UsageError` for what is wrong with the question, `LakeError` where the lake fails."""
    with stream(lake, sql, release, limits) as batches:
        return batches.read_all()


@contextmanager
def stream(
    lake: Lake, sql: str, release: str | None = None, limits: QueryLimits | None = None
) -> Iterator[pa.RecordBatchReader]:
    """Like `query`, batch by batch: for answers that are larger than memory."""
    limits = limits or QueryLimits()
    used = views_used(sql, VIEWS)
    pinned = find_release(lake, release) if release else None
    connection = _connect(lake.store, limits)
    clock = threading.Timer(limits.seconds, connection.interrupt)
    clock.daemon = True
    try:
        with _speaking(limits):
            define_views(connection, lake, sorted(used), pinned)
            _lock(connection, lake.store)
            clock.start()
            yield connection.execute(sql).to_arrow_reader(_BATCH_ROWS)
    finally:
        clock.cancel()
        connection.close()


def _connect(store: Store, limits: QueryLimits) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config={**_SETTINGS, "memory_limit": limits.memory})
    try:
        connection.execute(f"set threads = {limits.threads or os.cpu_count() or 1}")
        for extension in ("httpfs", "delta"):
            connection.execute(f"load {literal(str(_extension(extension)))}")
        # httpfs copies AWS_* into settings, where SQL could read them.
        connection.execute("set enable_global_s3_configuration = false")
        for setting in ("s3_access_key_id", "s3_secret_access_key", "s3_session_token"):
            connection.execute(f"set {setting} = ''")
        secret = store.duckdb_secret()
        if secret is not None:
            parameters = ", ".join(f"{name} {literal(value)}" for name, value in secret.items())
            connection.execute(f"create secret lake (type s3, {parameters})")
    except duckdb.Error as error:
        connection.close()
        # `from None`: the statement that failed may hold credentials.
        raise LakeError(
            f"DuckDB could not be set up for the lake ({type(error).__name__}); are "
            "duckdb-extension-delta and -httpfs of DuckDB's own version?"
        ) from None
    return connection


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
def _speaking(limits: QueryLimits) -> Iterator[None]:
    """Turn what DuckDB raises, at once or while batches are read, into a sentence."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise _too_long(limits) from error
    except duckdb.OutOfMemoryException as error:
        raise UsageError(
            f"the query needs more than {limits.memory} of memory; select fewer columns or rows"
        ) from error
    except (duckdb.IOException, duckdb.HTTPException) as error:
        raise LakeError(f"the lake could not be read: {sentence(error)}") from error
    except duckdb.Error as error:
        raise UsageError(sentence(error)) from error
    except (pa.ArrowException, OSError) as error:
        if "INTERRUPT" in str(error).upper():
            raise _too_long(limits) from error
        raise UsageError(f"the query failed: {sentence(error)}") from error


def _too_long(limits: QueryLimits) -> UsageError:
    return UsageError(
        f"the query took longer than {limits.seconds:g} s and was stopped; narrow it with WHERE"
    )
