import json
from typing import Any

import pytest

from cord.engines.json_values import count, shown, text, token_ids


@pytest.mark.parametrize("value", [True, False, -1, 2**31, 1.0, "1", None, [1]])
def test_what_is_no_number_of_tokens_counts_nothing(value: Any) -> None:
    assert count(value) is None
    assert token_ids([1, value]) is None


def test_counts_and_ids_are_taken_as_they_are() -> None:
    assert count(0) == 0
    assert token_ids([0, 2**31 - 1]) == (0, 2**31 - 1)
    assert token_ids([]) == ()
    assert token_ids({"0": 1}) is None


def test_half_a_surrogate_pair_is_no_text() -> None:
    assert text("\ud83e\uddee".encode("utf-16", "surrogatepass").decode("utf-16")) == "\U0001f9ee"
    assert text("a\ud800") is None
    assert text(["a"]) is None


@pytest.mark.parametrize("value", ["[" * 900 + "]" * 900, '"' + "x" * 10_000 + '"', "9" * 4000])
def test_anything_is_shown_in_a_few_words(value: str) -> None:
    assert len(shown(json.loads(value))) < 200
