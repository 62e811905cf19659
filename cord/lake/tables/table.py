"""The tables that runs append to, shard by shard, each shard once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from cord.lake.stores.store import Store
from cord.lake.tables.delta import commit_each_once, commit_once, open_table, speaking
from cord.lake.tables.schemas import SCHEMAS, TABLES
from cord.lake.tables.transactions import seen_app_ids

_BATCH_ROWS = 4096
_READ_AHEAD = 4
_FEW = 16
"""App ids that are looked up one by one; more are read from the log at once."""


def table_key(table: str) -> str:
    """Where a table of `TABLES` lives in the lake."""
    return f"tables/{table}"


class Tables:
    """`problems`, `steps`, `trajectories`, `verdicts` and `quarantine` of one lake.

    A shard commits several tables, each by itself; which first and under which app ids is the
    caller's to say, so that a crash between two of them is mended by committing them all again."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def append_once(self, table: str, rows: pa.Table, app_id: str) -> bool:
        """Append `rows` unless this app id was committed before. True: this call committed.

        No rows are a commit too: the app id is then known. Raises ValueError for rows that do
        not fit the table's schema, LakeError where the lake fails."""
        return commit_once(
            self._store, table_key(table), SCHEMAS[table], rows, mode="append", app_id=app_id
        )

    def append_each_once(self, table: str, parts: Mapping[str, pa.Table]) -> set[str]:
        """`append_once` for rows by app id, in one commit; returns the app ids it committed."""
        return commit_each_once(self._store, table_key(table), SCHEMAS[table], parts)

    def committed(self, table: str, app_ids: Iterable[str]) -> set[str]:
        """Those of `app_ids` that the table has seen."""
        app_ids = list(app_ids)
        if len(app_ids) > _FEW:
            with speaking(self._store, table_key(table)):
                return seen_app_ids(self._store, table_key(table)).intersection(app_ids)
        handle = open_table(self._store, table_key(table))
        if handle is None:
            return set()
        with speaking(self._store, table_key(table)):
            return {one for one in app_ids if handle.transaction_version(one) is not None}

    def scan(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        version: int | None = None,
    ) -> pa.RecordBatchReader:
        """Stream the columns of the rows that fit `where`, a few thousand rows at a time.

        The filter and the columns are pushed down: files whose statistics rule them out are not
        read. `version` reads the table as it was. A table not yet written reads as empty."""
        schema = SCHEMAS[table]
        wanted = list(columns) if columns is not None else schema.names
        dataset: ds.Dataset
        handle = open_table(self._store, table_key(table), version)
        with speaking(self._store, table_key(table)):
            if handle is None:
                dataset = ds.dataset(schema.empty_table())
            else:
                dataset = handle.to_pyarrow_dataset(schema=schema)
            return dataset.scanner(
                columns=wanted,
                filter=where,
                batch_size=_BATCH_ROWS,
                batch_readahead=_READ_AHEAD,
                fragment_readahead=_READ_AHEAD,
            ).to_reader()

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """What `scan` streams, in one piece."""
        with speaking(self._store, table_key(table)):
            return self.scan(table, columns, where, version).read_all()

    def versions(self) -> dict[str, int]:
        """The present version of each table that exists: what a release pins."""
        with ThreadPoolExecutor(len(TABLES)) as pool:
            found = pool.map(lambda name: open_table(self._store, table_key(name)), TABLES)
            return {
                name: handle.version()
                for name, handle in zip(TABLES, found, strict=True)
                if handle is not None
            }
