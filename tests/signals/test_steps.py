from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.signals.steps import CERTAIN, certain_at, first_steps, step_lengths, teacher_shares

bodies = st.lists(st.text(alphabet="ab é\n", max_size=12), min_size=1, max_size=4)


@given(st.lists(bodies, max_size=5))
def test_lengths_are_those_of_the_steps_as_they_were_written(rows: list[list[str]]) -> None:
    steps = [
        [f"### Step {n + 1}. {body}" + "\n" * (n + 1 < len(row)) for n, body in enumerate(row)]
        for row in rows
    ]
    texts = pa.array(["".join(row) for row in steps], pa.large_string())
    mean, longest = step_lengths(texts, np.array([float(len(row)) for row in steps]))
    for place, row in enumerate(steps):
        lengths = [len(step) for step in row]
        assert longest[place] == max(lengths)
        assert mean[place] == pytest.approx(sum(lengths) / len(lengths))


def test_steps_that_the_text_does_not_show_have_a_mean_alone() -> None:
    texts = pa.array(["one\n\ntwo", "one", None], pa.large_string())
    mean, longest = step_lengths(texts, np.array([2.0, 1.0, np.nan]))
    assert mean[:2].tolist() == [4, 3] and math.isnan(mean[2])
    assert math.isnan(longest[0]) and longest[1] == 3 and math.isnan(longest[2])


def test_the_first_step_ends_at_the_next_header_or_paragraph() -> None:
    texts = ["### Step 1. a\nb\n### Step 2. c", "a\nb\n\nc", "abcdef", None]
    found = first_steps(pa.array(texts, pa.large_string()), 40)
    assert found.to_pylist() == ["### Step 1. a\nb", "a\nb", "abcdef", None]
    assert first_steps(pa.array(["abcdef"]), 3).to_pylist() == ["abc"]


names = st.none() | st.sampled_from(["qwq", "phi", "r1"])


@given(st.lists(st.none() | st.lists(names, max_size=6), max_size=6))
def test_shares_are_of_the_steps_with_an_author(rows: list[list[str | None] | None]) -> None:
    found = teacher_shares(pa.array(rows, pa.list_(pa.string()))).to_pylist()
    for row, shares in zip(rows, found, strict=True):
        known = sorted(name for name in row or [] if name is not None)
        if not known:
            assert shares is None
            continue
        assert [one["teacher"] for one in shares] == sorted({*known})
        assert all(
            one["share"] == pytest.approx(known.count(one["teacher"]) / len(known))
            for one in shares
        )


scores = st.sampled_from([0.1, 0.98, CERTAIN, 1.0]) | st.none()


@given(st.lists(st.tuples(scores, st.none() | st.lists(scores, max_size=4)), max_size=6))
def test_certain_is_the_first_score_that_is_high(
    rows: list[tuple[float | None, list[float | None] | None]],
) -> None:
    found = certain_at(
        pa.array([start for start, _ in rows], pa.float64()),
        pa.array([behind for _, behind in rows], pa.list_(pa.float64())),
    ).to_pylist()
    for (start, behind), place in zip(rows, found, strict=True):
        path = [start, *(behind or [])]
        high = [n for n, score in enumerate(path) if score is not None and score >= CERTAIN]
        assert place == (high[0] if high and behind is not None else None)


def test_an_array_that_is_a_slice_of_another_is_read_from_its_own_rows() -> None:
    lists = pa.array([["a"], ["b", "c"], None, ["c"]])[1:]
    assert [one and len(one) for one in teacher_shares(lists).to_pylist()] == [2, None, 1]
    behind = pa.array([[1.0], [0.1, 1.0], None, [0.2]])[1:]
    assert certain_at(pa.array([0.1] * 3), behind).to_pylist() == [2, None, None]
