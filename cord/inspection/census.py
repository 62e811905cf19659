"""What lies in the lake at one moment, read once for all that look at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from cord.inspection.delta_log import DeltaLog, read_log, tables_in
from cord.lake import Lake
from cord.lake.runs.lease import Leases
from cord.lake.runs.run import RunDocument
from cord.lake.stores.store import Entry
from cord.lake.tables.table import table_key

_READERS = 16
YOUNG = timedelta(hours=1)
"""What no run is known to own is left alone for so long: somebody may be about to commit it."""


@dataclass(frozen=True, slots=True)
class Census:
    """Keys, runs and logs. Runs may be at work meanwhile: see `alive`."""

    lake: Lake
    now: datetime
    entries: Mapping[str, Entry]
    """Every key, with size and time."""
    runs: Mapping[str, RunDocument]
    damaged_runs: frozenset[str]
    """Runs whose document cannot be read."""
    logs: Mapping[str, DeltaLog] = field(repr=False)
    """Of each Delta table, by its key."""

    @property
    def known(self) -> set[str]:
        """Runs that have a document, readable or not."""
        return {*self.runs, *self.damaged_runs}

    def under(self, prefix: str) -> list[str]:
        """Every key that begins so."""
        return [key for key in self.entries if key.startswith(prefix)]

    def written_at(self, key: str) -> datetime | None:
        """When a key was written; None where it is not there."""
        entry = self.entries.get(key)
        return None if entry is None else entry.written_at

    def gone(self, folder: str, keys: Iterable[str]) -> list[str]:
        """Those of these keys under `folder/` that are not in the lake. What was committed while
        keys were listed is looked for a second time."""
        lacking = [key for key in keys if key not in self.entries]
        again = self.lake.store.entries(f"{folder}/") if lacking else {}
        return [key for key in lacking if key not in again]

    def is_young(self, since: datetime) -> bool:
        """Whether it was written so lately that it may be on its way."""
        return self.now - since < YOUNG

    def committed(self, table: str, app_id: str) -> bool:
        """Whether a table of `cord.lake.tables.schemas.TABLES` has seen this commit."""
        log = self.logs.get(table_key(table))
        return log is not None and app_id in log.app_ids


def take_census(lake: Lake, now: datetime) -> Census:
    """Look at the whole lake. Keys come first, so that what was listed and is committed meanwhile
    is found in the logs. Raises `LakeError` where the lake cannot be read."""
    entries = lake.store.entries()
    runs, damaged = {}, set()
    for run_id, document in _documents(lake, list(entries)):
        if document is None:
            damaged.add(run_id)
        else:
            runs[run_id] = document
    logs = {table: read_log(lake, table, entries) for table in tables_in(entries)}
    return Census(lake, now, entries, runs, frozenset(damaged), logs)


def alive(lake: Lake) -> set[str]:
    """Runs that somebody is carrying out at this moment."""
    leased = {key.split("/")[1] for key in lake.store.list("runs/") if "/lease/" in key}

    def lives(run_id: str) -> bool:
        return Leases(lake.store, run_id).living() is not None

    with ThreadPoolExecutor(_READERS) as pool:
        return {run_id for run_id, yes in zip(leased, pool.map(lives, leased), strict=True) if yes}


def present() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def _documents(lake: Lake, keys: list[str]) -> Iterator[tuple[str, RunDocument | None]]:
    """Each run with its document; None where that is damaged."""
    for key in keys:
        parts = key.split("/")
        if len(parts) != 3 or parts[0] != "runs" or parts[2] != "run.json":
            continue
        content = lake.store.read(key)
        if content is None:
            continue
        try:
            document = RunDocument.model_validate_json(content)
        except ValidationError:
            yield parts[1], None
        else:
            yield parts[1], document if document.run_id == parts[1] else None
