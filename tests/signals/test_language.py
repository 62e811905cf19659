from __future__ import annotations

import socket
from typing import Any

import pyarrow as pa
import pytest

from cord.signals.language import languages

TEXTS = {
    "en": "### Step 1. First we look at both of the numbers, and then we add one to the other: "
    "$\\frac{1}{2} + x = 3$.",
    "de": "Zuerst schauen wir uns die beiden Zahlen an, dann addieren wir sie: $x + y = 7$.",
    "fr": "On commence par regarder les deux nombres, puis on les ajoute l'un à l'autre.",
    "zh": "### Step 1. 我们先看这两个数字，然后把它们加在一起，得到最后的结果，再检查一遍。",
    "ru": "Сначала посмотрим на эти два числа, а потом сложим их и проверим результат.",
}


@pytest.mark.parametrize("language", TEXTS)
def test_a_sentence_among_formulas_is_told(language: str) -> None:
    assert languages(pa.array([TEXTS[language]])).to_pylist() == [language]


@pytest.mark.parametrize(
    "nothing",
    [
        None,
        "",
        "### Step 1. Ann\n\n5+9=5\n\n### Step 2. Ann\n\n5+7=1\nWait, 5+7=6\n\n### Step 3. flip",
        "$x^2 + 1 = 5$",
        "好的",
    ],
)
def test_what_has_too_few_letters_is_not_guessed(nothing: str | None) -> None:
    assert languages(pa.array([nothing], pa.string())).to_pylist() == [None]


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    from cord.signals import language

    def refuse(*_: Any) -> None:
        raise AssertionError("network")

    language._model.cache_clear()
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert languages(pa.array([TEXTS["en"]])).to_pylist() == ["en"]
