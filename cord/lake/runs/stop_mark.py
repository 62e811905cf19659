"""That a run shall stop, said to processes that nothing but the lake joins.

    runs/RUN/lease/stop

It lies beside the lease, since only the lease's holder makes it and takes it away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cord.lake.runs.run import check_run_id

if TYPE_CHECKING:
    from cord.lake import Lake


def ask_to_stop(lake: Lake, run_id: str) -> None:
    """Whoever decodes shards of this run stops after the rounds in flight."""
    lake.store.write(_key(run_id), b"")


def is_asked_to_stop(lake: Lake, run_id: str) -> bool:
    """Whether the run shall stop."""
    return lake.store.read(_key(run_id)) is not None


def take_stop_back(lake: Lake, run_id: str) -> None:
    """It may go on; no error where nobody asked."""
    if is_asked_to_stop(lake, run_id):
        lake.store.delete([_key(run_id)])


def _key(run_id: str) -> str:
    return f"runs/{check_run_id(run_id)}/lease/stop"
