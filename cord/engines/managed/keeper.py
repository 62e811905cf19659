"""A vLLM server that is kept up: started when it is first needed, again when it dies, and stopped.

Each server has a thread of its own, so that several start at the same time and any number of event
loops may wait for one start. A start that fails is final: the cause is a setting, a missing model
or too little memory, and trying again costs minutes. A server that was up and dies is started
again a few times, with growing waits; requests meanwhile wait in `cord.engines.vllm.server`. Deaths
that a problem was found to have caused (`cord.engines.suspects`) do not count.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from cord.engines.managed.serving import Serving
from cord.engines.managed.starts import VllmStarts
from cord.errors import EngineError, EngineRefused, EngineUnreachable

RESTART_WAITS_S = (1.0, 5.0, 15.0, 30.0, 60.0, 60.0)
"""Before each new start of a server that died; after the last one it stays away. As many as it may
take to find a problem that it dies of."""
STEADY_S = 600.0
"""A server that was up for so long has all its restarts again."""

KEEPERS_LOG = logging.getLogger(__name__)
"""Where it is told that a server has died, is started again, is up again, or is given up."""

_kept: set[VllmKeeper] = set()
"""Those of this process that were asked for a server and not stopped since."""


@dataclass(frozen=True, slots=True)
class Starting:
    """A server on its way up, for whoever shows it."""

    title: str
    """`Qwen/QwQ-32B (GPUs 0, 1)`."""
    phase: str
    """`loading weights, 3/14 files`."""
    seconds: float
    """Since it was asked for."""


class VllmKeeper:
    """Keeps the server of one model. Safe to use from several event loops and threads."""

    def __init__(
        self,
        serving: Serving,
        moved: Callable[[str], None],
        given_up: Callable[[str], None],
        died: Callable[[str], None] = lambda why: None,
        restart_waits_s: tuple[float, ...] | None = None,
    ) -> None:
        """`moved` is told where it listens, each time it has come up; `died` why it has ended;
        `given_up` why it is not started again, or "" when it may be once more. They are called from
        other threads."""
        self.serving = serving
        self._moved, self._tell_given_up, self._died = moved, given_up, died
        self._given_up = ""
        self._restart_waits_s = RESTART_WAITS_S if restart_waits_s is None else restart_waits_s
        self._restarts = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._first: Future[None] | None = None
        self._phase: tuple[str, float] | None = None

    async def up(self) -> None:
        """Return when the server has come up once; the first to call starts it.

        Raises `EngineRefused` when it did not come up, `EngineUnreachable` when it died and is not
        started again."""
        if self._given_up:
            raise EngineUnreachable(self._given_up)
        first = self._begun()
        if not first.done() or first.exception() is not None:
            try:
                await asyncio.shield(asyncio.wrap_future(first))
            except EngineError as failed:  # the same one for all who wait
                raise EngineRefused(str(failed)) from None

    @property
    def has_come_up(self) -> bool:
        """It has been healthy, and was not stopped since."""
        first = self._first
        return first is not None and first.done() and first.exception() is None

    @property
    def starting(self) -> Starting | None:
        """How far a start has come that is under way."""
        if (now := self._phase) is None:
            return None
        return Starting(self.serving.title, now[0], time.monotonic() - now[1])

    def forgive(self) -> None:
        """Its latest deaths were not its own fault: it has all its restarts again."""
        self._restarts = 0

    def stop(self) -> None:
        """Stop the server; returns when none of its processes is left. It may be used again."""
        _kept.discard(self)
        with self._lock:
            thread = self._thread
            self._stop.set()
        if thread is not None:
            thread.join()
        with self._lock:
            if self._thread is thread:
                self._thread, self._first = None, None
                self._give_up("")

    def _begun(self) -> Future[None]:
        with self._lock:
            if self._first is None:
                self._stop = threading.Event()
                self._first = Future()
                self._first.set_running_or_notify_cancel()  # whoever waits cannot cancel it
                _kept.add(self)
                name = f"vLLM of {self.serving.model}"
                self._thread = threading.Thread(
                    target=self._keep, args=(self._first, self._stop), name=name, daemon=True
                )
                self._thread.start()
            return self._first

    def _keep(self, first: Future[None], stop: threading.Event) -> None:
        """The thread: from the first start to `stop`, or until there is no hope."""
        try:
            run = VllmStarts(self.serving, stop, self._tell)
            try:
                self._keep_up(run, first, stop)
            finally:
                run.leave()
        except BaseException as error:  # of any kind: somebody may wait for it
            if not first.done():
                first.set_exception(error)
            elif not stop.is_set():
                self._give_up(f"vLLM for {self.serving.title} is gone: {error!r}")

    def _keep_up(self, run: VllmStarts, first: Future[None], stop: threading.Event) -> None:
        with run.up() as process:
            self._moved(run.url)
            first.set_result(None)
            run.watch(process)
        self._restarts = 0
        while not stop.is_set():
            if run.lived_s > STEADY_S:
                self._restarts = 0
            self._died(run.failure)
            if self._restarts == len(self._restart_waits_s):
                return self._give_up(f"{run.failure}; it was started again {self._restarts} times")
            wait_s = self._restart_waits_s[self._restarts]
            self._restarts += 1
            KEEPERS_LOG.warning("%s; it is started again in %.0f s", run.failure, wait_s)
            if stop.wait(wait_s):
                return
            with suppress(EngineRefused), run.up() as process:
                self._moved(run.url)
                KEEPERS_LOG.warning("vLLM for %s is up again", self.serving.title)
                run.watch(process)

    def _tell(self, phase: str | None) -> None:
        begun = time.monotonic() if self._phase is None else self._phase[1]
        self._phase = None if phase is None else (phase, begun)

    def _give_up(self, why: str) -> None:
        self._given_up = why
        self._tell_given_up(why)
        if why:
            KEEPERS_LOG.error("%s", why)


def servers_starting() -> list[Starting]:
    """Those of this process's servers that are on their way up."""
    found = (keeper.starting for keeper in _kept.copy())
    return sorted((one for one in found if one is not None), key=lambda one: one.title)


def any_server() -> bool:
    """Whether this process keeps a server."""
    return bool(_kept)


def stop_servers() -> None:
    """Stop all servers of this process, at the same time; none of their processes is left."""
    if stopping := list(_kept):
        with ThreadPoolExecutor(len(stopping)) as threads:
            list(threads.map(VllmKeeper.stop, stopping))
