"""Where journals lie in the lake, and how they get there.

    journals/SEARCH/RUN/00003/WRITER-000001.jsonl     segments of shard 3 (`cord.journal`)

SEARCH begins the fingerprint of everything but the problems that decides a trajectory, so a journal
is only ever found by a run that searches in the same way. Each process that decodes a shard is a
writer of its own and never touches another's segments. A round is on its way to the lake as soon
as it is decided, together with whatever else was decided meanwhile: one small write at a time,
gathered for a twentieth of a round, during which the next round is generated. When the shard is
committed its journal goes.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import uuid4

from cord.journal import (
    FIRST,
    Chain,
    Entry,
    Header,
    Reading,
    entry_line,
    header_line,
    read_segments,
)
from cord.lake.runs.run import check_run_id
from cord.types import Progress, Round

if TYPE_CHECKING:
    from cord.lake import Lake

JOURNALS_LOG: Final = logging.getLogger(__name__)
"""Where it is told what of a journal was taken up, and what could not be used."""
MANY_SEGMENTS: Final = 200
"""More than so many are made one when a shard is taken up again."""
_Kept: TypeAlias = "asyncio.Future[None]"
_GATHER_SHARE: Final = 0.05
"""Of a problem's round, how long a write may wait for others to go with it."""


def journal_header(run_id: str, engines: Mapping[str, str]) -> Header:
    """Who writes: this version of cord, for a run, with these engines."""
    try:
        cord = version("cord-factory")
    except PackageNotFoundError:
        cord = "(not installed)"
    return Header(cord=cord, run_id=run_id, engines=dict(engines))


def journal_folder(search: str, run_id: str = "", shard: int | None = None) -> str:
    """Prefix of a search's segments, of a run's among them, of one shard's."""
    folder = f"journals/{search[:16]}/"
    if run_id:
        folder += f"{check_run_id(run_id)}/"
    return folder if shard is None else f"{folder}{shard:05d}/"


def read_journal(lake: Lake, folder: str, present: Header | None) -> tuple[Reading, list[str]]:
    """What the segments under a prefix give (`cord.journal.read_segments`), and their keys."""
    keys = [key for key in lake.store.list(folder) if key.endswith(".jsonl")]
    # One that another process deletes at this moment belongs to a shard that is committed.
    return read_segments(((key, lake.store.read(key) or b"") for key in keys), present), keys


def journal_progress(lake: Lake, search: str, run_id: str) -> dict[int, tuple[int, int]]:
    """Shard to (problems that have decided rounds, rounds), of a run's shards under way."""
    folder = journal_folder(search, run_id)
    segments: dict[str, list[str]] = {}
    for key in lake.store.list(folder):
        if key.endswith(".jsonl"):
            segments.setdefault(key.removeprefix(folder).partition("/")[0], []).append(key)
    found: dict[int, tuple[int, int]] = {}
    for shard in sorted(int(name) for name in segments if name.isdecimal()):
        keys = segments[f"{shard:05d}"]
        reading = read_segments(((key, lake.store.read(key) or b"") for key in keys), None)
        rounds = sum(len(chain.progress.rounds) for chain in reading.chains.values())
        found[shard] = len(reading.chains), rounds
    return found


def adopt(lake: Lake, search: str, header: Header, shards: Mapping[str, int]) -> int:
    """Copy what other runs of the same search have decided of these problems (key to shard) into
    the journal of `header.run_id`; returns how many rounds."""
    ours = journal_folder(search, header.run_id)
    keys = [
        key
        for key in lake.store.list(journal_folder(search))
        if key.endswith(".jsonl") and not key.startswith(ours)
    ]
    reading = read_segments(((key, lake.store.read(key) or b"") for key in keys), header)
    by_shard: dict[int, list[Chain]] = {}
    for key, chain in reading.chains.items():
        if key in shards:
            by_shard.setdefault(shards[key], []).append(chain)
    for shard, chains in by_shard.items():
        _write_chains(lake, journal_folder(search, header.run_id, shard), header, chains)
    return sum(len(c.progress.rounds) for chains in by_shard.values() for c in chains)


def forget_journal(lake: Lake, search: str, run_id: str, *shards: int) -> None:
    """Delete these shards' segments: call it when all their tables are committed."""
    folders = [journal_folder(search, run_id, shard) for shard in shards]
    lake.store.delete([key for folder in folders for key in lake.store.list(folder)])


