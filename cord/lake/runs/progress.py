"""How far a run has come, shard by shard, read from the lake alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cord.lake.runs.journals import journal_progress
from cord.lake.runs.run import RunDocument
from cord.lake.runs.run_tables import planned_shards
from cord.lake.runs.shard_notes import ShardNote, shard_notes
from cord.lake.tables.rows import REUSED

if TYPE_CHECKING:
    from cord.lake import Lake


@dataclass(frozen=True, slots=True)
class ShardState:
    """One shard of a run."""

    index: int
    """`REUSED` stands for the problems whose trajectories were in the lake already."""
    problems: int
    decoded: bool
    verified: bool

    @property
    def name(self) -> str:
        """For people."""
        return "in the lake" if self.index == REUSED else str(self.index)


@dataclass(frozen=True, slots=True)
class ShardProgress:
    """How far one shard is."""

    shard: ShardState
    begun: int
    """Problems under way: those that have decided rounds in the journal."""
    rounds: int
    """Of these problems, so far."""
    failure: ShardNote | None
    """Its latest failed try, until it is done."""

    @property
    def state(self) -> Literal["done", "in progress", "waiting", "failed"]:
        """`failed`: for good, until the run is resumed."""
        if self.shard.decoded and self.shard.verified:
            return "done"
        if self.failure is not None and not self.failure.will_retry:
            return "failed"
        return "in progress" if self.shard.decoded or self.begun or self.failure else "waiting"


def decode_app(run_id: str, shard: int) -> str:
    """Delta application id of a decoded shard's commits."""
    return f"{run_id}/shard-{shard:05d}"


def verify_app(run_id: str, shard: int) -> str:
    """Delta application id of a shard's verdicts."""
    return f"{run_id}/verify-{shard:05d}"


def shard_states(lake: Lake, run_id: str) -> list[ShardState]:
    """Every shard of the run; empty before its problems are planned."""
    planned = planned_shards(lake, run_id)
    decoded = lake.tables.committed(
        "trajectories", [decode_app(run_id, shard) for shard in planned]
    )
    verified = lake.tables.committed("verdicts", [verify_app(run_id, shard) for shard in planned])
    return [
        ShardState(
            shard,
            problems,
            shard == REUSED or decode_app(run_id, shard) in decoded,
            verify_app(run_id, shard) in verified,
        )
        for shard, problems in planned.items()
    ]


def run_progress(lake: Lake, document: RunDocument, is_at_work: bool) -> list[ShardProgress]:
    """Every shard of the run, with what its journal and its notes tell."""
    states = shard_states(lake, document.run_id)
    if all(state.decoded and state.verified for state in states):
        return [ShardProgress(state, 0, 0, None) for state in states]
    begun = journal_progress(lake, document.search, document.run_id) if document.search else {}
    # What failed before this process took the run up is tried again by it.
    since = document.started_at if is_at_work else None
    failures = shard_notes(lake, document.run_id, since)
    return [
        ShardProgress(state, *begun.get(state.index, (0, 0)), failures.get(state.index))
        for state in states
    ]
