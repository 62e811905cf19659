import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.deduplication import Duplicate, find_duplicates, tokens

CLIPS = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in "
    "May. How many clips did Natalia sell altogether in April and May?"
)


def pair(one: str, other: str, near: float | None = 0.8) -> dict[str, Duplicate]:
    return find_duplicates([("a", one, (0,)), ("b", other, (1,))], near)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is $x+1$?", "what is x + 1 ?"),
        (r"Find \(\dfrac{1}{2}\) of $10$.", r"Find \frac{1}{2} of 10"),
        ("x²+1", "$x^{2} + 1$"),
        ("1,234 × 2", r"1234 \times 2"),
        ("ｘ＋１", "x+1"),
        ("a ≤ b", r"a \le b"),
    ],
)
def test_spellings_of_one_question_are_exact_duplicates(one: str, other: str) -> None:
    assert pair(one, other, near=None) == {"b": Duplicate("a", "exact", 1.0)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x+1", "x-1"),
        ("5!", "5"),
        ("f'(2)", "f(2)"),
        ("x²", "x2"),
        ("x^{12}", "x^1 2"),
        ("x^{1+2}", "x^1+2"),
        ("1.5", "15"),
        ("(0,1]", "[0,1]"),
        ("50%", "50"),
        ("|x|", "x"),
        ("1 2", "12"),
        ("?!", "..."),
        ("Start 9; +5; +8; *9; rev", "Start 9; +5; +7; *9; rev"),
        ("Start 5; *7; flip; flip", "Start 5; *7; flip"),
        (CLIPS, CLIPS.replace("48", "84")),
        (CLIPS, CLIPS.replace("half", "twice")),
        (CLIPS, CLIPS.replace("How many clips", "How many more clips")),
    ],
)
def test_what_changes_the_mathematics_makes_another_question(one: str, other: str) -> None:
    assert pair(one, other, near=0.5) == {}


def test_a_question_told_in_nearly_the_same_words_is_a_near_duplicate() -> None:
    (duplicate,) = pair(CLIPS, CLIPS.replace("friends", "good friends")).values()
    assert (duplicate.of, duplicate.kind) == ("a", "near")
    # 27 triples; the new word breaks two of them and makes three.
    assert duplicate.similarity == pytest.approx(25 / 30, abs=0.02)
    assert pair(CLIPS, CLIPS.replace("friends", "good friends"), near=0.95) == {}
    assert pair(CLIPS, CLIPS.replace("friends", "good friends"), near=None) == {}


def test_the_smallest_key_stays_then_the_shortest_then_the_first_id() -> None:
    assert set(find_duplicates([("a", "x 1", (2,)), ("b", "x 1", (1,))], None)) == {"a"}
    assert set(find_duplicates([("a", "x  1", (1,)), ("b", "x 1", (1,))], None)) == {"a"}
    assert set(find_duplicates([("b", "x 1", (1,)), ("a", "x 1", (1,))], None)) == {"b"}


def test_a_copy_of_a_near_duplicate_belongs_to_what_stays() -> None:
    longer = CLIPS.replace("friends", "good friends")
    found = find_duplicates([("a", CLIPS, ()), ("b", longer, ()), ("c", longer + "?", ())], 0.8)
    assert {duplicate.of for duplicate in found.values()} == {"a"}
    assert set(found) == {"b", "c"}


def test_an_id_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        find_duplicates([("a", "1", ()), ("a", "2", ())], None)


VARIANTS = st.lists(
    st.builds(
        lambda base, extra: f"{base} {extra}",
        st.sampled_from([CLIPS, CLIPS.replace("48", "8"), CLIPS[:90], "x+1"]),
        st.lists(st.sampled_from(["really", "now", "please", "tell"]), max_size=3).map(" ".join),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(texts=VARIANTS, seed=st.integers(0, 99), near=st.sampled_from([None, 0.6, 0.8, 1.0]))
def test_what_goes_names_what_stays_whatever_the_order(
    texts: list[str], seed: int, near: float | None
) -> None:
    items = [(f"{n:02}", text, (float(n % 3),)) for n, text in enumerate(texts)]
    found = find_duplicates(items, near)
    assert all(duplicate.of not in found for duplicate in found.values())
    assert all(duplicate.similarity >= (near or 1) for duplicate in found.values())
    random.Random(seed).shuffle(items)
    assert find_duplicates(items, near) == found


@settings(deadline=None)
@given(text=st.text())
def test_any_text_has_tokens_that_stay_when_taken_again(text: str) -> None:
    assert all(token.strip() for token in tokens(text))


def test_ten_thousand_templated_questions_take_seconds() -> None:
    items = [(str(n), CLIPS.replace("48", str(n)), ()) for n in range(10_000)]
    begin = time.perf_counter()
    assert find_duplicates(items, 0.8) == {}
    assert time.perf_counter() - begin < 30
