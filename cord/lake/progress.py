"""How far a run has come, shard by shard, read from the lake alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cord.lake.rows import REUSED
from cord.lake.run_tables import planned_shards

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
