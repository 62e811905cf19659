"""Cron expressions as Prefect reads them: the field that is wrong is named; and their times."""

from __future__ import annotations

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

from prefect.client.schemas.schedules import CronSchedule
from prefect.server.schemas.schedules import CronSchedule as TimedCron
from pydantic import ValidationError

from cord.errors import UsageError

FIELDS = (
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of the month", "1-31"),
    ("month", "1-12 or jan-dec"),
    ("day of the week", "0-6, 0 for Sunday, or sun-sat"),
)


def read_cron(cron: str, timezone: str) -> CronSchedule:
    """The schedule. Raises `UsageError` that says which field or zone is wrong."""
    cron = " ".join(cron.split())
    _check_zone(timezone)
    parts = cron.split()
    if not cron.startswith("@"):
        if len(parts) != len(FIELDS):
            raise UsageError(
                f"--cron {cron!r} is no cron: it has five fields, minute, hour, day of the month, "
                'month, day of the week; every night at three is "0 3 * * *"'
            )
        for place, (name, range_) in enumerate(FIELDS):
            if not _is_valid(" ".join(p if n == place else "*" for n, p in enumerate(parts))):
                raise UsageError(
                    f"--cron {cron!r}: the {name} is {parts[place]!r}; it goes {range_}, and may "
                    "be *, a list (1,15), a range (1-5) or a step (*/2)"
                )
    if not _is_valid(cron):
        raise UsageError(
            f'--cron {cron!r} is no cron; every night at three is "0 3 * * *", or write @daily'
        )
    if not next_times(cron, timezone, 1):
        raise UsageError(f"--cron {cron!r} never comes: no month has such a day")
    return CronSchedule(cron=cron, timezone=timezone)


def next_times(cron: str, timezone: str, count: int) -> list[datetime]:
    """The next times, in the schedule's own zone; fewer, or none, where it does not come."""
    try:
        timed = TimedCron(cron=cron, timezone=timezone)
        times = asyncio.run(timed.get_dates(count))
    except ValueError:  # croniter has looked fifty years ahead
        return []
    return [datetime.fromtimestamp(one.timestamp(), ZoneInfo(timezone)) for one in times]


def _check_zone(timezone: str) -> None:
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        raise UsageError(
            f"--timezone {timezone!r} is no time zone; write one as Europe/Berlin or UTC"
        ) from None


def _is_valid(cron: str) -> bool:
    try:
        CronSchedule(cron=cron, timezone="UTC")
    except ValidationError:
        return False
    return True
