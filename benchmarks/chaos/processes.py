"""Processes as Linux shows them: whose they are, what they hold, and how they are ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "CORD_CHAOS"
"""Environment variable that all processes of one trial carry, their children too."""


def pids() -> Iterator[int]:
    """Of every process."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            yield int(folder.name)


def command_of(pid: int) -> str:
    """Its command line; empty for one that is gone, or a zombie."""
    with suppress(OSError):
        return (
            Path(f"/proc/{pid}/cmdline")
            .read_bytes()
            .replace(b"\0", b" ")
            .decode("utf-8", "replace")
        )
    return ""


def marked(mark: str) -> dict[int, str]:
    """Command lines of the living processes that carry this mark, by id."""
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for pid in pids():
        with suppress(OSError):
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if wanted in environment and (command := command_of(pid)):
                found[pid] = command
    return found


def left_of(mark: str, within_s: float) -> dict[int, str]:
    """What of a trial still lives after so long; nothing, as soon as nothing does."""
    deadline = time.monotonic() + within_s
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def kill(pid: int) -> None:
    """kill -9, if it is there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_group(pid: int) -> None:
    """kill -9 of the process group that this process leads."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds at one moment."""

    memory_mib: float
    """Resident, without what it shares with files."""
    files: int
    threads: int


def held_by(pid: int) -> Held:
    """Raises OSError when it is gone."""
    status = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if ":" in line
    )
    return Held(
        memory_mib=int(status["RssAnon"].split()[0]) / 1024,
        files=len(os.listdir(f"/proc/{pid}/fd")),
        threads=int(status["Threads"]),
    )
