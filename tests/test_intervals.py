"""Means, ratios and Pass@1 with their bootstrap intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.intervals import Ratio, mean_interval, paired_interval, pass_at_1

SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


@given(SHARES, st.integers(0, 2**31))
def test_the_interval_holds_the_mean_and_lies_among_the_values(values, seed):
    found = mean_interval(values, seed, draws=200)
    assert found.low <= found.mean <= found.high
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert min(values) - 1e-9 <= found.low and found.high <= max(values) + 1e-9
    assert found == mean_interval(values, seed, draws=200), "the same seed, the same interval"


@given(SHARES, st.randoms())
def test_the_order_of_problems_changes_the_mean_by_no_more_than_rounding(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    assert mean_interval(shuffled, draws=10).mean == pytest.approx(
        mean_interval(values, draws=10).mean
    )


@given(st.floats(0, 1), st.integers(1, 40))
def test_equal_problems_leave_no_doubt(value, number):
    found = mean_interval([value] * number, draws=50)
    assert found.high - found.low <= 1e-12


def test_its_width_is_that_of_the_normal_approximation():
    rng = np.random.default_rng(1)
    values = rng.random(400)
    found = mean_interval(values.tolist())
    wanted = 1.96 * values.std() / 20
    assert found.high - found.mean == pytest.approx(wanted, rel=0.08)
    assert found.mean - found.low == pytest.approx(wanted, rel=0.08)


def test_it_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    held = 0
    for seed in range(200):
        found = mean_interval((rng.random(80) < 0.3).astype(float).tolist(), seed, draws=500)
        held += found.low <= 0.3 <= found.high
    assert 0.89 < held / 200 < 0.99


def test_pass_at_1_is_a_mean_of_means_and_problems_are_what_is_drawn():
    found = pass_at_1([[True, False], [True, True], [False, False]])
    assert found.mean == pytest.approx(0.5)
    # However many samples a problem has, it is one problem: no more certainty comes of them.
    many = pass_at_1([[True] * 16, [False] * 16] * 5)
    few = pass_at_1([[True], [False]] * 5)
    assert (many.low, many.high) == (few.low, few.high)


def test_pairs_tell_apart_what_two_intervals_do_not():
    rng = np.random.default_rng(3)
    theirs = rng.random(100)
    ours = theirs + 0.02
    difference = paired_interval(ours.tolist(), theirs.tolist())
    assert difference.low > 0 and difference.mean == pytest.approx(0.02)
    assert mean_interval(ours.tolist()).low < mean_interval(theirs.tolist()).high


def test_nothing_to_average_is_refused():
    for wrong in ([], [float("nan")]):
        with pytest.raises(ValueError, match="mean"):
            mean_interval(wrong)
    with pytest.raises(ValueError, match="sample"):
        pass_at_1([[True], []])
    with pytest.raises(ValueError, match="same problems"):
        paired_interval([1.0], [])


def share(values: list[float]) -> Ratio:
    return Ratio(np.array(values), np.ones(len(values)))


@given(SHARES)
def test_a_ratio_with_equal_weights_is_a_mean(values):
    found = share(values).interval
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_a_ratio_counts_only_what_has_weight():
    found = Ratio(np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0])).interval
    assert found.mean == 0.5
    assert math.isnan(Ratio(np.zeros(3), np.zeros(3)).interval.mean)


def test_a_ratio_has_the_interval_of_its_mean():
    rng = np.random.default_rng(3)
    values = (rng.random(300) < 0.5).astype(float).tolist()
    ratio, mean = share(values).interval, mean_interval(values)
    assert ratio.low == pytest.approx(mean.low, abs=0.01)
    assert ratio.high == pytest.approx(mean.high, abs=0.01)


def test_a_difference_on_the_same_problems_is_surer_than_two_intervals():
    rng = np.random.default_rng(2)
    hard = (rng.random(300) < 0.5).astype(float)
    better = np.maximum(hard, (rng.random(300) < 0.1).astype(float))
    apart = share(better.tolist()).above(share(hard.tolist()))
    assert apart.low > 0
    assert share(hard.tolist()).interval.high > share(better.tolist()).interval.low


@given(SHARES)
def test_nothing_is_above_itself(values):
    apart = share(values).above(share(values))
    assert (apart.mean, apart.low, apart.high) == (0, 0, 0)
