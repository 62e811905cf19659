"""What a run shows on Prefect's dashboard: one progress artifact, one table a stage."""

from __future__ import annotations

import re
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)


def key_of(*parts: str) -> str:
    """An artifact key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def table(run_id: str, stage: str, rows: list[dict[str, object]], description: str) -> None:
    """Show a stage's figures as a table."""
    create_table_artifact(key=key_of(run_id, stage), table=rows, description=description)


def page(run_id: str, stage: str, markdown: str, description: str) -> None:
    """Show a page of Markdown."""
    create_markdown_artifact(key=key_of(run_id, stage), markdown=markdown, description=description)


def begin_progress(run_id: str) -> str:
    """Make the run's progress artifact; its id is for `update_progress`."""
    made = create_progress_artifact(
        progress=0.0, key=key_of(run_id, "progress"), description=f"{run_id}: problems decoded"
    )
    assert isinstance(made, UUID)
    return str(made)


def update_progress(artifact_id: str, share: float) -> None:
    """Bring the progress artifact up to date; `share` of the problems is decoded, 0 to 1."""
    update_progress_artifact(artifact_id=UUID(artifact_id), progress=round(100.0 * share, 1))
