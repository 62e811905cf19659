import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.ablation.intervals import difference, estimate

shares = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(np.array)


@given(shares)
@settings(max_examples=30)
def test_the_mean_lies_within_its_interval_or_at_its_edge(values):
    found = estimate(values)
    assert found.mean == pytest.approx(values.mean())
    assert values.min() - 1e-9 <= found.low <= found.high <= values.max() + 1e-9
    assert found.low - 1e-9 <= found.mean + values.std() and found.mean <= found.high + values.std()


def test_equal_values_leave_no_doubt_and_few_problems_leave_much():
    sure = estimate(np.ones(50))
    assert (sure.mean, sure.low, sure.high) == (1, 1, 1)
    rng = np.random.default_rng(1)
    few, many = (estimate((rng.random(n) < 0.5).astype(float)) for n in (20, 2000))
    assert few.high - few.low > 5 * (many.high - many.low)


def test_an_interval_has_the_width_that_theory_gives():
    values = (np.arange(400) < 200).astype(float)
    found = estimate(values)
    expected = 1.96 * math.sqrt(0.25 / 400)
    assert found.high - found.mean == pytest.approx(expected, rel=0.1)


def test_a_ratio_counts_only_what_has_weight():
    found = estimate(np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0]))
    assert found.mean == 0.5
    assert math.isnan(estimate(np.zeros(3), np.zeros(3)).mean)


def test_a_difference_on_the_same_problems_is_surer_than_two_intervals():
    rng = np.random.default_rng(2)
    hard = (rng.random(300) < 0.5).astype(float)
    better = np.maximum(hard, (rng.random(300) < 0.1).astype(float))
    apart = difference((better, None), (hard, None))
    assert apart.low > 0
    assert estimate(hard).high > estimate(better).low


@given(shares)
@settings(max_examples=20)
def test_nothing_is_better_than_itself(values):
    apart = difference((values, None), (values, None))
    assert (apart.mean, apart.low, apart.high) == (0, 0, 0)
