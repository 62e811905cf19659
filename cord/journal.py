"""The journal: what the searches in flight have decided so far, so that a crash costs one round.

A journal is lines in immutable *segments*. The first line of a segment says who wrote it; every
other line is one decided round of one problem:

    3f2c... {"key":"9a41...","problem_id":"p017","after":"c55e...","start_score":0.1,"decided":{}}

In front stands the checksum of the rest, by which a damaged line is known and which names the
entry. `after` is the name of the same problem's round before: entries make chains, so that two
processes that decoded the same problem at once are never mixed, and no round is ever skipped.

Whatever the bytes, reading gives chains that were written, from their first round on, and a
sentence for everything that could not be used. This module knows no files; they are
in `cord.lake.runs.journals`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from cord.types import Candidate, Progress, Round

FORMAT: Final = 1
"""Of the lines. A journal in another format is refused."""
FIRST: Final = ""
"""What a problem's first round comes after."""
_NAME_DIGITS: Final = 32
_KEY: Final = re.compile(rb"(?=([0-9a-f]{64}))")
"""Anything that may be a key: of a damaged line, what stands around it may be damaged too."""
_KEY_WITHIN: Final = 256
"""It stands at the beginning of a line; further on may be anything a model wrote."""


class Journal(Protocol):
    """What the scheduler needs of a journal."""

    def so_far(self, problem_id: str) -> Progress | None:
        """What was decided of a problem before; None where nothing was."""

    def keep(self, problem_id: str, start_score: float, decided: Round) -> Awaitable[None]:
        """Send the round on its way; who awaits it learns that it is safe. Call it from a loop.

        Awaiting raises `LakeError` when the round cannot be kept."""


class Keeper:
    """One problem's rounds on their way into the journal.

    The next round is generated meanwhile, but nothing of it counts before the last one is safe."""

    def __init__(self, journal: Journal | None, problem_id: str) -> None:
        self._journal, self._problem_id = journal, problem_id
        self._under_way: Awaitable[None] | None = None

    async def keep(self, start_score: float, decided: Round) -> None:
        """Return once all rounds before this one are safe, and this one is on its way."""
        await self.safe()
        if self._journal is not None:
            self._under_way = self._journal.keep(self._problem_id, start_score, decided)

    async def safe(self) -> None:
        """Return once all rounds are safe. Raises `LakeError` when one cannot be kept."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            await under_way


class Header(BaseModel):
    """Who wrote a segment: its first line."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    journal: int = FORMAT
    cord: str
    """Version."""
    run_id: str
    engines: dict[str, str]
    """Teacher name to model and engine, versions included."""

    def differs(self, other: Header) -> str:
        """Why rounds of `self` are not to be mixed with those of `other`; "" when they may be."""
        pairs = [("journal format", self.journal, other.journal), ("cord", self.cord, other.cord)]
        names = dict.fromkeys((*self.engines, *other.engines))
        pairs += [(n, self.engines.get(n, "none"), other.engines.get(n, "none")) for n in names]
        return "; ".join(f"{what} was {then}, is {now}" for what, then, now in pairs if then != now)


@dataclass(frozen=True, slots=True)
class Entry:
    """One decided round of one problem."""

    key: str
    """Of the problem's search (`cord.plan.problem_key`)."""
    problem_id: str
    after: str
    """Name of the entry of the round before, or `FIRST`."""
    start_score: float
    """Score of the empty prefix."""
    decided: Round


@dataclass(frozen=True, slots=True)
class Chain:
    """All that is known of one problem's search, in order."""

    progress: Progress
    last: str
    """Name of the last entry: what the next one comes after."""
    lines: tuple[bytes, ...] = field(repr=False)
    """As they were read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What segments gave."""

    chains: Mapping[str, Chain]
    """By key."""
    faults: tuple[str, ...] = ()
    """A sentence for each kind of thing that could not be used. A torn last line is none."""


_ENTRY: Final = TypeAdapter(Entry)


def header_line(header: Header) -> bytes:
    """A segment's first line."""
    return _line(header.model_dump_json().encode())[1]


def entry_line(entry: Entry) -> tuple[str, bytes]:
    """The name of an entry, and its line.

    Token ids of proposals that were dropped are left out: nothing ever continues them."""
    candidates = tuple(_slim(c) for c in entry.decided.candidates)
    slim = replace(entry, decided=replace(entry.decided, candidates=candidates))
    return _line(_ENTRY.dump_json(slim))


