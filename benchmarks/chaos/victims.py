"""What is killed: `strike` does it, and whatever a machine's owner would start again is started."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from benchmarks.chaos.processes import kill, kill_group, marked
from benchmarks.chaos.servers import Server
from benchmarks.chaos.workshop import Workshop

AWAY_S = 2.0
"""A server is away for at most so long before it is started again."""


class Victim(Protocol):
    """A kind of process that a run consists of or leans on."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    def strike(self, workshop: Workshop, run: subprocess.Popen[bytes], rng: random.Random) -> bool:
        """Kill it now; False when there is none at this moment."""
        ...


@dataclass(frozen=True)
class FlowProcess:
    """`cord run` alone: its children find out by themselves."""

    name: str = "flow process"

    def strike(self, workshop: Workshop, run: subprocess.Popen[bytes], rng: random.Random) -> bool:
        """See `Victim`."""
        kill(run.pid)
        run.wait()
        return True


@dataclass(frozen=True)
class ProcessGroup:
    """`cord run` with everything that it has started, as a machine that goes down."""

    name: str = "process group"

    def strike(self, workshop: Workshop, run: subprocess.Popen[bytes], rng: random.Random) -> bool:
        """See `Victim`."""
        others = marked(workshop.mark)
        kill_group(run.pid)
        for pid in others:
            kill(pid)
        run.wait()
        return True


@dataclass(frozen=True)
class ChildProcess:
    """One of a run's children: whose command line has this in it."""

    name: str
    command: str

    def strike(self, workshop: Workshop, run: subprocess.Popen[bytes], rng: random.Random) -> bool:
        """See `Victim`."""
        found = [p for p, c in marked(workshop.mark).items() if self.command in c and p != run.pid]
        if not found:
            return False
        kill(rng.choice(sorted(found)))
        return True


@dataclass(frozen=True)
class OuterServer:
    """A server beside the run; it is started again after a moment."""

    server: Server
    before: Callable[[], None] = lambda: None
    """Called right before it is killed."""

    @property
    def name(self) -> str:
        """The server's."""
        return self.server.name

    def strike(self, workshop: Workshop, run: subprocess.Popen[bytes], rng: random.Random) -> bool:
        """See `Victim`."""
        self.before()
        self.server.kill()
        time.sleep(rng.uniform(0, AWAY_S))
        self.server.start()
        return True
