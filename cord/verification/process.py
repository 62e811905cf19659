"""One judging process: `cord.verification.worker` at the other end of two pipes.

A plain subprocess (no fork of a process that holds threads and torch) that speaks JSON lines (no
pickle).
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cord.errors import CordError

START_LIMIT_S = 120.0
"""For importing sympy on a machine that is busy with models."""


class JudgingProcess:
    """One `cord.verification.worker`. Used by one thread at a time."""

    def __init__(self, memory_limit_mb: int) -> None:
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        # -P: no file of the working folder may pass for a module. A session of its own: Ctrl-C is
        # for the parent, which then decides.
        self._popen = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "cord.verification.worker", str(memory_limit_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        self._unread = b""
        self._selector = selectors.DefaultSelector()
        assert self._popen.stdout is not None
        self._selector.register(self._popen.stdout, selectors.EVENT_READ)
        try:
            self._read_reply(time.monotonic() + START_LIMIT_S)
        except (TimeoutError, EOFError, OSError, ValueError):
            status = self.kill()
            raise CordError(
                f"verify: the judge's process did not start (exit status {status}); "
                f"`python -m cord.verification.worker {memory_limit_mb}` shows why"
            ) from None
        except BaseException:
            self.kill()
            raise

    def ask(self, request: dict[str, Any], time_limit_s: float) -> dict[str, Any]:
        """Raises TimeoutError, EOFError (it died), OSError (it had died) or ValueError."""
        deadline = time.monotonic() + time_limit_s
        assert self._popen.stdin is not None
        # It is waiting for a line, so that even one longer than the pipe is taken at once.
        self._popen.stdin.write(json.dumps(request).encode() + b"\n")
        return self._read_reply(deadline)

    def _read_reply(self, deadline: float) -> dict[str, Any]:
        assert self._popen.stdout is not None
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                raise TimeoutError
            received = os.read(self._popen.stdout.fileno(), 65536)
            if not received:
                raise EOFError
            self._unread += received
        line, _, self._unread = self._unread.partition(b"\n")
        reply = json.loads(line)
        if not isinstance(reply, dict):
            raise ValueError("not an object")
        return reply

    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def kill(self) -> int:
        """End it now; its exit status. Negative is the signal that ended it."""
        self._popen.kill()
        status = self._popen.wait()
        self._selector.close()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                pipe.close()
        return status
