"""The bookkeeping of forced decoding against a simple model of a server's batch; and the processor
itself inside vLLM's own environment, on both of its interfaces."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import vllm_server as real
from hypothesis import given
from hypothesis import strategies as st

import cord
from cord.engines.vllm import forced_decoding_flags
from cord.engines.vllm.forced_decoding_flags import FORCED_IDS
from cord.engines.vllm.forced_rows import ForcedRows, forced_ids


@dataclass
class Request:
    """One request of the model, which knows itself what must come next."""

    ids: tuple[int, ...] | None
    decoded: list[int] = field(default_factory=list)

    @property
    def next_id(self) -> int | None:
        at_end = self.ids is None or len(self.decoded) >= len(self.ids)
        return None if at_end or self.ids is None else self.ids[len(self.decoded)]


class Batch:
    """A persistent batch as vLLM keeps one: a list of rows in which removed ones leave holes, which
    are filled by new requests, or by the last rows moved down; rows may also be swapped."""

    def __init__(self) -> None:
        self.rows: list[Request] = []
        self.forced = ForcedRows()

    def step(self, leaving: set[int], joining: list[Request], swaps: list[tuple[int, int]]) -> None:
        removed = sorted(leaving & set(range(len(self.rows))), reverse=True)
        kept: list[Request | None] = list(self.rows)
        for row in removed:
            kept[row] = None
        added, moved = [], []
        for request in joining:
            row = removed.pop() if removed else len(kept)
            if row == len(kept):
                kept.append(None)
            kept[row] = request
            added.append((row, request.ids, request.decoded))
        holes, left = sorted(removed), list(removed)
        for hole in holes:  # condense: the last row goes into the lowest hole
            while kept and kept[-1] is None:
                kept.pop()
            if hole >= len(kept):
                break
            moved.append((len(kept) - 1, hole, False))
            kept[hole] = kept.pop()
        while kept and kept[-1] is None:
            kept.pop()
        for a, b in swaps:
            if a < len(kept) and b < len(kept) and a != b:
                moved.append((a, b, True))
                kept[a], kept[b] = kept[b], kept[a]
        self.rows = [row for row in kept if row is not None]
        assert len(self.rows) == len(kept)
        self.forced.update(left, added, moved)

    def decode(self) -> None:
        """What is forced is what each request says of itself; then every row grows by a token."""
        expected = {row: r.next_id for row, r in enumerate(self.rows) if r.next_id is not None}
        assert dict(self.forced.next_ids()) == expected
        for row, request in enumerate(self.rows):
            assert self.forced.id_at(row, len(request.decoded)) == request.next_id
            request.decoded.append(expected.get(row, -1))


ids = st.lists(st.integers(0, 50), min_size=1, max_size=5).map(tuple)
steps = st.lists(
    st.tuples(
        st.sets(st.integers(0, 9), max_size=4),
        st.lists(st.one_of(st.none(), ids), max_size=4),
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3),
    ),
    max_size=12,
)


@given(steps)
def test_every_row_is_forced_to_its_own_requests_ids_however_the_batch_changes(changes):
    batch = Batch()
    for leaving, joining, swaps in changes:
        batch.step(leaving, [Request(wanted) for wanted in joining], swaps)
        batch.decode()


def test_a_request_that_comes_back_after_it_was_set_aside_goes_on_where_it_was():
    forced = ForcedRows()
    forced.update([], [(0, (5, 6, 7), [5, 6])], [])
    assert forced.next_ids() == [(0, 7)]


def test_a_row_that_is_taken_by_an_ordinary_request_is_forced_no_more():
    forced = ForcedRows()
    forced.update([], [(0, (5, 6), [])], [])
    forced.update([], [(0, None, [])], [])
    assert not forced and forced.next_ids() == []


@pytest.mark.parametrize("args", [None, {}, {"session_id": "x"}])
def test_an_ordinary_request_carries_no_ids(args):
    assert forced_ids(args) is None


@pytest.mark.parametrize(
    "value", [[], "12", 12, None, [1, "2"], [1, -2], [1.5], [True], [2**70], {"1": 1}]
)
def test_what_is_no_list_of_ids_is_refused_in_one_sentence(value):
    with pytest.raises(ValueError, match=FORCED_IDS):
        forced_ids({FORCED_IDS: value})


def test_a_server_gets_cord_and_nothing_else_to_import(tmp_path):
    environment = forced_decoding_flags.environment(tmp_path / "a", {"PYTHONPATH": "/x"})
    again = forced_decoding_flags.environment(tmp_path / "a", {})
    assert environment["PYTHONPATH"].split(os.pathsep) == [str(tmp_path / "a"), "/x"]
    assert again["PYTHONPATH"] == str(tmp_path / "a")
    assert [p.resolve() for p in (tmp_path / "a").iterdir()] == [Path(cord.__file__).parent]


@pytest.mark.slow
def test_the_processor_keeps_to_both_of_vllms_interfaces(tmp_path):
    real.require_vllm()
    script = Path(__file__).with_name("forced_decoding_in_vllm.py")
    ran = subprocess.run(
        [str(real.VENV / "bin" / "python"), str(script)],
        env=forced_decoding_flags.environment(tmp_path, {**real.ENVIRONMENT, "PATH": ""}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.strip().endswith("all hold")
