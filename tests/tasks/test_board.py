"""The board shows how fast decoding goes now, not how fast it went on the whole."""

from __future__ import annotations

import pytest

from cord.types import Cost, Problem, Round
from tasks.board import Board

PROBLEM = Problem("p", "q", "1")


def decided(tokens: int) -> Round:
    return Round(0, (), costs=(("ada", Cost(1, tokens)), ("ben", Cost(1, tokens))))


def test_the_speed_is_that_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("tasks.board.time.monotonic", lambda: clock[0])
    board = Board()
    assert board.tokens_per_second == 0
    board.begin(2)
    assert board.tokens_per_second == 0
    clock[0] = 110.0
    board.round_decided(PROBLEM, decided(50))
    assert board.tokens_per_second == 10, "100 tokens in 10 seconds"
    clock[0] = 125.0
    assert board.tokens_per_second == 5, "in 20"
    board.round_decided(PROBLEM, decided(100))
    clock[0] = 131.0
    assert board.tokens_per_second == 10, "the first round is long ago"
    clock[0] = 200.0
    assert board.tokens_per_second == 0, "nothing goes on"
    assert (board.tokens, board.rounds) == (300, 2)
    board.begin(2)
    assert board.tokens == 0
