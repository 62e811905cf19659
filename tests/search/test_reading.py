"""A step that repeats itself for ever is known for what it is; ordinary text is not."""

import time

from hypothesis import given
from hypothesis import strategies as st

from cord.engines import Proposal
from cord.search.beam import Draft
from cord.search.reading import LOOP_CHARACTERS, LOOP_TIMES, ends_in_a_loop, read_proposal
from cord.types import Trajectory

ORDINARY = """### Step 4. Compare the two sides

We had a^2 + b^2 = c^2 and 3a = 4b, so b = 3a/4. Then c^2 = a^2 + 9a^2/16 = 25a^2/16, and c = 5a/4.
Let me check this with a = 4: b = 3, c = 5, and 16 + 9 = 25. It holds. With a = 8: b = 6, c = 10,
and 64 + 36 = 100. It holds too. With a = 12: b = 9, c = 15, and 144 + 81 = 225. It holds again.

| a  | b  | c  |
|----|----|----|
| 4  | 3  | 5  |
| 8  | 6  | 10 |
| 12 | 9  | 15 |
| 16 | 12 | 20 |
"""


def cut(text: str) -> Draft | str:
    return read_proposal(
        0, Trajectory(), "ada", "### Step 1.", Proposal(text, (), "m", 100, "length")
    )


@given(
    st.text(max_size=300),
    st.text(min_size=1, max_size=80),
    st.integers(0, 20),
    st.integers(0, 79),
)
def test_a_planted_loop_is_found_wherever_the_cap_cuts_it(
    before: str, piece: str, more: int, rest: int
) -> None:
    times = max(LOOP_TIMES, -(-LOOP_CHARACTERS // len(piece))) + more
    assert ends_in_a_loop(before + piece * times + piece[: rest % len(piece)])


@given(st.lists(st.sampled_from("ab"), max_size=700).map("".join))
def test_on_texts_full_of_repetition_it_is_right_by_definition(text: str) -> None:
    def period(size: int) -> int:
        end = text[len(text) - size :]
        return next(p for p in range(1, size + 1) if end[p:] == end[: size - p])

    by_definition = any(
        size >= LOOP_TIMES * period(size) for size in range(LOOP_CHARACTERS, len(text) + 1)
    )
    assert ends_in_a_loop(text) == by_definition


def test_ordinary_text_is_no_loop() -> None:
    assert not ends_in_a_loop(ORDINARY)
    assert not ends_in_a_loop("")
    numbered = "".join(f"We try n = {n}: {n * n} is not enough.\n" for n in range(200))
    assert not ends_in_a_loop(numbered)
    assert not ends_in_a_loop("So we are done. " * 3), "said three times is no loop yet"
    assert not ends_in_a_loop("ha" * 100 + " and then it went on."), "it came out of it"


def test_a_long_text_is_read_in_time_linear_in_its_length() -> None:
    """A million characters; looking at every pair of places would take days."""
    begun = time.monotonic()
    assert not ends_in_a_loop(("a" * 100 + "b") * 2 + "".join(f"{n} " for n in range(150_000)))
    assert time.monotonic() - begun < 60


def test_a_cut_step_that_loops_is_rejected_one_that_goes_on_is_not() -> None:
    loop = cut("### Step 1. Wait." + " Let me check again." * 40)
    assert isinstance(loop, str)
    assert "repetition loop" in loop
    assert isinstance(cut("### Step 1." + ORDINARY), Draft)


def test_a_step_that_ended_by_itself_may_repeat_what_it_likes() -> None:
    text = "### Step 1. " + "0" * 500
    proposal = Proposal(text, (), "m", 100, "stop")
    assert isinstance(read_proposal(0, Trajectory(), "ada", "### Step 1.", proposal), Draft)
