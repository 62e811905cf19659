from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cord.errors import UsageError
from flows.cron import next_times, read_cron


@pytest.mark.parametrize("cron", ["0 3 * * *", "*/15 8-18 * * mon-fri", "@daily", " 0  3 * * * "])
def test_crons_that_are_right(cron: str) -> None:
    assert read_cron(cron, "Europe/Berlin").timezone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("0 25 * * *", "the hour is '25'"),
        ("x * * * *", "the minute is 'x'"),
        ("*/0 * * * *", "the minute is '\\*/0'"),
        ("0 3 * 13 *", "the month is '13'"),
        ("0 3 * * 8", "the day of the week is '8'"),
        ("0 3 31 2 *", "never comes"),
        ("nightly", "five fields"),
        ("0 0 3 * * *", "five fields"),
        ("h 3 * * *", "the minute is 'h'"),
        ("@often", "is no cron"),
        ("", "five fields"),
    ],
)
def test_a_wrong_one_is_told_which_field(cron: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_cron(cron, "UTC")


@pytest.mark.parametrize("zone", ["Mars", "../../etc/passwd", "", "/etc/localtime"])
def test_a_wrong_zone_is_told_too(zone: str) -> None:
    with pytest.raises(UsageError, match="no time zone"):
        read_cron("0 3 * * *", zone)


def test_times_are_in_the_zone_and_in_the_future() -> None:
    zone = ZoneInfo("America/New_York")
    times = next_times("30 2 * * *", "America/New_York", 3)
    assert len(times) == 3 and times == sorted(times) and times[0] > datetime.now(zone)
    assert {time.utcoffset() for time in times} <= {
        time.replace(tzinfo=zone).utcoffset() for time in times
    }
