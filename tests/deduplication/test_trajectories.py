import pyarrow as pa
import pytest

from cord.deduplication import duplicate_trajectories
from cord.deduplication import trajectories as module

STEPS = (
    "First we add the two numbers and get 12 apples. Then we give half of them away, which leaves "
    "6. At last we count what is in the basket and on the table, and see that there are 9 of them."
)
ALMOST = STEPS.replace("of them.", "of these.")
REWORDED = STEPS.replace("Then we give half of them away, which leaves 6", "Half of 12 is 6")


def trajectories(
    *items: tuple[str, int, str, float, int], at_once: int = 99
) -> list[pa.RecordBatch]:
    """(problem, rank, text, score, tokens)"""
    names = ("problem_id", "rank", "text", "score", "tokens")
    table = pa.Table.from_pylist([dict(zip(names, item, strict=True)) for item in items])
    return table.to_batches(at_once)


def gone(found: pa.Table) -> list[tuple[str, int, int, str]]:
    return [(r["problem_id"], r["rank"], r["of"], r["kind"]) for r in found.to_pylist()]


def test_the_same_text_but_for_case_and_white_space_is_an_exact_duplicate() -> None:
    two = trajectories(("a", 0, STEPS, 0.9, 50), ("a", 1, f" {STEPS.upper()}\n", 0.8, 50))
    for near in (None, 0.9):
        assert gone(duplicate_trajectories(two, near)) == [("a", 1, 0, "exact")]


def test_a_word_here_and_there_makes_a_near_duplicate_and_a_step_told_otherwise_does_not() -> None:
    three = trajectories(
        ("a", 0, STEPS, 0.9, 50), ("a", 1, ALMOST, 0.8, 50), ("a", 2, REWORDED, 0.7, 50)
    )
    assert gone(duplicate_trajectories(three, 0.9)) == [("a", 1, 0, "near")]
    assert gone(duplicate_trajectories(three, None)) == []


def test_trajectories_of_two_problems_are_never_compared() -> None:
    two = trajectories(("a", 0, STEPS, 0.9, 50), ("b", 0, STEPS, 0.8, 50))
    assert gone(duplicate_trajectories(two, 0.5)) == []


@pytest.mark.parametrize(
    ("one", "other", "goes"),
    [
        ((0.8, 10), (0.9, 50), 0),
        ((0.9, 50), (0.9, 10), 0),
        ((0.9, 10), (0.9, 10), 1),
    ],
    ids=["the best score", "then the shortest", "then the first rank"],
)
def test_the_better_one_stays(one: tuple[float, int], other: tuple[float, int], goes: int) -> None:
    two = trajectories(("a", 0, STEPS, *one), ("a", 1, ALMOST, *other))
    assert gone(duplicate_trajectories(two, 0.9)) == [("a", goes, 1 - goes, "near")]


def test_texts_of_a_word_or_none_are_exact_duplicates_or_none() -> None:
    four = trajectories(*(("a", n, text, 0.5, 1) for n, text in enumerate(["42", "43", "", " "])))
    assert gone(duplicate_trajectories(four, 0.1)) == [("a", 3, 2, "exact")]


@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_a_problem_may_lie_across_batches(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [
        (problem, rank, f"{problem} {STEPS if rank % 2 else REWORDED}", 1 - rank / 10, 50)
        for problem in ("a", "b", "c")
        for rank in range(4)
    ]
    expected = [(problem, rank, rank - 2, "exact") for problem in "abc" for rank in (2, 3)]
    assert gone(duplicate_trajectories(trajectories(*items, at_once=at_once), 0.9)) == expected
    monkeypatch.setattr(module, "_BYTES_AT_ONCE", 500)  # and batches are cut
    assert gone(duplicate_trajectories(trajectories(*items), 0.9)) == expected


def test_problems_come_in_any_order_as_shards_do() -> None:
    rows = [(problem, rank, STEPS, 0.9, 50) for problem in ("b", "c", "a") for rank in (0, 1)]
    found = gone(duplicate_trajectories(trajectories(*rows, at_once=2), 0.9))
    assert found == [(problem, 1, 0, "exact") for problem in "abc"]


def test_a_problem_in_pieces_is_refused_and_no_rows_have_no_duplicates() -> None:
    rows = trajectories(*(("ab"[n % 2], n, STEPS, 0.9, 50) for n in range(3)))
    with pytest.raises(ValueError, match="sort them"):
        duplicate_trajectories(rows, 0.9)
    assert duplicate_trajectories([], 0.9).num_rows == 0
