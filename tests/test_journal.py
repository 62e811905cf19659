"""Lines of the journal: what is read was written, whole and in order, whatever became of it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.journal import (
    FIRST,
    Entry,
    Header,
    Reading,
    entry_line,
    header_line,
    read_segments,
)
from cord.types import Candidate, Cost, Progress, Round, Step

HERE = Header(cord="1.0", run_id="run", engines={"a": "model on vllm 1"})


def a_round(index: int, seed: int = 0) -> Round:
    """A decided round with two candidates, one of which is kept."""
    dice = random.Random(f"{index} {seed}")
    steps = [
        Step(
            text=f"### Step {index + 1}. é\u2028{dice.random()}\n",
            teacher="a",
            authors=("a", "b"),
            token_ids=(1, 2, dice.randrange(100_000)),
            model="hash",
            tokens=3,
            score=dice.random(),
            gain=-dice.random() * 1e-9,
            complete=bool(dice.randrange(2)),
        )
        for _ in range(2)
    ]
    return Round(
        index,
        (
            Candidate(0, steps[0], True, "42", kept=True, cost=Cost(1, 3, 9, None, 0.25)),
            Candidate(0, steps[1], cost=Cost(1, 3, 9, 4, 1e-7)),
        ),
        rejected=(("b", "an empty step"),),
        costs=(("a", Cost(2, 6, 18, 4, 0.5)),),
        missing=("c",),
    )


def written(
    key: str, rounds: int, seed: int = 0, after: str = FIRST, first: int = 0
) -> list[bytes]:
    """The lines of a problem's rounds from `first` on."""
    lines = []
    for index in range(first, rounds):
        entry = Entry(key * 64, f"p{key}", after, 0.125, a_round(index, seed))
        after, line = entry_line(entry)
        lines.append(line)
    return lines


def name_of(line: bytes) -> str:
    return line.partition(b" ")[0].decode()


def read(*segments: list[bytes] | bytes, by: Header = HERE, now: Header | None = HERE) -> Reading:
    whole = [s if isinstance(s, bytes) else header_line(by) + b"".join(s) for s in segments]
    return read_segments(((f"s{i}", content) for i, content in enumerate(whole)), now)


def rounds_of(reading: Reading) -> dict[str, int]:
    return {key[0]: len(chain.progress.rounds) for key, chain in reading.chains.items()}


def test_what_is_read_is_what_was_decided_but_for_ids_that_nobody_continues() -> None:
    lines = written("a", 3)
    chain = read(lines).chains["a" * 64]
    wanted = []
    for index in range(3):
        kept, dropped = a_round(index).candidates
        slim = replace(dropped, step=replace(dropped.step, token_ids=()))
        wanted.append(replace(a_round(index), candidates=(kept, slim)))
    assert chain.progress == Progress(0.125, tuple(wanted))
    seen = chain.progress.rounds[2].candidates[0].cost
    assert (seen.cached_tokens, seen.seconds) == (None, 0.25), "also what does not compare"
    assert chain.last == name_of(lines[-1])
    assert chain.lines == tuple(lines)


@given(st.permutations(range(4)), st.data())
def test_segments_come_in_any_order_and_more_than_once(
    order: list[int], data: st.DataObject
) -> None:
    lines = [*written("a", 4), *written("b", 4)]
    cut = data.draw(st.lists(st.integers(0, 8), min_size=3, max_size=3).map(sorted))
    parts = [lines[i:j] for i, j in zip([0, *cut], [*cut, 8], strict=True)]
    again = parts[data.draw(st.integers(0, 3))]
    found = read(*(parts[i] for i in order), again)
    assert rounds_of(found) == {"a": 4, "b": 4} and not found.faults


@given(st.data())
def test_a_segment_cut_anywhere_gives_all_rounds_that_were_whole(data: st.DataObject) -> None:
    lines = written("a", 4)
    head = header_line(HERE)
    whole = head + b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [len(head + b"".join(lines[:n])) for n in range(5)]
    found = read(whole[:cut])
    assert rounds_of(found).get("a", 0) == sum(end <= cut for end in ends[1:])
    assert not found.faults, "a torn last line is what a crash leaves: no fault"


@given(st.data())
def test_a_changed_byte_costs_its_problem_alone_and_is_said(data: st.DataObject) -> None:
    lines, others = written("a", 3), written("b", 3)
    spoilt = data.draw(st.integers(0, 2))
    line = bytearray(lines[spoilt])
    at = data.draw(st.integers(0, len(line) - 2))
    line[at] ^= data.draw(st.integers(1, 255))
    lines[spoilt] = bytes(line)
    found = read(lines, others)
    assert rounds_of(found).get("b") == 3
    # Where even its name is beyond reading, what stands before it is whole and may be used.
    assert rounds_of(found).get("a", 0) <= spoilt
    assert found.faults and "start over" in " ".join(found.faults)


@pytest.mark.parametrize("around", [b'"key":"', b'key":"', b'":"'])
def test_a_key_is_known_whatever_is_damaged_around_it(around: bytes) -> None:
    """Found by fuzzing: the last of three was dropped, and its problem went on from the second."""
    lines = written("a", 3)
    lines[2] = lines[2].replace(around, b"#" * len(around), 1)
    found = read(lines, written("b", 1))
    assert rounds_of(found) == {"b": 1}
    assert found.faults == (
        "1 damaged entries of the journal are not used (s0:4); 1 problems start over",
    )


def test_of_two_processes_that_decoded_one_problem_at_once_the_longer_chain_counts() -> None:
    one, other = written("a", 2, seed=1), written("a", 3, seed=2)
    chain = read(one, other).chains["a" * 64]
    assert chain.lines == tuple(other), "and the two are never mixed"
    branched = written("a", 4, seed=3, after=name_of(one[0]), first=1)
    assert read(one, other, branched).chains["a" * 64].lines == (one[0], *branched)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_problem_whose_chain_has_a_gap_starts_over(lost: int) -> None:
    lines = written("a", 4)
    del lines[lost]
    found = read(lines, written("b", 1))
    assert rounds_of(found) == {"b": 1}
    assert found.faults == ("the journal lacks rounds of 1 problems; they start over",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cord": "1.1"}, "cord was 1.0, is 1.1"),
        ({"engines": {"a": "model on vllm 2"}}, "a was model on vllm 1, is model on vllm 2"),
        ({"engines": {}}, "a was model on vllm 1, is none"),
        ({"journal": 2}, "journal format was 1, is 2"),
    ],
)
def test_rounds_of_another_version_are_refused_with_what_differs(
    change: dict[str, object], said: str
) -> None:
    found = read(written("a", 3), now=HERE.model_copy(update=change))
    assert not found.chains
    assert found.faults == (f"3 decided rounds are not used: {said}",)


def test_a_run_of_another_name_may_continue_them() -> None:
    assert rounds_of(read(written("a", 3), now=HERE.model_copy(update={"run_id": "other"})))


def test_a_segment_without_its_first_line_is_damaged() -> None:
    found = read(b"".join(written("a", 2)), written("b", 2))
    assert rounds_of(found) == {"b": 2} and "2 damaged entries" in found.faults[0]


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_any_bytes_are_read_without_an_error(contents: list[bytes]) -> None:
    found = read(*contents, written("b", 2))
    assert rounds_of(found) == {"b": 2}
