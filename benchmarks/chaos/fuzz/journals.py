"""Whatever became of a journal's segments: what is read was written, from the first round on, none
missing and no two searches mixed; and nobody else's rounds are lost for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from random import Random

from hypothesis import strategies as st

from benchmarks.chaos.fuzz.mutation import torn
from benchmarks.chaos.fuzz.trying import Property, RowsLost
from cord.journal import FIRST, Entry, Header, entry_line, header_line, read_segments
from cord.lake import open_lake
from cord.lake.runs.journals import ShardJournal, journal_folder
from cord.types import Candidate, Cost, Progress, Round, Step

SEARCH = "5ea4c4" + "0" * 58
PRESENT = Header(cord="1", run_id="r", engines={"ada": "m; vllm 1", "ben": "m"})
HEADERS = (
    PRESENT,
    PRESENT,
    PRESENT.model_copy(update={"run_id": "other"}),
    PRESENT.model_copy(update={"cord": "0"}),
    PRESENT.model_copy(update={"engines": {"ada": "m; vllm 0", "ben": "m"}}),
    PRESENT.model_copy(update={"journal": 2}),
)
SNIPPETS = (b"\n", b"\r\n", b"\x00", b" ", b'"', b"{", b"[" * 2000, b'"key":"' + b"a" * 64 + b'"')
TEXTS = ("### Step 1. a\n", 'q" \\ \u2028\x00 {"key":"', "Größe \U0001f9ee\n", "")


@dataclass(frozen=True)
class Written:
    """One entry, as it was written."""

    entry: Entry
    name: str
    line: bytes


@dataclass(frozen=True)
class Segment:
    """Who wrote it, and what; `content` where it is no longer what was written."""

    header: Header
    entries: tuple[Written, ...]
    content: bytes | None = None

    @property
    def bytes(self) -> bytes:
        """What lies in the lake."""
        if self.content is not None:
            return self.content
        return header_line(self.header) + b"".join(one.line for one in self.entries)


@dataclass(frozen=True)
class Journal:
    """Segments, one of which (`hurt`) is `damaged` in a way, or none."""

    segments: tuple[Segment, ...]
    hurt: int
    damage: str
    left: tuple[Written, ...] = ()
    """What can still be read of the hurt one, where that is sure."""
    starts_over: str = ""
    """Key of a problem of which an entry is damaged for sure."""


def key_of(number: int) -> str:
    """The key of a problem's search."""
    return sha256(b"%d" % number).hexdigest()


@st.composite
def _entries(draw: st.DrawFn, problem: int) -> list[Written]:
    """A problem's rounds: a chain, often with a second one that leaves it somewhere."""
    written: list[Written] = []
    for number in range(draw(st.integers(1, 5))):
        before = written[-1] if written else None
        if number and draw(st.integers(0, 2)) == 0:
            before = draw(st.none() | st.sampled_from(written))
        after, index = (before.name, before.entry.decided.index + 1) if before else (FIRST, 0)
        decided = _round(index, draw(st.integers(0, 60)))
        entry = Entry(key_of(problem), f"p{problem}", after, 0.25, decided)
        name, line = entry_line(entry)
        if name not in {one.name for one in written}:
            written.append(Written(entry, name, line))
    return written


def _round(index: int, seed: int) -> Round:
    """One of many rounds that this may be: what is in it matters little to the journal."""
    random = Random(seed)
    candidates = tuple(
        Candidate(
            place,
            Step(random.choice(TEXTS), "ada", ("ada", "ben"), (5, 6), "m", 2, 0.5, -0.1),
            finished=random.random() < 0.5,
            answer=random.choice((None, *TEXTS)),
            kept=random.random() < 0.5,
            cost=Cost(1, random.randrange(9), 7, None, 0.5),
        )
        for place in range(seed % 3)
    )
    return Round(index, candidates, (("ben", "an empty step"),), (("ada", Cost(2, 3)),), ("ben",))


@st.composite
def journals(draw: st.DrawFn) -> Journal:
    """A few problems' entries, over a few segments of several writers, one of them damaged."""
    entries = [one for n in range(draw(st.integers(1, 3))) for one in draw(_entries(n))]
    cut = draw(st.lists(st.integers(0, len(entries)), max_size=3).map(sorted))
    bounds = [0, *cut, len(entries)]
    mixed = draw(st.booleans())
    segments = [
        Segment(draw(st.sampled_from(HEADERS)) if mixed else PRESENT, tuple(entries[begin:end]))
        for begin, end in pairwise(bounds)
    ]
    hurt = draw(st.integers(0, len(segments) - 1))
    damage = draw(st.sampled_from(["none", "cut", "cut", "flip", "flip", "lines", "torn", "bytes"]))
    return draw(_damaged(tuple(segments), hurt, damage))


