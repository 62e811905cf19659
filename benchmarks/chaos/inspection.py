"""A finished lake, held against one whose run was left in peace."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from cord.lake import Lake
from cord.lake.releases.audit import verify_release
from cord.lake.releases.release import list_releases
from cord.lake.runs.run import list_runs

CERTAIN = {
    "problems": ("problem_id", "question", "answer", "key"),
    "steps": ("problem_id", "key", "round", "beam", "place", "teacher", "text", "tokens", "score"),
    "trajectories": ("problem_id", "key", "rank", "finished", "score", "text", "proposed_tokens"),
    "costs": ("problem_id", "key", "teacher", "proposals", "tokens", "kept_tokens"),
    "verdicts": ("problem_id", "key", "rank", "outcome", "method", "answer"),
    "quarantine": ("stage", "problem_id", "source", "reason"),
}
"""Columns that do not depend on how a run was carried out."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a lake with one run holds."""

    rows: dict[str, Counter[str]]
    """By table."""
    content_hash: str
    faults: tuple[str, ...]
    """A sentence for each thing that is wrong in itself."""

    @property
    def count(self) -> int:
        """Rows in all tables."""
        return sum(sum(rows.values()) for rows in self.rows.values())


@dataclass(frozen=True, slots=True)
class Difference:
    """Of a disturbed lake from an undisturbed one."""

    lost: int
    """Rows."""
    twice: int
    """Rows that are there more often than they should, or should not be there at all."""
    same_hash: bool
    sentences: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """There is none."""
        return not (self.lost or self.twice or self.sentences) and self.same_hash


def contents(lake: Lake) -> Contents:
    """Read a lake with one run that has ended."""
    rows = {}
    for table, columns in CERTAIN.items():
        found = lake.tables.read(table, columns).to_pylist()
        rows[table] = Counter(repr(tuple(row.values())) for row in found)
    released = list_releases(lake)
    faults = [sentence for m in released for sentence in verify_release(lake, m)]
    if len(released) != 1:
        faults.append(f"{len(released)} releases instead of one")
    for run in list_runs(lake):
        parts = (run.records or 0, run.wrong or 0, run.quarantined or 0)
        if run.state != "completed" or run.problems != sum(parts):
            faults.append(f"run {run.run_id} is {run.state}: {run.problems} problems, {parts}")
    left = lake.store.list("journals/")
    if left:
        faults.append(f"{len(left)} journal segments are left, {left[0]} among them")
    return Contents(rows, released[-1].content_hash if released else "", tuple(faults))


def compare(disturbed: Contents, peaceful: Contents) -> Difference:
    """Hold one against the other, row by row."""
    lost, twice, sentences = 0, 0, list(disturbed.faults)
    for table, wanted in peaceful.rows.items():
        missing, more = wanted - disturbed.rows[table], disturbed.rows[table] - wanted
        lost += sum(missing.values())
        twice += sum(more.values())
        for what, some in (("lost", missing), ("too many", more)):
            if some:
                sentences.append(f"{table}: {sum(some.values())} rows {what}: {next(iter(some))}")
    same = disturbed.content_hash == peaceful.content_hash
    if not same:
        sentences.append(f"content hash {disturbed.content_hash}, not {peaceful.content_hash}")
    return Difference(lost, twice, same, tuple(sentences))