def read_segments(segments: Iterable[tuple[str, bytes]], present: Header | None) -> Reading:
    """The chains in these (name, content), as far as they may be continued by `present`; with None
    whoever wrote them.

    Of several chains of one problem the longest counts. A problem one of whose entries is damaged
    or missing starts over: it has no chain."""
    return _Reader(present).read(segments)


def _slim(candidate: Candidate) -> Candidate:
    return (
        candidate
        if candidate.kept
        else replace(candidate, step=replace(candidate.step, token_ids=()))
    )


def _line(payload: bytes) -> tuple[str, bytes]:
    name = _name(payload)
    return name, b"%s %s\n" % (name.encode(), payload)


def _name(payload: bytes) -> str:
    return sha256(payload).hexdigest()[:_NAME_DIGITS]


@dataclass(slots=True)
class _Reader:
    present: Header | None
    entries: dict[str, dict[str, tuple[Entry, bytes]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """By key, then by name."""
    spoilt: set[str] = field(default_factory=set)
    """Keys that start over."""
    damaged: list[str] = field(default_factory=list)
    """Where damage was found."""
    refused: Counter[str] = field(default_factory=Counter)
    """Rounds that are not used, by why."""

    def read(self, segments: Iterable[tuple[str, bytes]]) -> Reading:
        for name, content in segments:
            self._segment(name, content)
        chains: dict[str, Chain] = {}
        gaps = 0
        for key, entries in self.entries.items():
            if key in self.spoilt:
                continue
            chain = _longest(entries)
            if chain is None:
                gaps += 1
            else:
                chains[key] = chain
        faults = [
            f"{count} decided rounds are not used: {why}" for why, count in self.refused.items()
        ]
        if self.damaged:
            faults.append(
                f"{len(self.damaged)} damaged entries of the journal are not used "
                f"({', '.join(self.damaged[:3])}); {len(self.spoilt)} problems start over"
            )
        if gaps:
            faults.append(f"the journal lacks rounds of {gaps} problems; they start over")
        return Reading(chains, tuple(faults))

    def _segment(self, name: str, content: bytes) -> None:
        *lines, _ = content.split(b"\n")  # behind the last newline stands nothing, or a torn line
        if not lines:
            return
        payload = _checked(lines[0])
        header = None if payload is None else _header(payload)
        if header is None:
            self.damaged.append(f"{name}:1")
        differs = header.differs(self.present) if header and self.present else ""
        for number, line in enumerate(lines[1:], 2):
            payload = None if header is None else _checked(line)
            entry = None if payload is None else _entry(payload)
            if differs:
                self.refused[differs] += 1
            elif payload is None or entry is None:
                self.damaged.append(f"{name}:{number}")
                keys = _KEY.finditer(line[:_KEY_WITHIN])
                self.spoilt.update(key[1].decode() for key in keys)
            else:
                self.entries[entry.key][_name(payload)] = entry, line + b"\n"


def _checked(line: bytes) -> bytes | None:
    """The line without its checksum, if that is right."""
    name, _, payload = line.partition(b" ")
    return payload if name == _name(payload).encode() else None


def _header(payload: bytes) -> Header | None:
    try:
        return Header.model_validate_json(payload)
    except ValidationError:
        return None


def _entry(payload: bytes) -> Entry | None:
    try:
        return _ENTRY.validate_json(payload)
    except ValidationError:
        return None


def _longest(entries: Mapping[str, tuple[Entry, bytes]]) -> Chain | None:
    """The longest chain that begins with a first round; None when some entry hangs in the air."""
    for entry, _ in entries.values():
        before = entries[entry.after][0].decided.index if entry.after in entries else -1
        if entry.decided.index != before + 1 or (before == -1) != (entry.after == FIRST):
            return None
    name = min(entries, key=lambda name: (-entries[name][0].decided.index, name))
    last, chosen = name, []
    while name != FIRST:
        chosen.append(entries[name])
        name = chosen[-1][0].after
    chosen.reverse()
    progress = Progress(chosen[0][0].start_score, tuple(entry.decided for entry, _ in chosen))
    return Chain(progress, last, tuple(line for _, line in chosen))
