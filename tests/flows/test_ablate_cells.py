"""How several processes go through one grid."""

from hypothesis import given
from hypothesis import strategies as st

from flows.ablate_cells import Share

shares = st.integers(1, 8).flatmap(
    lambda of: st.tuples(st.just(of), st.lists(st.integers(), unique=True, max_size=40))
)


@given(shares)
def test_each_goes_through_everything_and_begins_apart(drawn: tuple[int, list[int]]) -> None:
    of, everything = drawn
    turns = [Share(number, of).turn(everything) for number in range(of)]
    assert all(sorted(turn) == sorted(everything) for turn in turns)
    assert turns[0] == everything
    if len(everything) >= of:
        assert len({turn[0] for turn in turns}) == of


@given(shares)
def test_the_parts_are_everything_once(drawn: tuple[int, list[int]]) -> None:
    of, everything = drawn
    parts = [Share(number, of).part(everything) for number in range(of)]
    assert sorted(one for part in parts for one in part) == sorted(everything)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
