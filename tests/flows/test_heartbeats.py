"""When a silent run is taken for crashed."""

import pytest

from flows import heartbeats

SERVER_LOOKS_EVERY_S = 5.0
"""PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY's default."""


def test_a_run_is_seen_as_crashed_within_two_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CORD_HEARTBEAT_S", raising=False)
    latest = heartbeats.silence_s() + 2 * SERVER_LOOKS_EVERY_S
    assert latest <= 110, "with a margin for a busy server"
    assert heartbeats.silence_s() >= 4 * heartbeats.every_s(), "some heartbeats may be lost"


@pytest.mark.parametrize(("said", "every"), [("2", 2.0), ("0", 0.5), ("often", 15.0)])
def test_the_environment_sets_the_pace(
    monkeypatch: pytest.MonkeyPatch, said: str, every: float
) -> None:
    monkeypatch.setenv("CORD_HEARTBEAT_S", said)
    assert heartbeats.every_s() == every
    assert heartbeats.silence_s() >= heartbeats.LEAST_S


def test_only_the_ends_of_a_run_and_its_heartbeats_keep_it_alive() -> None:
    trigger = heartbeats.automation().model_dump(mode="json")["trigger"]
    assert trigger["after"] == [heartbeats.EVENT]
    assert set(trigger["expect"]) == {
        heartbeats.EVENT,
        *(f"prefect.flow-run.{end}" for end in heartbeats.ENDS),
    }
