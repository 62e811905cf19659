from hypothesis import given
from hypothesis import strategies as st

from cord.seeds import request_seed, unit_interval


def test_a_seed_is_the_same_in_every_process_and_version() -> None:
    """Written down: a change here gives every user other data for the same recipe."""
    assert request_seed(7, "p1", 0, 0, "ada") == 6804925949329524356


@given(
    st.integers(0, 99),
    st.text(max_size=9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.text(max_size=9),
)
def test_each_part_of_a_request_changes_its_seed(
    seed: int, problem: str, round_: int, beam: int, teacher: str
) -> None:
    one = request_seed(seed, problem, round_, beam, teacher)
    assert 0 <= one < 2**63
    others = {
        request_seed(seed + 1, problem, round_, beam, teacher),
        request_seed(seed, problem + "x", round_, beam, teacher),
        request_seed(seed, problem, round_ + 1, beam, teacher),
        request_seed(seed, problem, round_, beam + 1, teacher),
        request_seed(seed, problem, round_, beam, teacher + "x"),
    }
    assert one not in others


@given(st.text(max_size=30))
def test_the_unit_interval_is_open_at_zero(key: str) -> None:
    assert 0 < unit_interval(key) <= 1
