"""What chaos holds two lakes against each other by: it must see what it is there to see."""

from collections import Counter

from benchmarks.chaos.inspection import Contents, compare

PEACE = Contents({"steps": Counter({"a": 1, "b": 2})}, "hash", ())


def test_the_same_rows_and_hash_are_sound() -> None:
    assert compare(PEACE, PEACE).sound
    assert PEACE.count == 3


def test_a_lost_row_a_doubled_row_and_another_hash_are_each_seen() -> None:
    lost = compare(Contents({"steps": Counter({"a": 1, "b": 1})}, "hash", ()), PEACE)
    assert (lost.lost, lost.twice, lost.sound) == (1, 0, False)
    twice = compare(Contents({"steps": Counter({"a": 2, "b": 2})}, "hash", ()), PEACE)
    assert (twice.lost, twice.twice, twice.sound) == (0, 1, False)
    other = compare(Contents(PEACE.rows, "another", ()), PEACE)
    assert not other.same_hash and not other.sound


def test_what_is_wrong_in_itself_is_never_sound() -> None:
    found = compare(Contents(PEACE.rows, "hash", ("2 releases instead of one",)), PEACE)
    assert not found.sound and found.sentences == ("2 releases instead of one",)
