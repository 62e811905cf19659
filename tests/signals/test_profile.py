from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.signals.profile import BINS, MOST_SHARES, OTHERS, SAMPLE, Profiler, profile_of

SCHEMA = pa.schema(
    {
        "problem_id": pa.string(),
        "score": pa.float64(),
        "tokens": pa.int32(),
        "language": pa.string(),
        "teachers": pa.list_(pa.string()),
        "truncated": pa.bool_(),
    }
)


def batch(**columns: list[object]) -> pa.RecordBatch:
    length = len(next(iter(columns.values())))
    return pa.RecordBatch.from_pydict(
        {name: columns.get(name, [None] * length) for name in SCHEMA.names}, schema=SCHEMA
    )


def test_a_profile_counts_means_quantiles_and_shares() -> None:
    one = batch(
        score=[0.1, 0.2, 0.6, None],
        language=["en", "en", "de", None],
        teachers=[["a", "b"], ["a"], ["a"], []],
        truncated=[True, False, None, False],
    )
    found = profile_of([one])
    assert found["rows"] == 4
    score = found["numbers"]["score"]
    assert (score["known"], score["least"], score["p50"], score["most"]) == (3, 0.1, 0.2, 0.6)
    assert score["mean"] == pytest.approx(0.3)
    assert len(score["histogram"]) == BINS and sum(score["histogram"]) == pytest.approx(1, abs=1e-4)
    assert found["shares"]["language"] == {"en": 2 / 3, "de": 1 / 3}
    assert found["shares"]["teachers"] == {"a": 0.75, "b": 0.25}
    assert found["flags"] == {"truncated": 1 / 3}
    assert "tokens" not in found["numbers"], "nothing is known of it"


finite = st.floats(0, 1) | st.none() | st.just(math.nan) | st.just(math.inf)


@given(st.lists(finite, max_size=30), st.lists(st.integers(0, 30), max_size=4))
def test_how_a_release_is_cut_makes_no_difference(
    scores: list[float | None], cuts: list[int]
) -> None:
    whole = batch(score=scores, language=["en" if score else None for score in scores])
    edges = sorted({0, len(scores), *(min(cut, len(scores)) for cut in cuts)})
    parts = [whole.slice(a, b - a) for a, b in pairwise(edges)]
    found, once = profile_of(parts), profile_of([whole])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    mean = [p["numbers"].get("score", {}).pop("mean", None) for p in (found, once)]
    assert found == once and mean[0] == pytest.approx(mean[1])


def test_a_long_release_is_sampled_and_its_mean_stays_exact() -> None:
    values = np.random.default_rng(0).random(4 * SAMPLE)
    profiler = Profiler()
    for part in np.split(values, 16):
        profiler.add(batch(score=part.tolist()))
    found = profiler.profile()["numbers"]["score"]
    assert found["known"] == len(values) and found["mean"] == pytest.approx(values.mean())
    assert profiler._numbers["score"]._sampled <= SAMPLE
    for name, share in (("p05", 0.05), ("p50", 0.5), ("p95", 0.95)):
        assert found[name] == pytest.approx(np.quantile(values, share), abs=0.01)


def test_values_without_end_are_counted_together() -> None:
    names = [f"v{number}" for number in range(100 * MOST_SHARES)]
    shares = profile_of([batch(language=names)])["shares"]["language"]
    assert len(shares) == MOST_SHARES + 1 and sum(shares.values()) == pytest.approx(1)
    assert shares[OTHERS] == pytest.approx(0.99)


def test_batches_are_watched_on_their_way() -> None:
    profiler = Profiler()
    seen = list(profiler.watch(iter([batch(score=[0.5]), batch(score=[0.7])])))
    assert [len(one) for one in seen] == [1, 1] and profiler.profile()["rows"] == 2
    assert profile_of([]) == {"rows": 0, "numbers": {}, "shares": {}, "flags": {}}


def test_values_that_differ_by_rounding_alone_are_one() -> None:
    found = profile_of([batch(score=[1.0, math.nextafter(1.0, 0.0)])])
    assert sum(found["numbers"]["score"]["histogram"]) == pytest.approx(1)
