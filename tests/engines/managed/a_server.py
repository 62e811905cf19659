"""A server that cord starts itself, as its tests ask for one, and what becomes of it."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from cord.engines.managed.keeper import VllmKeeper
from cord.engines.managed.serving import Serving, serving_of
from cord.recipe import Model, ServeSettings

QWQ = "Qwen/QwQ-32B"


def serving(**settings: Any) -> Serving:
    return serving_of(Model(model=QWQ, serve=ServeSettings(**settings)), Path("/nowhere"))


class Told:
    """A keeper, and what it told."""

    def __init__(self, made: Serving, *waits_s: float) -> None:
        self.urls: list[str] = []
        self.given_up: list[str] = []
        self.keeper = VllmKeeper(
            made, self.urls.append, self.given_up.append, restart_waits_s=waits_s
        )


def are_gone(pids: list[int], within_s: float = 20) -> bool:
    """None of these processes runs (a zombie does not)."""
    deadline = time.monotonic() + within_s
    while any(runs(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def runs(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def until(holds, within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