class ShardJournal:
    """The journal of one shard, for one process. Use it as a context manager, from any loop."""

    def __init__(
        self, lake: Lake, search: str, header: Header, shard: int, keys: Mapping[str, str]
    ) -> None:
        """`keys`: problem id to the key of its search, for all problems of the shard."""
        self._lake = lake
        self._folder = journal_folder(search, header.run_id, shard)
        self._header = header
        self._keys = keys
        self._writer = uuid4().hex[:12]
        self._segments = 0
        self._arrived = threading.Condition()
        self._waiting: list[tuple[Entry, _Kept]] = []
        self._over = False
        self._thread = threading.Thread(target=self._write, name=f"journal {shard}", daemon=True)
        self._chains = self._take_up()
        self._last = {key: chain.last for key, chain in self._chains.items()}
        self._pace = _Pace(lake.store.gather_s)

    def __enter__(self) -> ShardJournal:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._arrived:
            self._over = True
            self._arrived.notify()
        self._thread.join()

    def so_far(self, problem_id: str) -> Progress | None:
        """See `cord.journal.Journal`; a problem is handed out once."""
        chain = self._chains.pop(self._keys[problem_id], None)
        return None if chain is None else chain.progress

    def keep(self, problem_id: str, start_score: float, decided: Round) -> Awaitable[None]:
        """See `cord.journal.Journal`."""
        entry = Entry(self._keys[problem_id], problem_id, FIRST, start_score, decided)
        kept: _Kept = asyncio.get_running_loop().create_future()
        with self._arrived:
            self._waiting.append((entry, kept))
            self._arrived.notify()
        return kept

    def _take_up(self) -> dict[str, Chain]:
        reading, segments = read_journal(self._lake, self._folder, self._header)
        wanted = set(self._keys.values())
        chains = {key: chain for key, chain in reading.chains.items() if key in wanted}
        for fault in reading.faults:
            JOURNALS_LOG.warning("%s: %s", self._folder, fault)
        if chains:
            rounds = sum(len(chain.progress.rounds) for chain in chains.values())
            JOURNALS_LOG.info(
                "%d rounds of %d problems were decided before and are taken up", rounds, len(chains)
            )
        # What is damaged would spoil its problem again and again, whatever is decided anew.
        if reading.faults or len(segments) > MANY_SEGMENTS:
            _write_chains(self._lake, self._folder, self._header, chains.values())
            self._lake.store.delete(segments)
        return chains

    def _write(self) -> None:
        """The writer's thread: one segment at a time, of all that has arrived."""
        while True:
            with self._arrived:
                while not self._waiting and not self._over:
                    self._arrived.wait()
                if not self._waiting:
                    return
                over = self._over
            if not over:
                time.sleep(self._pace.gather_s)
            with self._arrived:
                batch, self._waiting = self._waiting, []
            self._write_batch(batch)

    def _write_batch(self, batch: list[tuple[Entry, _Kept]]) -> None:
        lines, names = [header_line(self._header)], {}
        try:
            for entry, _ in batch:
                names[entry.key], line = entry_line(
                    _behind(entry, self._last.get(entry.key, FIRST))
                )
                lines.append(line)
                self._pace.decided(entry.key)
            self._segments += 1
            key = f"{self._folder}{self._writer}-{self._segments:06d}.jsonl"
            # Not created but written: nobody else has this name, and a repeated put is the same.
            self._lake.store.write(key, b"".join(lines))
        except Exception as error:  # whoever waits for it hears of it
            _tell([kept for _, kept in batch], error)
        else:
            self._last.update(names)
            _tell([kept for _, kept in batch], None)


def _tell(kept: Sequence[_Kept], error: Exception | None) -> None:
    """Wake each loop once: it would otherwise fight for the interpreter at every entry."""
    for loop in dict.fromkeys(one.get_loop() for one in kept):
        mine = [one for one in kept if one.get_loop() is loop]
        with suppress(RuntimeError):  # it is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, mine, error)


def _settle(kept: Sequence[_Kept], error: Exception | None) -> None:
    for one in kept:
        if one.done():  # its search was broken off
            continue
        if error is None:
            one.set_result(None)
        else:
            one.set_exception(error)


class _Pace:
    """How long rounds take, and so how long a write may be put off."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._round_s = 0.0
        self._seen: dict[str, float] = {}

    def decided(self, key: str) -> None:
        """A round of this problem has come."""
        now = time.monotonic()
        if (before := self._seen.get(key)) is not None:
            self._round_s += 0.1 * (now - before - self._round_s)
        self._seen[key] = now

    @property
    def gather_s(self) -> float:
        """How long to wait for others."""
        return min(self._most_s, _GATHER_SHARE * self._round_s)


def _behind(entry: Entry, name: str) -> Entry:
    return Entry(entry.key, entry.problem_id, name, entry.start_score, entry.decided)


def _write_chains(lake: Lake, folder: str, header: Header, chains: Iterable[Chain]) -> None:
    if lines := [line for chain in chains for line in chain.lines]:
        key = f"{folder}{uuid4().hex[:12]}-000000.jsonl"
        lake.store.write(key, header_line(header) + b"".join(lines))
