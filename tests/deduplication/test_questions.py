import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.deduplication import Rows, duplicate_questions

GSM8K = Path(__file__).parents[2].parent / "shared" / "data" / "gsm8k_train.jsonl.gz"
"""Beside the checkout; the data are not ours to ship."""

CLIPS = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in "
    "May. How many clips did Natalia sell altogether in April and May?"
)
GOOD_FRIENDS = CLIPS.replace("friends", "good friends")


def rows(*items: tuple[str, str, float, int], at_once: int = 2) -> Rows:
    """(problem, question, score, tokens), in batches of two."""
    ids, questions, scores, lengths = zip(*items, strict=True) if items else ((), (), (), ())
    table = pa.table(
        {
            "problem_id": pa.array(ids, pa.string()),
            "question": pa.array(questions, pa.string()),
            "score": pa.array(scores, pa.float64()),
            "tokens": pa.array(lengths, pa.int32()),
        }
    )
    return lambda: table.to_batches(at_once)


def asked(*items: tuple[str, str]) -> Rows:
    """(problem, question), the first one the best."""
    return rows(*((id_, text, -n, 1) for n, (id_, text) in enumerate(items)))


def gone(found: pa.Table) -> dict[str, tuple[str, str, float]]:
    """By problem: what stays, kind, similarity."""
    return {
        row["problem_id"]: (row["of"], row["kind"], row["similarity"]) for row in found.to_pylist()
    }


def pair(one: str, other: str, near: float | None = 0.8) -> dict[str, tuple[str, str, float]]:
    return gone(duplicate_questions(asked(("a", one), ("b", other)), near))


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
    assert pair(one, other, near=None) == {"b": ("a", "exact", 1.0)}


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
    ((of, kind, similarity),) = pair(CLIPS, GOOD_FRIENDS).values()
    assert (of, kind) == ("a", "near")
    # 27 triples; the new word breaks two of them and makes three.
    assert similarity == pytest.approx(25 / 30, abs=0.02)
    assert pair(CLIPS, GOOD_FRIENDS, near=0.95) == {}
    assert pair(CLIPS, GOOD_FRIENDS, near=None) == {}


@pytest.mark.parametrize(
    ("stays", "goes"),
    [
        (("b", "x 1", 0.9, 50), ("a", "x 1", 0.8, 10)),
        (("b", "x 1", 0.9, 10), ("a", "x 1", 0.9, 50)),
        (("a", "x 1", 0.9, 10), ("b", "x  1", 0.9, 10)),
    ],
    ids=["the best score", "then the shortest", "then the smallest id"],
)
def test_of_two_alike_the_better_one_stays(
    stays: tuple[str, str, float, int], goes: tuple[str, str, float, int]
) -> None:
    for order in ((stays, goes), (goes, stays)):
        assert gone(duplicate_questions(rows(*order), None)) == {goes[0]: (stays[0], "exact", 1.0)}


def test_a_problem_is_as_good_as_its_best_trajectory() -> None:
    several = [("a", "x 1", 0.1, 5), ("b", "x 1", 0.5, 5), ("a", "x 1", 0.9, 5)]
    assert gone(duplicate_questions(rows(*several), None)) == {"b": ("a", "exact", 1.0)}


def test_a_copy_of_a_near_duplicate_belongs_to_what_stays() -> None:
    three = asked(("a", CLIPS), ("b", GOOD_FRIENDS), ("c", GOOD_FRIENDS + "?"))
    found = gone(duplicate_questions(three, 0.8))
    assert {of for of, _, _ in found.values()} == {"a"}
    assert set(found) == {"b", "c"}
    assert found["b"] == found["c"]


def test_what_an_earlier_release_asks_goes_whatever_its_score() -> None:
    now = asked(("a", CLIPS), ("b", "x + 1"), ("c", "x + 2"))
    then = asked(("b", "x+1"), ("old", GOOD_FRIENDS), ("older", "y"))
    found = duplicate_questions(now, 0.8, [("demo@1", then)])
    assert [(r["problem_id"], r["of"], r["release"], r["kind"]) for r in found.to_pylist()] == [
        ("a", "old", "demo@1", "near"),
        ("b", "b", "demo@1", "exact"),
    ]


def test_an_earlier_release_keeps_its_own_duplicates_and_the_first_one_is_named() -> None:
    now = asked(("a", CLIPS))
    then = asked(("p", CLIPS), ("q", CLIPS), ("r", GOOD_FRIENDS))
    found = duplicate_questions(now, 0.8, [("one@3", then), ("two@1", then)])
    assert [(r["of"], r["release"]) for r in found.to_pylist()] == [("p", "one@3")]


def test_no_rows_have_no_duplicates() -> None:
    assert duplicate_questions(rows(), 0.8).num_rows == 0
    assert duplicate_questions(rows(), 0.8, [("demo@1", asked(("a", CLIPS)))]).num_rows == 0


def test_rows_that_are_others_the_second_time_are_refused() -> None:
    opened = iter([asked(("a", CLIPS), ("b", GOOD_FRIENDS)), asked(("a", CLIPS))])
    with pytest.raises(ValueError, match="twice"):
        duplicate_questions(lambda: next(opened)(), 0.8)


VARIANTS = st.lists(
    st.builds(
        lambda base, extra: f"{base} {extra}",
        st.sampled_from([CLIPS, CLIPS.replace("48", "8"), CLIPS[:90], "x+1"]),
        st.lists(st.sampled_from(["really", "now", "please", "tell"]), max_size=3).map(" ".join),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=50)
@given(
    texts=VARIANTS,
    earlier=VARIANTS,
    seed=st.integers(0, 99),
    near=st.sampled_from([None, 0.6, 0.8, 1.0]),
)
def test_what_goes_names_what_stays_whatever_the_order(
    texts: list[str], earlier: list[str], seed: int, near: float | None
) -> None:
    items = [(f"{n:02}", text, float(n % 3), 7) for n, text in enumerate(texts)]
    then = [(f"{n:02}", text, 0.0, 0) for n, text in enumerate(earlier)]
    found = duplicate_questions(rows(*items), near, [("demo@1", rows(*then))])
    goes = set(found["problem_id"].to_pylist())
    for row in found.to_pylist():
        assert row["release"] or row["of"] not in goes
        assert row["similarity"] >= (near or 1)
    rng = random.Random(seed)
    rng.shuffle(items)
    rng.shuffle(then)
    assert duplicate_questions(rows(*items, at_once=5), near, [("demo@1", rows(*then))]) == found


@pytest.mark.skipif(not GSM8K.exists(), reason="GSM8K is not here")
def test_gsm8k_asks_one_question_twice_of_two_people() -> None:
    with gzip.open(GSM8K, "rt", encoding="utf-8") as lines:
        items = [(f"{n:04}", json.loads(line)["question"], 0.0, 0) for n, line in enumerate(lines)]
    (row,) = duplicate_questions(rows(*items, at_once=1000), 0.8).to_pylist()
    one, other = (items[int(row[column])][1].split() for column in ("of", "problem_id"))
    assert {*one} ^ {*other} == {"Josie", "Amanda"}
