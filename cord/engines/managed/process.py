"""One `vllm serve`, from its start to its end, under `cord.engines.managed.supervisor`.

What was looked at: `subprocess` starts it in a session of its own but cannot see to it that it ends
with us; psutil kills a tree of processes, but only while we live, and loses those whose parent has
died; `PR_SET_PDEATHSIG` alone is bound to the thread that forked. A pipe that the supervisor reads
is closed by the kernel at every kind of death.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from cord.engines.managed import supervisor
from cord.engines.managed.log import phase_of, port_was_taken, reason_in, tail_of

GRACE_S = 15.0
"""From being asked to end until it is killed; vLLM takes a second or two."""


class ReservedPort:
    """A port on loopback that no other program is given while this is open.

    The socket is bound and never listens: the kernel gives the port to nobody who asks for any
    free one, yet lets vLLM, which sets `SO_REUSEADDR` as this does, listen there."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number = int(self._socket.getsockname()[1])

    def close(self) -> None:
        """Give it back."""
        self._socket.close()


class VllmProcess:
    """A running `vllm serve`: `start` returns at once; ask `is_healthy`, `is_alive`, `phase`."""

    def __init__(self, command: Sequence[str], port: int, log: Path) -> None:
        self.port, self.log = port, log
        self.started = time.monotonic()
        self._command = list(command)
        self._environment: Mapping[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it. Raises OSError."""
        self._environment = environment
        watch = [sys.executable, "-I", supervisor.__file__, str(os.getpid()), str(GRACE_S)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [*watch, *self._command],
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for cord alone
            )

    @property
    def is_alive(self) -> bool:
        """It has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def phase(self) -> str:
        """What it does while it starts, in words."""
        return phase_of(tail_of(self.log))

    @property
    def reason(self) -> str:
        """Why it ended, as far as its log tells."""
        code = None if self._process is None else self._process.poll()
        if said := reason_in(tail_of(self.log), self._environment):
            return said
        return "it did not say why" if code is None else f"it ended with exit code {code}"

    @property
    def port_was_taken(self) -> bool:
        """It ended because somebody else listens on its port."""
        return not self.is_alive and port_was_taken(tail_of(self.log))

    def is_healthy(self, client: httpx.Client) -> bool:
        """It answers."""
        with suppress(httpx.HTTPError):
            answer = client.get(f"http://127.0.0.1:{self.port}/health", timeout=5.0)
            return answer.status_code == httpx.codes.OK
        return False

    def stop(self) -> None:
        """End it and all of its processes; returns when none is left."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()  # as at our own death: there is one way to end
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S + 5)
        if (code := self._process.returncode) is None or code < 0:  # it was killed, or hangs
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