@st.composite
def _damaged(draw: st.DrawFn, segments: tuple[Segment, ...], hurt: int, damage: str) -> Journal:
    segment = segments[hurt]
    raw, left, starts_over = segment.bytes, segment.entries, ""
    match damage:
        case "cut":
            raw = raw[: draw(st.integers(0, len(raw)))]
            left = left[: max(0, raw.count(b"\n") - 1)]
        case "flip":
            place = draw(st.integers(0, len(raw) - 1))
            number = raw.count(b"\n", 0, place)
            turned = bytes([raw[place] ^ 1 << draw(st.integers(0, 7))])
            told = number and b"\n" not in (raw[place : place + 1], turned)
            raw = raw[:place] + turned + raw[place + 1 :]
            if told and segment.header == PRESENT:
                hit = segment.entries[number - 1].entry.key
                starts_over = hit if hit.encode() in raw.split(b"\n")[number] else ""
        case "lines":
            head, *lines = raw.splitlines(keepends=True)
            if lines:
                lines = draw(st.lists(st.sampled_from(lines), max_size=6))
            raw = (head if draw(st.integers(0, 4)) else b"") + b"".join(lines)
        case "torn":
            raw = draw(torn(raw, SNIPPETS))
        case "bytes":
            raw = draw(st.binary(max_size=80))
    changed = replace(segment, content=raw)
    return Journal(
        (*segments[:hurt], changed, *segments[hurt + 1 :]), hurt, damage, left, starts_over
    )


def what_is_read_was_written(journal: Journal) -> None:
    """`read_segments`, against a plain model of what may be used."""
    named = [(f"s{n}", segment.bytes) for n, segment in enumerate(journal.segments)]
    reading = read_segments(named, PRESENT)
    everything = [one for segment in journal.segments for one in segment.entries]
    for key, chain in reading.chains.items():
        check_path(key, chain.progress, chain.last, everything)
        assert b"".join(chain.lines).count(b"\n") == len(chain.progress.rounds)
    usable = [
        one
        for n, segment in enumerate(journal.segments)
        if not segment.header.differs(PRESENT)
        for one in (journal.left if n == journal.hurt else segment.entries)
    ]
    unsure = {one.entry.key for one in journal.segments[journal.hurt].entries}
    if journal.damage in ("none", "cut"):
        unsure = set()
    found = {key: len(chain.progress.rounds) for key, chain in reading.chains.items()}
    check_kept(found, usable, unsure)
    for fault in reading.faults:
        assert fault.isprintable()
    if journal.starts_over:
        assert reading.faults
        assert journal.starts_over not in reading.chains
    # The same again, whoever asks: `cord status` reads without a header of its own.
    assert read_segments(named, PRESENT) == reading
    read_segments(named, None)


def check_path(key: str, progress: Progress, last: str, written: Sequence[Written]) -> None:
    """The rounds are those on the way from a first round to `last`, all of this problem."""
    by_name = {one.name: one for one in written}
    path = []
    while last != FIRST:
        path.append(by_name[last].entry)
        last = path[-1].after
    path.reverse()
    assert [entry.key for entry in path] == [key] * len(path)
    assert progress.start_score == path[0].start_score
    assert progress.rounds == tuple(_slim(entry.decided) for entry in path)
    assert [decided.index for decided in progress.rounds] == list(range(len(path)))


def _slim(decided: Round) -> Round:
    """Without the token ids that nothing continues."""
    return replace(
        decided,
        candidates=tuple(
            c if c.kept else replace(c, step=replace(c.step, token_ids=()))
            for c in decided.candidates
        ),
    )


def check_kept(found: Mapping[str, int], usable: Iterable[Written], unsure: set[str]) -> None:
    """A problem whose entries are all there keeps its longest chain; one with a gap has none."""
    by_key: dict[str, dict[str, Entry]] = {}
    for one in usable:
        by_key.setdefault(one.entry.key, {})[one.name] = one.entry
    for key, entries in by_key.items():
        if key in unsure:
            continue
        whole = all(entry.after in (FIRST, *entries) for entry in entries.values())
        longest = max(entry.decided.index + 1 for entry in entries.values()) if whole else 0
        if found.get(key, 0) < longest:
            raise RowsLost(longest - found.get(key, 0), f"rounds of {key}")
        assert found.get(key, 0) == longest


def a_shard_takes_up_what_was_written(journal: Journal) -> None:
    """`ShardJournal` on a real folder, twice: what it takes up, it takes up again."""
    everything = [one for segment in journal.segments for one in segment.entries]
    ids = {one.entry.problem_id: one.entry.key for one in everything}
    with tempfile.TemporaryDirectory() as folder:
        lake = open_lake(folder, create=True)
        place = journal_folder(SEARCH, PRESENT.run_id, 0)
        for number, segment in enumerate(journal.segments):
            lake.store.write(f"{place}w{number}-000001.jsonl", segment.bytes)
        taken: list[dict[str, Progress | None]] = []
        for _ in range(2):
            with ShardJournal(lake, SEARCH, PRESENT, 0, ids) as shard:
                taken.append({id_: shard.so_far(id_) for id_ in ids})
        assert taken[0] == taken[1]
    named = [(f"s{n}", segment.bytes) for n, segment in enumerate(journal.segments)]
    chains = read_segments(named, PRESENT).chains
    expected = {id_: chains[key].progress if key in chains else None for id_, key in ids.items()}
    assert taken[0] == expected


PROPERTIES = (
    Property(
        "journal reader",
        "what is read was written, and nobody else's rounds are lost",
        journals(),
        what_is_read_was_written,
    ),
    Property(
        "journal reader, a shard's folder",
        "a shard takes up what was written, and again",
        journals(),
        a_shard_takes_up_what_was_written,
        share=0.1,
    ),
)
