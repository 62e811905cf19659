"""The log of a Delta table, read as it lies there: which commit named which files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from cord.lake import Lake
from cord.lake.stores.store import Entry
from cord.lake.tables.delta import APP_ID

_READERS = 16
_ENTRY = re.compile(r"/_delta_log/(\d{20})\.json$")


@dataclass(frozen=True, slots=True)
class Commit:
    """One entry of the log."""

    version: int
    app_id: str | None
    """Who made it, and for what; see `cord.lake.tables.delta`."""
    facts: Mapping[str, Any]
    """All that it says of itself."""
    at: datetime | None
    files: tuple[tuple[str, int], ...]
    """(key, bytes) of each data file that it added."""
    app_ids: tuple[str, ...] = ()
    """Everything that it committed: several shards may go together."""


@dataclass(frozen=True)
class DeltaLog:
    """All commits of one table that can be read."""

    table: str
    """Its key."""
    commits: tuple[Commit, ...]
    damaged: tuple[str, ...]
    """Keys of entries that cannot be read."""

    @cached_property
    def app_ids(self) -> frozenset[str]:
        """Everything that was committed."""
        return frozenset(app_id for commit in self.commits for app_id in commit.app_ids)

    @cached_property
    def files(self) -> dict[str, int]:
        """Key to bytes of every data file that ever belonged to the table."""
        return {key: size for commit in self.commits for key, size in commit.files}


def read_log(lake: Lake, table: str, keys: Iterable[str]) -> DeltaLog:
    """The log of the table at the key `table`; `keys` are those of the lake."""
    numbers = {
        key: int(match[1])
        for key in keys
        if key.startswith(f"{table}/_delta_log/") and (match := _ENTRY.search(key))
    }
    with ThreadPoolExecutor(_READERS) as pool:
        read = list(pool.map(lambda key: _commit(lake, table, key, numbers[key]), numbers))
    commits = sorted((c for c in read if isinstance(c, Commit)), key=lambda c: c.version)
    return DeltaLog(table, tuple(commits), tuple(key for key in read if isinstance(key, str)))


def log_key(table: str, version: int) -> str:
    """Where a commit is."""
    return f"{table}/_delta_log/{version:020d}.json"


def tables_in(entries: Mapping[str, Entry]) -> list[str]:
    """Keys of every Delta table."""
    parts = (key.split("/") for key in entries if key.startswith(("tables/", "datasets/")))
    return sorted({"/".join(p[:2]) for p in parts if len(p) > 2})


def _commit(lake: Lake, table: str, key: str, version: int) -> Commit | str:
    """The commit, or its key where it cannot be read."""
    facts: dict[str, Any] = {}
    files, app_ids = [], []
    try:
        for line in (lake.store.read(key) or b"").splitlines():
            action = json.loads(line)
            facts.update(action.get("commitInfo", {}))
            if added := action.get("add"):
                files.append((f"{table}/{unquote(added['path'])}", int(added["size"])))
            if seen := action.get("txn"):
                app_ids.append(str(seen["appId"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return key
    if not facts:
        return key
    at = facts.get("timestamp")
    moment = datetime.fromtimestamp(at / 1000, UTC) if isinstance(at, int) else None
    return Commit(version, facts.get(APP_ID), facts, moment, tuple(files), tuple(app_ids))
