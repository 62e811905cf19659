"""Repetition by hashes of bytes is what plain Python counts word by word."""

from __future__ import annotations

import math

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.signals.repetition import WORDS, repetition
from cord.signals.slices import SLICE_BYTES

LONG = "Pneumonoultramicroscopicsilicovolcanoconiosis"
words = st.sampled_from(["a", "b", "so", "the", "é", "x=1", LONG, LONG + "s", "12345678", "算"])
spaces = st.sampled_from([" ", "\n", "  ", "\t\n"])
texts = st.lists(st.tuples(words, spaces), max_size=40).map(lambda w: "".join(a + b for a, b in w))


def plainly(text: str | None) -> float | None:
    if text is None:
        return None
    found = text.replace("算", " 算 ").split()
    runs = [tuple(found[n : n + WORDS]) for n in range(len(found) - WORDS + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else None


def shares(texts: list[str | None]) -> list[float | None]:
    found = repetition(pa.array(texts, pa.string()))
    return [None if math.isnan(share) else round(share, 9) for share in found]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.none() | texts | st.tuples(texts, st.integers(1, 5)).map(lambda t: t[0] * t[1])))
def test_it_is_what_plain_python_counts(rows: list[str | None]) -> None:
    expected = [share if (share := plainly(row)) is None else round(share, 9) for row in rows]
    assert shares(rows) == expected


def test_a_loop_is_near_one_and_a_sound_text_near_none() -> None:
    loop = "Wait, let me check that once more from the start of the problem. " * 50
    sound = " ".join(f"word{number}" for number in range(500))
    found = shares([loop, sound, sound + " " + sound])
    assert found[0] is not None and found[0] > 0.97
    assert found[1] == 0 and found[2] is not None and 0.4 < found[2] < 0.5


def test_characters_without_spaces_are_words() -> None:
    (looped,) = shares(["我们再检查一遍这个结果是否正确。" * 20])
    assert looped is not None and looped > 0.9


def test_texts_do_not_run_into_each_other_nor_pieces() -> None:
    """Each half of a run, cut by the end of a text, and texts of more than one piece in all."""
    half = " ".join(f"w{n}" for n in range(WORDS // 2 + 1))
    assert shares([half, half, half]) == [None] * 3
    many = [" ".join(f"w{n}" for n in range(40))] * (SLICE_BYTES // 100)
    assert set(shares(many)) == {0.0}


def test_an_array_that_is_a_slice_of_another_is_read_from_its_own_rows() -> None:
    loop = "one two three " * 30
    whole = pa.array([loop, None, "", "one two", loop])
    assert len(repetition(whole[:0])) == 0
    assert [math.isnan(share) for share in repetition(whole[1:])] == [True, True, True, False]
