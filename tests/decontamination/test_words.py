"""Words as places in one buffer, against the same rule written for one character at a time."""

from __future__ import annotations

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.decontamination.letters import spell
from cord.decontamination.words import eights, read_words

TEXTS = st.lists(
    st.one_of(
        st.none(),
        st.text(st.characters(codec="utf-8")),
        st.text("aB9 ,é²½ﬁ字カ\u0301\u00ad𝑥ﷺ—"),
    ),
    max_size=6,
)


def words_of(texts: list[str | None] | pa.Array, chunk_bytes: int = 1 << 20) -> list[list[str]]:
    array = pa.array(texts, pa.string()) if isinstance(texts, list) else texts
    found = []
    for first, some in read_words(array, chunk_bytes):
        assert first == len(found)
        for begin, end in zip(some.firsts, some.firsts[1:], strict=False):
            found.append([some.spelling(word, word + 1).decode() for word in range(begin, end)])
    return found


def slowly(text: str | None) -> list[str]:
    spelled = []
    for sign in text or "":
        if sign.isascii():
            spelled.append(sign.lower() if sign.isalnum() else " ")
        else:
            spelling = spell(ord(sign))
            spelled.append(f" {spelling.text} " if spelling.alone else spelling.text)
    return [word for word in "".join(spelled).split(" ") if word]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Let's GO,\tnow!\n", "let s go now"),
        (r"\(\frac{1}{2}x\)", "frac 1 2 x"),
        ("$80,000.50", "80 000 50"),
        ("naïve Straße ΣΊΣΥΦΟΣ", "naive strasse σισυφοσ"),
        ("nai\u0308ve co\u00adoperate", "naive cooperate"),
        ("ﬁnd ｆｉｎｄ 𝑓𝑖𝑛𝑑", "find find find"),
        ("x² + y₁ = ½", "x 2 y 1 1 2"),
        ("“smart” — quotes…", "smart quotes"),
        ("求100以内", "求 100 以 内"),
        ("हिन्दी", "हनद"),
        ("", ""),
        ("§ … ∑", ""),
    ],
)
def test_a_word_is_a_run_of_letters_and_digits(text: str, words: str) -> None:
    assert words_of([text]) == [words.split()]


@given(TEXTS)
def test_whole_columns_are_read_like_one_character_after_the_other(
    texts: list[str | None],
) -> None:
    expected = [slowly(text) for text in texts]
    assert words_of(texts) == expected
    sliced = pa.array(["before", *texts, "behind"], pa.large_string())[1:-1]
    assert words_of(sliced) == expected


@given(st.text("aàÀçÇñßΩώЖйहि한字ﬁ²Å \u0301\u0327", max_size=30))
def test_every_normal_form_of_a_text_has_the_same_words(text: str) -> None:
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    first, *others = words_of([text, *forms, text.casefold()])
    assert all(other == first for other in others)


@given(TEXTS)
def test_pieces_do_not_show(texts: list[str | None]) -> None:
    assert words_of(texts, 5) == [slowly(text) for text in texts]


@given(TEXTS.filter(bool), st.integers(0, 30))
def test_eight_letters_are_one_number(texts: list[str | None], place: int) -> None:
    ((_, some),) = read_words(pa.array(texts, pa.string()))
    letters = some.letters[:-8].tobytes()[place : place + 8]
    number = int(eights(some.letters, np.array([place]))[0])
    assert number.to_bytes(8, "little") == letters.ljust(8, b"\0")


def test_a_word_is_shown_as_it_stands_in_the_text() -> None:
    text = "Ça va, x² ½ ﷺ!"
    ((_, some),) = read_words(pa.array(["before", text]))
    first = int(some.firsts[1])
    last = int(some.firsts[2]) - 1
    assert some.as_written(first, first + 1) == "Ça va"
    assert some.as_written(first + 2, first + 3) == "x²"
    assert some.as_written(first, last) == text.removesuffix("!")
