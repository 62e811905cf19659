"""What an inspection finds, and what mends it: plain data, nothing is done here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cord.lake.stores.store import Unfinished


@dataclass(frozen=True, slots=True)
class Remove:
    """Take these keys away: everything they lead to is in the tables."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemoveOrphans:
    """Take files out of a Delta table's folder that no commit of it has ever named."""

    table: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Discard:
    """Take away what cut-off writes have left."""

    unfinished: tuple[Unfinished, ...]


@dataclass(frozen=True, slots=True)
class MoveAside:
    """Give a damaged document another name, under which nobody looks for it."""

    key: str


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Write down that a run has stopped."""

    run_id: str


@dataclass(frozen=True, slots=True)
class FinishShard:
    """Commit a shard's tables from its staged file, then remove the file."""

    run_id: str
    shard: int


@dataclass(frozen=True, slots=True)
class FinishRelease:
    """Write the manifest that belongs to a commit of a data set."""

    name: str
    delta_version: int


@dataclass(frozen=True, slots=True)
class Complete:
    """Close a run whose records are released."""

    run_id: str
    release: str


@dataclass(frozen=True, slots=True)
class Resummarise:
    """Write a run's summary anew: everything it tells is in the tables."""

    run_id: str


Mend = (
    Remove
    | RemoveOrphans
    | Discard
    | MoveAside
    | Interrupt
    | FinishShard
    | FinishRelease
    | Complete
    | Resummarise
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in the lake that is not as it should be."""

    kind: str
    """What it is, in a few words, the same for all of its kind."""
    where: str
    """A key, a table or a run."""
    sentence: str
    """What it means."""
    remedy: str
    """What to do, where no mend does it."""
    since: datetime | None = None
    run_id: str | None = None
    """The run it belongs to: while that one is alive, it is none."""
    mend: Mend | None = None

    @property
    def mendable(self) -> bool:
        """Whether it can be mended without guessing."""
        return self.mend is not None


def some(names: Sequence[str], shown: int = 3) -> str:
    """A few of the names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
