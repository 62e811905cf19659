import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.ablation.measures import Measured, Measures
from cord.ablation.pictures import (
    LABEL_HEIGHT,
    LABEL_WIDTH,
    labels,
    pictures_of,
    scores_by_progress,
    shares_by_progress,
)
from cord.ablation.tables import VariantResult

measured = st.builds(
    Measured,
    problem_id=st.just("p"),
    correct=st.booleans(),
    path=st.lists(st.floats(0.01, 1), min_size=1, max_size=12).map(tuple),
    teachers=st.lists(st.sampled_from(["ada", "ben"]), min_size=1, max_size=12).map(tuple),
    faithful=st.none(),
    tokens=st.just(1),
)


@given(st.lists(measured, min_size=1, max_size=5))
def test_shares_add_up_to_one_in_every_tenth(all_measured):
    shares = shares_by_progress(all_measured)
    assert len(shares) == 10
    assert all(sum(each.values()) == pytest.approx(1) for each in shares.values())


def made(teachers: str, path: list[float]) -> Measured:
    return Measured(
        problem_id="p",
        correct=True,
        path=tuple(path),
        teachers=tuple(teachers),
        faithful=None,
        tokens=1,
    )


points = st.lists(st.tuples(st.floats(1, 1e5), st.floats(0, 1)), max_size=20)


@given(points)
def test_no_name_covers_another_and_each_stands_at_its_point_or_below(points):
    places = labels(points)
    assert all(place <= accuracy for place, (_, accuracy) in zip(places, points, strict=True))
    for (one, here), (other, there) in combinations(zip(points, places, strict=True), 2):
        near = abs(math.log10(one[0]) - math.log10(other[0])) < LABEL_WIDTH
        assert not near or abs(here - there) >= LABEL_HEIGHT - 1e-9


def test_a_name_with_room_stands_at_its_point():
    assert labels([(10, 0.5), (1000, 0.5), (10, 0.9)]) == [0.5, 0.5, 0.9]


def test_who_begins_leads_at_the_beginning():
    shares = shares_by_progress([made("ab", [0.1, 0.2, 0.3])])
    assert shares[0.05] == {"a": 1, "b": 0}
    assert shares[0.95] == {"a": 0, "b": 1}


def test_scores_go_from_the_empty_prefix_to_the_whole():
    scores = scores_by_progress([made("ab", [0.1, 0.5, 0.9]), made("a", [0.3, 0.7])])
    assert scores[0.0] == pytest.approx(0.2)
    assert scores[1.0] == pytest.approx(0.8)
    assert list(scores.values()) == sorted(scores.values())


def test_pictures_are_whole_svgs_and_names_in_them_are_escaped():
    seeds = (Measures(problems=(made("ab", [0.1, 0.9]),), quarantined=0, seconds=None),)
    result = VariantResult("<script>x</script>", ("p",), seeds)
    pictures = dict(pictures_of({"v": result}, ["v"]))
    assert set(pictures) == {"accuracy-by-tokens", "teachers-by-progress", "score-by-progress"}
    assert all(svg.startswith("<svg") for svg in pictures.values())
    assert not any("<script" in svg for svg in pictures.values())
