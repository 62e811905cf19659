"""What a run asked of its models, kept in the lake: `runs/RUN/usage/PROCESS.json`.

Each process that decodes for a run writes a document of its own, rewritten every `EVERY_S` and
when it has nothing left to decode: a killed one loses that much at most. A run's usage is the sum.

Meters and servers know no runs. What is noted is what they counted while this process was
decoding for this run; two runs at once, in one process or on one server, count each other's.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from cord.engines.metering import ASKERS, ENGINES, Meters, Work
from cord.engines.vllm.metrics import Counters, MeteredServer, Tally
from cord.errors import LakeError
from cord.lake.runs.run import now

if TYPE_CHECKING:
    from cord.lake import Lake

EVERY_S = 30.0
"""How often a process writes its usage down."""

_log = logging.getLogger(__name__)
T = TypeVar("T", Work, Counters)


class Usage(BaseModel):
    """What one process asked for one run, or all of them together."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    written_at: datetime | None = None
    seconds: float = 0.0
    """In which it was decoding."""
    askers: dict[str, Work] = {}
    """By teacher, and for the meta-prover."""
    engines: dict[str, Work] = {}
    """By model, whoever asked."""
    servers: dict[str, Counters | None] = {}
    """By server; None where it gave no counters when the process began: not known."""

    def __add__(self, other: Usage) -> Usage:
        servers = {**self.servers, **other.servers}
        for name in self.servers.keys() & other.servers.keys():
            ours, theirs = self.servers[name], other.servers[name]
            servers[name] = None if ours is None or theirs is None else ours + theirs
        return Usage(
            seconds=self.seconds + other.seconds,
            askers=_added(self.askers, other.askers),
            engines=_added(self.engines, other.engines),
            servers=servers,
        )


class _Process:
    """This process's usage for one run."""

    def __init__(self, lake: Lake, run_id: str, servers: Sequence[MeteredServer]) -> None:
        self._lake = lake
        name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._key = f"{usage_folder(run_id)}{name}.json"
        self._servers = servers
        self._tallies: dict[str, Tally | None] = {server.name: Tally() for server in servers}
        self._askers = _Since(ASKERS)
        self._engines = _Since(ENGINES)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._seconds = 0.0
        self._begun: float | None = None
        self.at_work = 0
        """Shards."""

    def begin(self) -> None:
        """From now on it counts."""
        self._begun = time.monotonic()
        self._askers.begin()
        self._engines.begin()
        for server in self._servers:
            tally = self._tallies[server.name]
            if tally is not None and (reading := server.read()) is not None:
                tally.begin(reading)
            else:
                self._tallies[server.name] = None  # where it stood now is never found out
        self._write()
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=self._go_on, args=(self._over,), name="cord usage", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Note the last figures; `begin` may follow."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self._note()
        self._seconds, self._begun = self._read_seconds(), None
        self._askers.end()
        self._engines.end()

    def _go_on(self, over: threading.Event) -> None:
        while not over.wait(EVERY_S):
            self._note()

    def _note(self) -> None:
        for server in self._servers:
            tally = self._tallies[server.name]
            if tally is not None and (reading := server.read()) is not None:
                tally.note(reading)
        self._write()

    def _read_seconds(self) -> float:
        return self._seconds + (0.0 if self._begun is None else time.monotonic() - self._begun)

    def _write(self) -> None:
        usage = Usage(
            written_at=now(),
            seconds=self._read_seconds(),
            askers=self._askers.read(),
            engines=self._engines.read(),
            servers={
                name: None if tally is None else tally.counted
                for name, tally in self._tallies.items()
            },
        )
        try:
            self._lake.store.write(self._key, (usage.model_dump_json(indent=2) + "\n").encode())
        except LakeError as error:  # the next one comes, and no run fails for its accounts
            _log.warning("the run's usage could not be written down: %s", error)


class _Since:
    """What meters show beyond where they stood when counting began."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._before: dict[str, Work] = {}
        self._start: Mapping[str, Work] | None = None

    def begin(self) -> None:
        """Count from here."""
        self._start = self._meters.read()

    def end(self) -> None:
        """Count no more."""
        self._before, self._start = self.read(), None

    def read(self) -> dict[str, Work]:
        """All that was counted, of those that did anything."""
        start = self._start
        shown = {} if start is None else self._meters.read()
        grown = {name: work - (start or {}).get(name, Work()) for name, work in shown.items()}
        return _added(self._before, {name: work for name, work in grown.items() if work != Work()})


_processes: dict[tuple[str, str], _Process] = {}
_lock = threading.Lock()


@contextmanager
def noting_usage(lake: Lake, run_id: str, servers: Sequence[MeteredServer]) -> Iterator[None]:
    """While the block runs, what this process asks of its models is noted as the run's.

    For several threads at once; the last one to leave writes the final figures."""
    with _lock:
        _forget_ended(besides=(lake.uri, run_id))
        process = _processes.setdefault((lake.uri, run_id), _Process(lake, run_id, servers))
        if not process.at_work:
            process.begin()
        process.at_work += 1
    try:
        yield
    finally:
        with _lock:
            process.at_work -= 1
            if not process.at_work:
                process.end()


def _forget_ended(besides: tuple[str, str]) -> None:
    """A process may carry out thousands of runs, one after another."""
    for run in [run for run, process in _processes.items() if not process.at_work]:
        if run != besides:
            del _processes[run]


def usage_folder(run_id: str) -> str:
    """Where a run's processes write their usage."""
    return f"runs/{run_id}/usage/"


def usage_of(lake: Lake, run_id: str) -> Usage:
    """What all processes of a run asked of its models. Raises `LakeError`."""
    return reduce(add, _documents(lake, run_id), Usage())


def _documents(lake: Lake, run_id: str) -> Iterable[Usage]:
    for key in sorted(lake.store.list(usage_folder(run_id))):
        if not key.endswith(".json"):
            continue  # moved aside by a repair
        try:
            yield Usage.model_validate_json(lake.store.read(key) or b"")
        except ValidationError:
            raise LakeError(
                f"{key} in the lake is not a process's usage; was it edited? Remove it: only what "
                "that process cost is then missing from the summary"
            ) from None


def _added(one: Mapping[str, T], other: Mapping[str, T]) -> dict[str, T]:
    added = dict(one)
    for name, more in other.items():
        added[name] = added[name] + more if name in added else more
    return added
