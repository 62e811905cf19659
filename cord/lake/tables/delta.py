"""Delta tables as the lake uses them: a commit happens once, and old versions stay readable.

*Once.* Every commit carries an application transaction (its app id). Look first: if the table has
seen the app id, the work is done. Otherwise commit through the very handle that looked; a racer
with the same id makes that fail, and we look again. A blind second append would duplicate.

*A commit whose answer was lost* may stand all the same: before it is called failed, or tried again,
we look. A late twin of the first try cannot land beside the second: both want the same version.

*Overwrites are compare-and-swap.* Left to itself, deltalake rebases a lost overwrite onto the
winner and so unites both contents (measured, 1.6.6); with no commit retries it fails instead.

*For ever.* Releases pin table versions, so log entries and files are never cleaned up.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal

import pyarrow as pa
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Schema,
    Transaction,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction

from cord.errors import LakeError
from cord.lake.stores.store import Store
from cord.lake.tables.data_files import Rows, write_data_files
from cord.lake.tables.schemas import conform

APP_ID: Final = "cord.app_id"
"""Key of a commit's metadata under which it names its application transaction, the first of
several."""

_TRIES = 40
_TRIES_LOST = 3
_KEEP_FOR_EVER: Final = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}
_NO_RETRIES = 0
_LOG_ENTRY = re.compile(r"/(\d{20})\.json$")


def open_table(store: Store, key: str, version: int | None = None) -> DeltaTable | None:
    """The table at `key`, as of `version` or as it is; None where there is none."""
    with speaking(store, key):
        try:
            return DeltaTable(store.uri(key), version=version, storage_options=_options(store))
        except TableNotFoundError:
            return None


def commit_once(
    store: Store,
    key: str,
    schema: pa.Schema,
    rows: Rows,
    *,
    mode: Literal["append", "overwrite"],
    app_id: str,
    metadata: dict[str, str] | None = None,
) -> bool:
    """Commit `rows` unless a commit with this `app_id` is there. Makes the table if need be.

    Returns whether this call made the commit; with racers on one app id, exactly one does."""
    if isinstance(rows, pa.Table):
        rows = conform(rows, schema)
    facts = metadata or {}
    return bool(_commit_new(store, key, schema, [app_id], lambda _: rows, mode, facts))


def commit_each_once(
    store: Store, key: str, schema: pa.Schema, parts: Mapping[str, pa.Table]
) -> set[str]:
    """Append the rows of every app id that the table has not seen, all in one commit.

    Returns the app ids that this call committed. As if each were committed by itself: a racer
    may have committed some of them, and these are left out."""
    fitting = {app_id: conform(rows, schema) for app_id, rows in parts.items()}

    def together(app_ids: Sequence[str]) -> pa.Table:
        return pa.concat_tables([fitting[app_id] for app_id in app_ids]).combine_chunks()

    return _commit_new(store, key, schema, list(fitting), together, "append", {})


def _commit_new(
    store: Store,
    key: str,
    schema: pa.Schema,
    app_ids: Sequence[str],
    rows_of: Callable[[Sequence[str]], Rows],
    mode: Literal["append", "overwrite"],
    metadata: dict[str, str],
) -> set[str]:
    """Commit what the table has not seen of `app_ids`; returns those that this call committed."""
    files: list[AddAction] | None = None
    tried: list[str] = []
    lost: list[Exception] = []
    for attempt in range(_TRIES):
        with speaking(store, key):
            table = _open_or_create(store, key, schema)
            if table is not None:
                new = [app_id for app_id in app_ids if table.transaction_version(app_id) is None]
                if len(new) < len(app_ids) and attempt and files and _has(table, files[0]):
                    return set(tried)
                if not new:
                    return set()
                if len(lost) == _TRIES_LOST:
                    raise lost[-1]
                if files is None or new != tried:
                    files, tried = write_data_files(store, key, rows_of(new), schema), new
                try:
                    _commit(table, schema, files, mode, new, metadata)
                except CommitFailedError:
                    pass
                except (DeltaError, OSError) as error:
                    lost.append(error)
                else:
                    return set(new)
        time.sleep(random.uniform(0.2, 1.0) * min(0.05 * 2**attempt, 1.0))  # noqa: S311
    raise LakeError(
        f"{store.uri(key)} was being committed to by others {_TRIES} times in a row; "
        "run the same command again"
    )


def version_of(store: Store, key: str, app_id: str) -> int | None:
    """The version that the commit with this app id made; None where there is none.

    Read from the log itself, where a commit's name is its version: `DeltaTable.history` counts
    back from the newest version and is off by one when another commit arrives meanwhile."""
    for entry in reversed(store.list(f"{key}/_delta_log/")):
        if not (match := _LOG_ENTRY.search(entry)):
            continue
        for line in (store.read(entry) or b"").splitlines():
            if json.loads(line).get("commitInfo", {}).get(APP_ID) == app_id:
                return int(match[1])
    return None


def files_of(table: DeltaTable) -> list[tuple[str, int]]:
    """(path relative to the table, rows) of each data file, sorted by path."""
    return sorted((str(file["path"]), int(file["num_records"])) for file in _added(table))


def sizes_of(table: DeltaTable) -> dict[str, int]:
    """Bytes of each data file, by its path relative to the table, as they were when committed."""
    return {str(file["path"]): int(file["size_bytes"]) for file in _added(table)}


@contextmanager
def speaking(store: Store, key: str) -> Iterator[None]:
    """Turn what deltalake raises into a `LakeError` that names the table."""
    try:
        yield
    except LakeError:
        raise
    except (DeltaError, OSError) as error:
        text = str(error).strip()
        sentence = store.explain(text, key)
        if sentence is None:
            said = text.splitlines()[0] if text else type(error).__name__
            sentence = f"the Delta table {store.uri(key)} failed: {said}"
        raise LakeError(sentence) from error


def _open_or_create(store: Store, key: str, schema: pa.Schema) -> DeltaTable | None:
    """The table, with every column; None when another process was making it, or changing it, at
    the same moment: look again."""
    table = open_table(store, key)
    if table is not None:
        return _with_columns(table, schema)
    # A folder that cannot be made is said better by the store than by deltalake.
    try:
        return DeltaTable.create(
            store.uri(key),
            schema=schema,
            mode="error",
            configuration=_KEEP_FOR_EVER,
            storage_options=_options(store),
            commit_properties=CommitProperties(max_commit_retries=_NO_RETRIES),
        )
    except (CommitFailedError, DeltaError):
        if open_table(store, key) is None:
            raise
        return None


def _with_columns(table: DeltaTable, schema: pa.Schema) -> DeltaTable | None:
    """The same table, which an older cord may have made, with the columns that it lacks added.

    deltalake would append rows with further columns and leave these out of the table's schema."""
    there = {field.name for field in table.schema().fields}
    lacking = [field for field in Schema.from_arrow(schema).fields if field.name not in there]
    if not lacking:
        return table
    try:
        table.alter.add_columns(
            lacking,
            commit_properties=CommitProperties(max_commit_retries=_NO_RETRIES),
            post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
        )
    except CommitFailedError:
        return None
    return table


def _commit(
    table: DeltaTable,
    schema: pa.Schema,
    files: Sequence[AddAction],
    mode: Literal["append", "overwrite"],
    app_ids: Sequence[str],
    metadata: dict[str, str],
) -> None:
    properties: dict[str, Any] = {
        "custom_metadata": {**metadata, APP_ID: app_ids[0]},
        "app_transactions": [Transaction(app_id, 1) for app_id in app_ids],
    }
    if mode == "overwrite":
        properties["max_commit_retries"] = _NO_RETRIES
    table.create_write_transaction(
        list(files),
        mode=mode,
        schema=schema,
        commit_properties=CommitProperties(**properties),
        post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
    )


def _has(table: DeltaTable, file: AddAction) -> bool:
    return file.path in sizes_of(table)


def _added(table: DeltaTable) -> list[dict[str, Any]]:
    return list(pa.table(table.get_add_actions(flatten=True)).to_pylist())


def _options(store: Store) -> dict[str, str] | None:
    return store.delta_options() or None
