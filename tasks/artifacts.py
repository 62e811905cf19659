"""What a run shows on Prefect's dashboard: one progress artifact, a live page, a table a stage.

Showing is not the work: where the server does not answer, the run goes on, and one warning is
logged.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.context import FlowRunContext
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from tasks.board import DASHBOARD_LOG

T = TypeVar("T")

PATIENCE_S = 10.0
REST = 3.0
"""So many times as long as the server let it wait in vain, a run does not ask it again."""

_away_until = 0.0
_is_told = False
_lock = threading.Lock()


def key_of(*parts: str) -> str:
    """An artifact key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def table(run_id: str, stage: str, rows: list[dict[str, object]], description: str) -> None:
    """Show a stage's figures as a table."""
    key = key_of(run_id, stage)
    _show(lambda: create_table_artifact(key=key, table=rows, description=description))


def page(run_id: str, stage: str, markdown: str, description: str) -> None:
    """Show a page of Markdown."""
    key = key_of(run_id, stage)
    _show(lambda: create_markdown_artifact(key=key, markdown=markdown, description=description))


def how_to_go_on(lake: str, run_id: str) -> None:
    """Show what to do when this run crashes, fails or is stopped."""
    lines = (
        f"# Going on with {run_id}",
        f"What is decided is in the lake `{lake}`; only what is missing is done.",
        f"* In a terminal: `cord resume {run_id} --lake {lake}`",
        "* Here, while `cord serve` runs somewhere: **Retry**, where the deployment `refresh/cord` "
        f"began this run. Where it did not: *Deployments*, `refresh/cord`, *Run*, *Custom run* "
        f"with `run_id` {run_id} and `lake` {lake}",
    )
    page(run_id, "resume", "\n\n".join(lines) + "\n", f"If {run_id} ends too early")


class Progress:
    """A run's progress artifact: the share of its problems that is decoded, or of other work."""

    def __init__(self, run_id: str, what: str = "problems decoded") -> None:
        self._run_id = run_id
        self._key = key_of(run_id, "progress")
        self._description = f"{run_id}: {what}"
        self._shown: tuple[UUID, tuple[float, str]] | None = None
        self.show(0.0)

    def show(self, share: float, told: str = "") -> None:
        """Bring it up to date; `share` is from 0 to 1, `told` what stands beside it."""
        percent = round(100.0 * share, 1)
        if told:
            self._description = f"{self._run_id}: {told}"
        now = (percent, self._description)
        if self._shown is None:
            if (before := _show(lambda: _made_before(self._key))) is None:
                made = _show(
                    lambda: create_progress_artifact(
                        progress=percent, key=self._key, description=self._description
                    )
                )
                self._shown = (made, now) if isinstance(made, UUID) else None
                return
            self._shown = before, (-1.0, "")
        id, shown = self._shown
        if now != shown and _show(lambda: _update_progress(id, *now)):
            self._shown = id, now


class LivePage:
    """A page of Markdown that is updated in place: one artifact a flow run, however often it is
    shown."""

    def __init__(self, run_id: str, stage: str, description: str) -> None:
        self._key, self._description = key_of(run_id, stage), description
        self._id: UUID | None = None

    def show(self, markdown: str) -> None:
        """Bring it up to date."""
        if self._id is None:
            self._id = _show(lambda: _made_before(self._key))
        if self._id is None:
            made = _show(
                lambda: create_markdown_artifact(
                    key=self._key, markdown=markdown, description=self._description
                )
            )
            self._id = made if isinstance(made, UUID) else None
            return
        id = self._id
        _show(lambda: _update(id, markdown))


def _made_before(key: str) -> UUID | None:
    """The artifact of that key that an earlier try of this flow run has made."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow_run.run_count < 2:
        return None
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(
                key=ArtifactFilterKey(any_=[key]),
                flow_run_id=ArtifactFilterFlowRunId(any_=[context.flow_run.id]),
            ),
            limit=1,
        )
    return found[0].id if found else None


def _update_progress(id: UUID, percent: float, description: str) -> bool:
    update_progress_artifact(artifact_id=id, progress=percent, description=description)
    return True


def _update(id: UUID, markdown: str) -> bool:
    with get_client(sync_client=True) as client:
        client.update_artifact(artifact_id=id, artifact=ArtifactUpdate(data=markdown))
    return True


def _show(what: Callable[[], T]) -> T | None:
    """Do it, or None where the server is away; said once in this process."""
    global _away_until, _is_told
    begun = time.monotonic()
    if begun < _away_until:
        return None
    try:
        with temporary_settings(
            {PREFECT_API_REQUEST_TIMEOUT: PATIENCE_S, PREFECT_CLIENT_MAX_RETRIES: 1}
        ):
            return what()
    except Exception as error:  # whatever it is: a run is worth more than its picture
        with _lock:
            now = time.monotonic()
            _away_until = now + REST * (now - begun)
            is_first, _is_told = not _is_told, True
        if is_first:
            DASHBOARD_LOG.warning(
                "the Prefect server did not take what this run shows (%s); the run goes on, "
                "some of its pages may be missing on the dashboard",
                type(error).__name__,
            )
        return None
