"""What a run was going to change when it began, as the page that the dashboard shows.

runs/RUN/plan.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cord.lake.runs.run import check_run_id

if TYPE_CHECKING:
    from cord.lake import Lake


def keep_page(lake: Lake, run_id: str, markdown: str) -> None:
    """Keep the page with the run."""
    lake.store.write(_key(run_id), markdown.encode())


def kept_page(lake: Lake, run_id: str) -> str | None:
    """The page; None of a run that has none, as older ones."""
    content = lake.store.read(_key(run_id))
    return None if content is None else content.decode("utf-8", "replace")


def _key(run_id: str) -> str:
    return f"runs/{check_run_id(run_id)}/plan.md"
