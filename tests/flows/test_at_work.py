"""A run that another machine holds: waited for where its holder is dead, refused where it lives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cord.errors import RunHeld
from flows import at_work
from flows.at_work import once_free

SIGN_OF_LIFE = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)


class Taking:
    """Refused so many times, with what is known of its holder each time."""

    def __init__(self, *refusals: datetime | None) -> None:
        self.refusals = list(refusals)

    def __call__(self) -> str:
        if self.refusals:
            raise RunHeld("held", self.refusals.pop(0))
        return "taken"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_work, "LOOK_AGAIN_S", 0.001)
    at_work.BOARD.stop.clear()


def test_a_holder_that_renews_no_more_is_waited_for() -> None:
    assert once_free(Taking(SIGN_OF_LIFE, SIGN_OF_LIFE, SIGN_OF_LIFE)) == "taken"


def test_a_holder_that_renews_lives() -> None:
    taking = Taking(SIGN_OF_LIFE, SIGN_OF_LIFE, SIGN_OF_LIFE + timedelta(seconds=15))
    with pytest.raises(RunHeld):
        once_free(taking)
    assert not taking.refusals


def test_a_holder_on_this_machine_is_seen_to_live() -> None:
    taking = Taking(None, None)
    with pytest.raises(RunHeld):
        once_free(taking)
    assert taking.refusals == [None]
