"""Keeps a server from outliving the process that started it. A script of its own:

    python -I supervisor.py PARENT_PID GRACE_S PROGRAM ARGUMENT...

It is the parent of `PROGRAM`, leads the session (and process group) that both are in, and holds the
reading end of a pipe to the process that started it, as standard input. However that process ends
(in good order, by `os._exit`, by kill -9), the pipe closes; then, or on SIGTERM, the whole group is
asked to end by SIGTERM, and what still lives after the grace is killed.

On Linux it adopts whatever its descendants leave behind, so that "all have ended" is known and not
guessed, even of a worker that went into a session of its own; and should the supervisor itself be
killed, the kernel sends `PROGRAM` a SIGTERM. Only the standard library is used: it starts in some
20 ms, in any Python, and takes 10 MB.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import FrameType

LOOK_EVERY_S = 0.5
LEFT_BEHIND_S = 3.0
"""Grace for what a server leaves behind that has ended by itself: it is to be started again."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def supervise(parent: int, grace_s: float, command: list[str]) -> int:
    """Run `command` until it or the parent ends; nothing of it is left. Returns its exit code."""
    asked: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    _tell_kernel(_PR_SET_CHILD_SUBREAPER, 1)
    # This process has one thread, which lives as long as it does: the kernel's signal at the
    # parent's death, which is one at the parent *thread's* death, means what it should.
    server = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.DEVNULL, preexec_fn=_end_with_supervisor
    )
    while server.poll() is None and not asked and os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], LOOK_EVERY_S)
        if readable and not os.read(0, 4096):
            break
    ended_by_itself = server.poll() is not None
    _end_group(server, min(grace_s, LEFT_BEHIND_S) if ended_by_itself else grace_s)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _end_group(server: subprocess.Popen[bytes], grace_s: float) -> None:
    with suppress(ProcessLookupError):
        os.killpg(0, signal.SIGTERM)  # this process among them: it only takes note
    deadline = time.monotonic() + grace_s
    while _any_left(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    while _any_left(server) and (children := _children(os.getpid())):
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    if server.poll() is None:  # no /proc to find children by
        os.killpg(0, signal.SIGKILL)


def _any_left(server: subprocess.Popen[bytes]) -> bool:
    """Reap what has ended; whether a child, own or adopted, still lives."""
    server.poll()
    with suppress(ChildProcessError):
        while (reaped := os.waitpid(-1, os.WNOHANG))[0]:
            if reaped[0] == server.pid and server.returncode is None:
                server.returncode = os.waitstatus_to_exitcode(reaped[1])
        return True
    return False


def _children(pid: int) -> list[int]:
    with suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(child) for child in children.read().split()]
    return []


def _end_with_supervisor() -> None:
    _tell_kernel(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _tell_kernel(what: int, value: int) -> None:
    with suppress(OSError, AttributeError):  # Linux only
        ctypes.CDLL(None).prctl(what, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(supervise(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
