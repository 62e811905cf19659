"""Why a shard's task failed, left in the lake for whoever asks later: `runs/RUN/failures/`.

A note a stage and shard, that of its latest failed try; it goes when the stage is done. Notes are
for people: nothing is decided by them.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from cord.lake import Lake

Stage = Literal["decode", "verify"]


class ShardNote(BaseModel):
    """One failed try."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    shard: int
    stage: Stage
    attempt: int
    """1 is the first."""
    attempts: int
    """How many there may be."""
    will_retry: bool
    at: AwareDatetime
    error: str
    """A sentence for the user."""

    @property
    def sentence(self) -> str:
        """For people."""
        if self.will_retry:
            return f"try {self.attempt} of {self.attempts} failed, it is tried again: {self.error}"
        return f"failed at try {self.attempt} of {self.attempts}: {self.error}"


def leave_note(lake: Lake, run_id: str, note: ShardNote) -> None:
    """Write it, over that of an earlier try."""
    content = note.model_dump_json(indent=2) + "\n"
    lake.store.write(_key(run_id, note.stage, note.shard), content.encode())


def clear_note(lake: Lake, run_id: str, stage: Stage, *shards: int) -> None:
    """The stage is done for these shards: how often it failed before is of no interest."""
    lake.store.delete([_key(run_id, stage, shard) for shard in shards])


def shard_notes(lake: Lake, run_id: str, since: datetime | None = None) -> dict[int, ShardNote]:
    """Shard to the note that was left last, of those not older than `since`. One that cannot be
    understood is passed over."""
    notes: dict[int, ShardNote] = {}
    for key in lake.store.list(f"runs/{run_id}/failures/"):
        try:
            note = ShardNote.model_validate_json(lake.store.read(key) or b"")
        except ValidationError:
            continue
        if since is not None and note.at < since:
            continue
        if note.shard not in notes or notes[note.shard].at < note.at:
            notes[note.shard] = note
    return notes


def _key(run_id: str, stage: Stage, shard: int) -> str:
    return f"runs/{run_id}/failures/{stage}-{shard:05d}.json"
