"""Files of Delta tables: those that no commit names, those that are gone, those cut off."""

from __future__ import annotations

from collections.abc import Iterator

from cord.inspection.census import Census
from cord.inspection.delta_log import DeltaLog, log_key
from cord.inspection.finding import Discard, Finding, RemoveOrphans, some


def inspect_files(census: Census) -> Iterator[Finding]:
    """Findings in the folders of Delta tables, and about writes that were cut off."""
    for log in census.logs.values():
        yield from _of_log(census, log)
        yield from _orphans(census, log)
    yield from _unfinished(census)


def _of_log(census: Census, log: DeltaLog) -> Iterator[Finding]:
    """A table of which anything is gone answers wrongly or not at all."""
    newest = max((commit.version for commit in log.commits), default=-1)
    missing = census.gone(log.table, (log_key(log.table, n) for n in range(newest)))
    if log.damaged or missing:
        yield Finding(
            "damaged table",
            f"{log.table}/_delta_log/",
            "; ".join(
                f"{len(keys)} of its commits {what}: {some(keys)}"
                for what, keys in (("cannot be read", log.damaged), ("are missing", missing))
                if keys
            ),
            "restore them from a copy",
        )
    gone = census.gone(log.table, log.files)
    other = [
        key
        for key, size in log.files.items()
        if key in census.entries and census.entries[key].bytes != size
    ]
    for what, keys in (("are missing", gone), ("have another size than was written", other)):
        if keys:
            yield Finding(
                "damaged table",
                log.table,
                f"{len(keys)} of its files {what}: {some(keys)}",
                "restore them from a copy, or the whole table: rows of these files are lost",
            )


def _orphans(census: Census, log: DeltaLog) -> Iterator[Finding]:
    if log.damaged:
        return  # which may be the commits that name them
    own = (f"{log.table}/_delta_log/", f"{log.table}/_change_data/")
    orphans = [
        key
        for key in census.under(f"{log.table}/")
        if key not in log.files
        and (not key.startswith(own) or key.endswith(".tmp"))
        and not census.is_young(census.entries[key].written_at)
    ]
    if orphans:
        size = sum(census.entries[key].bytes for key in orphans)
        yield Finding(
            "orphan files",
            log.table,
            f"{len(orphans)} files ({_size(size)}) that were written and never committed: "
            f"{some(orphans)}; no row of them is in the table",
            "they are removed when no run is alive",
            min(census.entries[key].written_at for key in orphans),
            mend=RemoveOrphans(log.table, tuple(orphans)),
        )


def _unfinished(census: Census) -> Iterator[Finding]:
    left = tuple(u for u in census.lake.store.unfinished() if not census.is_young(u.since))
    if left:
        yield Finding(
            "cut-off writes",
            census.lake.uri,
            f"{len(left)} files or uploads that were begun and never finished: "
            f"{some([one.where for one in left])}",
            "they are removed when no run is alive",
            min(one.since for one in left),
            mend=Discard(left),
        )


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
