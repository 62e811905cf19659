"""Signs of life: a run tells the user's Prefect server that it lives, and the server marks as
crashed one that does so no more.

Prefect's own heartbeats come every 30 seconds at the most frequent, and a run that was taken for
dead wrongly, as after the server itself was away, stays crashed until it ends. These are events of
cord's own, so that only cord's runs are judged by them, and with each the run looks whether it is
still taken for alive. They come from a thread that does nothing else: neither a busy model nor a
long wait for a server keeps them back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from datetime import timedelta
from uuid import UUID

import httpx
from prefect.automations import AutomationCore, ChangeFlowRunState, EventTrigger, Posture
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext
from prefect.events import ResourceSpecification, emit_event
from prefect.exceptions import PrefectException
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)
from prefect.states import Running

from flows.prefect_server import is_own_server
from tasks.board import DASHBOARD_LOG

EVENT = "cord.run.heartbeat"
AUTOMATION = "cord: a run without heartbeats has crashed"
EVERY_S = 15.0
"""`CORD_HEARTBEAT_S` in the environment is another number of seconds."""
MISSED = 6
"""So many heartbeats in a row must be missing: a server may be away for a minute."""
LEAST_S = 10.0
"""Prefect's own bound on how soon the absence of an event may be noticed."""
ENDS = ("Completed", "Failed", "Crashed", "Cancelled", "TimedOut")
PATIENCE_S = 5.0


def every_s() -> float:
    """Seconds between two heartbeats."""
    try:
        return max(0.5, float(os.environ["CORD_HEARTBEAT_S"]))
    except (KeyError, ValueError):
        return EVERY_S


def silence_s() -> float:
    """After how many seconds without a heartbeat a run is taken for crashed."""
    return max(LEAST_S, MISSED * every_s())


@contextmanager
def beating() -> Iterator[None]:
    """While the block runs, within a flow, its run is known to live.

    Never raises for the server's sake. Nothing is sent to a server that is this process's own and
    ends with it."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or is_own_server():
        yield
        return
    over = threading.Event()
    beat = threading.Thread(
        target=copy_context().run,  # it holds which server this is
        args=(_beat, context.flow_run, over),
        name="heartbeats",
        daemon=True,
    )
    beat.start()
    try:
        yield
    finally:
        over.set()
        beat.join(timeout=3 * PATIENCE_S)  # or it may say that a run lives which has just ended


def ensure_automation() -> None:
    """See to it that the server marks silent runs. A refusal is logged as one sentence."""
    try:
        with _hurried_client() as client:
            _ensure(client)
    except (httpx.HTTPError, PrefectException) as error:
        _tell_refusal(error)


def automation() -> AutomationCore:
    """What marks a silent run as crashed."""
    return AutomationCore(
        name=AUTOMATION,
        description="Made by cord. It looks at cord's runs only; disable it here if you wish.",
        trigger=EventTrigger(
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            for_each={"prefect.resource.id"},
            after={EVENT},
            expect={EVENT, *(f"prefect.flow-run.{end}" for end in ENDS)},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=silence_s()),
        ),
        actions=[
            ChangeFlowRunState(
                name=None,
                force=False,
                state=StateType.CRASHED,
                message=f"no heartbeat for {silence_s():.0f} seconds: its process or its "
                "machine is gone",
            )
        ],
    )


def _beat(run: FlowRun, over: threading.Event) -> None:
    resource = {"prefect.resource.id": f"prefect.flow-run.{run.id}"}
    if run.name:
        resource["prefect.resource.name"] = run.name
    is_judged = False
    while not over.is_set():
        emit_event(EVENT, resource=resource)
        try:
            with _hurried_client() as client:
                if not is_judged:
                    _ensure(client)
                    is_judged = True
                _say_alive(client, run.id, over)
        except (httpx.HTTPError, PrefectException) as error:
            # A server that is away may be reached by a later heartbeat; a refusal stays one.
            if not is_judged and _is_refusal(error):
                _tell_refusal(error)
                is_judged = True
        over.wait(every_s())


@contextmanager
def _hurried_client() -> Iterator[SyncPrefectClient]:
    hurry = {PREFECT_API_REQUEST_TIMEOUT: PATIENCE_S, PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(hurry), get_client(sync_client=True) as client:
        yield client


def _ensure(client: SyncPrefectClient) -> None:
    wanted = automation()
    there = client.read_automations_by_name(AUTOMATION)
    if not there:
        client.create_automation(wanted)
        return
    first, *others = sorted(there, key=lambda one: one.id)
    for other in others:  # two runs that began at once
        client.delete_automation(other.id)
    if getattr(first.trigger, "within", None) != getattr(wanted.trigger, "within", None):
        client.update_automation(first.id, wanted.model_copy(update={"enabled": first.enabled}))


def _say_alive(client: SyncPrefectClient, id: UUID, over: threading.Event) -> None:
    """A run that was taken for dead, or whose Retry was refused because it lives, runs again."""
    state = client.read_flow_run(id).state
    if state is None or not (state.is_crashed() or state.is_failed()) or over.is_set():
        return
    client.set_flow_run_state(id, Running(message="it lives: it was taken for dead"), force=True)


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code < 500
    return isinstance(error, PrefectException)


def _tell_refusal(error: Exception) -> None:
    DASHBOARD_LOG.warning(
        "the Prefect server took no automation that marks silent runs as crashed (%s); a run whose "
        "machine is lost will stay Running on the dashboard",
        str(error).splitlines()[0],
    )
