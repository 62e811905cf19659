"""This process's hold on the runs that it carries out: renewed in the background, told when lost.

A process holds a run once, however often it is asked: the command line takes it before it lays the
run down, and the flow that it then starts takes it again. Flows of one run that are started beside
each other in one process share its hold.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from cord.errors import LakeError, RunLost
from cord.lake.runs.lease import TERMS, Leases, Terms, moment, present

if TYPE_CHECKING:
    from cord.lake import Lake

_holds: dict[tuple[str, str], Hold] = {}
_lock = threading.Lock()


def take_hold(lake: Lake, run_id: str, on_lost: Callable[[], object], terms: Terms = TERMS) -> Hold:
    """Hold a run until `Hold.close` was called as often as this.

    `on_lost` is called from a thread when the hold is lost. Raises `RunHeld` when another process
    holds the run, `RunLost` when this one has lost it and has not let go yet, `LakeError`."""
    with _lock:
        hold = _holds.get((lake.uri, run_id))
        if hold is None:
            hold = Hold(lake, run_id, on_lost, terms)
            _holds[lake.uri, run_id] = hold
        elif hold.lost is not None:
            raise RunLost(hold.lost)
        hold.depth += 1
        return hold


def refuse_if_held(lake: Lake, run_id: str) -> None:
    """Raises `RunHeld` when another process carries this run out at this moment."""
    if (lake.uri, run_id) not in _holds:
        Leases(lake.store, run_id).refuse()


class Hold:
    """A run that this process holds. Made by `take_hold`."""

    def __init__(
        self, lake: Lake, run_id: str, on_lost: Callable[[], object], terms: Terms
    ) -> None:
        self.depth = 0
        """How often it is held and not yet released."""
        self.lost: str | None = None
        """Why this process holds it no more."""
        self._key = (lake.uri, run_id)
        self._on_lost = on_lost
        self._terms = terms
        self._leases = Leases(lake.store, run_id, terms=terms)
        self._held = self._leases.take()
        self._trouble: LakeError | None = None
        self._over = threading.Event()
        self._renewing = threading.Lock()
        threading.Thread(target=self._keep, name=f"lease of {run_id}", daemon=True).start()

    def close(self) -> None:
        """Let go of it; the last time its lease is released, for others to take."""
        with _lock:
            self.depth -= 1
            if self.depth:
                return
            self._over.set()
            del _holds[self._key]
            # Not while it is renewed: that would undo it. One that hangs is not waited for long.
            is_quiet = self._renewing.acquire(timeout=self._terms.allowance_s)
            if self.lost is None and is_quiet:
                with suppress(LakeError):  # it then ends by itself
                    self._leases.release(self._held)

    def _keep(self) -> None:
        while not self._over.wait(min(self._terms.renew_every_s, max(self._left_s(), 1.0))):
            # A request to a lake that is away may hang for longer than the lease holds.
            renewal = threading.Thread(target=self._renew, name="lease renewal", daemon=True)
            renewal.start()
            allowance_s = self._terms.allowance_s
            renewal.join(max(self._left_s(), 0.0) + allowance_s)
            if self.lost is None and self._left_s() <= -allowance_s:
                self._lose(self._no_renewal())
            if self.lost is not None:
                return

    def _renew(self) -> None:
        with self._renewing:
            if self._over.is_set() or self.lost is not None:
                return
            try:
                self._held = self._leases.renew(self._held)
            except RunLost as error:
                self._lose(str(error))
            except LakeError as error:
                self._trouble = error
            else:
                self._trouble = None

    def _left_s(self) -> float:
        return (self._held.lease.expires_at - present()).total_seconds()

    def _lose(self, why: str) -> None:
        if not self._over.is_set():
            self.lost = why
            self._on_lost()

    def _no_renewal(self) -> str:
        return (
            f"the lease of run {self._key[1]} could not be renewed since "
            f"{moment(self._held.lease.renewed_at)} ({self._trouble or 'the lake does not answer'})"
            f", so that another process may take the run over; this one has stopped: "
            f"`cord resume {self._key[1]}` goes on when the lake is back"
        )


def _forget() -> None:
    """A forked child holds nothing: the lease is its parent's."""
    global _lock
    _lock = threading.Lock()
    _holds.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
