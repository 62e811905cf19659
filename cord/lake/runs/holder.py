"""Which process holds a lease, told so that it cannot be mistaken for another one.

A process id alone says little: it is given out again, and two containers of one host may have the
same one under the same host name. Linux tells more: which boot of which machine, which namespace
the id belongs to, and when the process began. Where that is not told (another system), a process is
only ever held for dead by the name of its host and its id.

Looked at: `psutil` compares start times by the wall clock, which may be set, and knows nothing of
namespaces.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

_PROC = Path("/proc")
_ENDED = frozenset("ZXx")
"""States of a process that is dead, if not yet buried by its parent."""


class Holder(BaseModel):
    """One process on one host."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    host: str
    """For people."""
    pid: int = Field(gt=0)
    boot: str = ""
    """The machine's boot, which containers on it share."""
    pid_namespace: str = ""
    """Among whose processes `pid` counts."""
    began: int | None = None
    """When the process began, in clock ticks since the boot."""

    @property
    def name(self) -> str:
        """For people."""
        return f"process {self.pid} on {self.host}"


def this_process() -> Holder:
    """The process that asks."""
    return Holder(
        host=socket.gethostname(),
        pid=os.getpid(),
        boot=_boot(),
        pid_namespace=_pid_namespace(),
        began=_state_and_beginning(os.getpid())[1],
    )


def is_provably_dead(holder: Holder) -> bool:
    """Whether it has ended, as far as this process can know: never of a process elsewhere."""
    if is_elsewhere(holder):
        return False
    try:
        os.kill(holder.pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass  # it lives, and is another user's
    state, began = _state_and_beginning(holder.pid)
    if state in _ENDED:
        return True
    return began is not None and holder.began is not None and began != holder.began


def is_elsewhere(holder: Holder) -> bool:
    """Whether it is out of this process's sight: on another host, or in another container."""
    here = (socket.gethostname(), _boot(), _pid_namespace())
    return (holder.host, holder.boot, holder.pid_namespace) != here


def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return ""


def _state_and_beginning(pid: int) -> tuple[str, int | None]:
    """Fields 3 and 22 of /proc/PID/stat; the second one, its name, may hold anything."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2]
        state, began = fields.split()[0], int(fields.split()[19])
    except (OSError, ValueError, IndexError):
        return "", None
    return state, began
