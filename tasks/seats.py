"""Places at the models' servers, shared by flow processes on many machines.

A Prefect global concurrency limit that is named after a server says how many shards may decode on
it at once, over all processes that use this Prefect server:

    prefect gcl create cord-gpu-1-8000 --limit 64         # for http://gpu-1:8000/v1

Where there is none, nothing is limited and, but for one look a minute, nothing is asked. A place is
held by a lease: a process that dies gives it back when the lease has run out.

Prefect serves who asks first after a place was given back, and that is always who gave it back: a
process with work enough would keep all its places for ever. So a process whose shard leaves a full
server waits a moment before it asks again, for longer than the others wait between two questions;
and of all its shards that wait only one asks. Each process then gets as many turns as any other,
however many shards it has waiting.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.context import TaskRunContext
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from cord.recipe import Recipe
from cord.scheduler import Stopped
from tasks.board import BOARD, DASHBOARD_LOG

LEASE_S = 60.0
"""A place of a process that has died is free so long after its last renewal (and up to 15 s more:
Prefect looks for leases that have run out as often as that)."""
LOOK_AGAIN_S = 60.0
"""For limits that a user has made or taken away meanwhile."""
ASK_EVERY_S = (0.5, 1.0)
YIELD_S = 1.5
"""For so long a process that leaves a full server lets others ask."""
FULL = 423


def limit_of(url: str) -> str:
    """The name of a server's limit: `cord-HOST-PORT`, in lower case, of an IPv6 address with `-`
    for `:`."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"cord-{(parts.hostname or '').replace(':', '-')}-{port}"


def limits_of(recipe: Recipe) -> list[str]:
    """The names of the limits of a recipe's servers, sorted."""
    models = (*recipe.teachers, *recipe.roles.values())
    return sorted({limit_of(model.url) for model in models if model.url is not None})


@contextmanager
def place_at_servers(recipe: Recipe) -> Iterator[None]:
    """Hold a place at each of the recipe's servers that has a limit while the block runs; waits
    until there is one at all of them.

    A Prefect server that is away limits nobody. Raises `Stopped` when the user asks to stop."""
    names = limits_of(recipe)
    if not names or not PREFECT_API_URL.value():
        yield
        return
    # A server that is away is not worth two minutes of trying: decoding does not need it.
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        there = _known.of(names)
        lease = _take(there) if there else None
    if lease is None:
        yield
        return
    over = threading.Event()
    renewing = threading.Thread(
        target=copy_context().run, args=(_renew, lease, over), name="place", daemon=True
    )
    renewing.start()
    try:
        yield
    finally:
        over.set()
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
            _give_back(lease, there)


class _Known:
    """Which limits there are, looked up once in a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, bool]] = {}

    def of(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that exist."""
        with self._lock:
            now = time.monotonic()
            old = [n for n in names if n not in self._seen or self._seen[n][0] < now - LOOK_AGAIN_S]
            if old:
                self._seen |= {name: (now, exists) for name, exists in _look(old).items()}
            return [name for name in names if self._seen[name][1]]


_known = _Known()


def _look(names: list[str]) -> dict[str, bool]:
    found = dict.fromkeys(names, False)
    try:
        with get_client(sync_client=True) as client:
            for name in names:
                with suppress(ObjectNotFound):
                    found[name] = client.read_global_concurrency_limit_by_name(name).active
    except httpx.HTTPError:  # it is away: for this minute nothing is limited
        pass
    return found


_turn = threading.Lock()
"""Of a process's shards one asks at a time."""
_not_before = 0.0
"""By the monotonic clock: when this process may ask again."""


def _take(names: list[str]) -> UUID | None:
    """A lease on a place at each; None where Prefect's server is away or the limits are gone."""
    context = TaskRunContext.get()
    holder = ConcurrencyLeaseHolder(type="task_run", id=context.task_run.id) if context else None
    while not _turn.acquire(timeout=ASK_EVERY_S[0]):
        _unless_stopped()
    try:
        with get_client(sync_client=True) as client:
            while True:
                BOARD.stop.wait(max(0.0, _not_before - time.monotonic()))
                _unless_stopped()
                if (lease := _ask(client, names, holder)) is not None:
                    return lease
                BOARD.stop.wait(random.uniform(*ASK_EVERY_S))  # noqa: S311
    except httpx.HTTPError as error:
        DASHBOARD_LOG.warning(
            f"no place at {', '.join(names)} could be asked for ({type(error).__name__}); "
            "decoding goes on without"
        )
        return None
    finally:
        _turn.release()


def _ask(
    client: SyncPrefectClient, names: list[str], holder: ConcurrencyLeaseHolder | None
) -> UUID | None:
    """None where one of them is full. Raises `httpx.HTTPError`."""
    try:
        answer = client.increment_concurrency_slots_with_lease(
            names, 1, "concurrency", LEASE_S, holder
        )
    except httpx.HTTPStatusError as error:
        if error.response.status_code == FULL:
            return None
        raise
    return UUID(answer.json()["lease_id"])


def _renew(lease: UUID, over: threading.Event) -> None:
    """What fails is tried again at the next turn: a place is not worth a shard."""
    while not over.wait(LEASE_S / 3):
        with suppress(httpx.HTTPError, ObjectNotFound), get_client(sync_client=True) as client:
            client.renew_concurrency_lease(lease, LEASE_S)


def _give_back(lease: UUID, names: list[str]) -> None:
    """The lease would run out by itself where this fails."""
    global _not_before
    with suppress(httpx.HTTPError, ObjectNotFound), get_client(sync_client=True) as client:
        limits = [client.read_global_concurrency_limit_by_name(name) for name in names]
        if any(limit.active_slots >= limit.limit for limit in limits):
            _not_before = time.monotonic() + YIELD_S
        client.release_concurrency_slots_with_lease(lease)


def _unless_stopped() -> None:
    if BOARD.stop.is_set():
        raise Stopped("stopped on request")
