"""A Prefect server for this process, where the user has none: it ends with it, however that ends.

Prefect's own ephemeral server outlives a process that is killed, and shares its terminal, so that
Ctrl-C would stop the server under a run that is stopping gently. This one is in a session of its
own and holds a pipe to its parent: when that closes, by whatever death, it ends.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import httpx
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    get_current_settings,
    temporary_settings,
)

from cord.errors import CordError

GRACE_S = 5.0
_EPHEMERAL = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}


@contextmanager
def prefect_server() -> Iterator[None]:
    """While the block runs there is a Prefect server: the user's own, or this process's.

    Raises `CordError` when none can be started."""
    if PREFECT_API_URL.value():
        yield
        return
    with temporary_settings({PREFECT_API_URL: _own_server().url}):
        yield


@dataclass(frozen=True)
class _Server:
    url: str
    process: subprocess.Popen[bytes]
    """Never ended from here: Prefect still sends it logs when this process exits."""


@cache
def _own_server() -> _Server:
    with socket.create_server(("127.0.0.1", 0)) as door, tempfile.TemporaryFile() as log:
        url = f"http://127.0.0.1:{door.getsockname()[1]}/api"
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "flows.prefect_server", str(door.fileno())],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[door.fileno()],
            start_new_session=True,
            env={
                **os.environ,
                **get_current_settings().to_environment_variables(exclude_unset=True),
                **_EPHEMERAL,
            },
        )
        door.close()
        if not _answers(process, url):
            process.kill()
            process.wait()
            log.seek(0)
            last = log.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            raise CordError(
                f"Prefect's server did not start ({''.join(last) or 'it said nothing'}); look "
                "at PREFECT_HOME, or start `prefect server start` and set PREFECT_API_URL"
            )
    return _Server(url, process)


def _answers(server: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
    while server.poll() is None and (left := deadline - time.monotonic()) > 0:
        try:
            # The door is open already: this waits until somebody stands behind it.
            if httpx.get(f"{url}/health", timeout=min(left, 1.0)).status_code == 200:
                return True
        except httpx.HTTPError:
            time.sleep(0.05)
    return False


def _serve(door: int) -> None:
    """Serve on an open socket until standard input closes."""
    import uvicorn

    threading.Thread(target=_end_with_parent, daemon=True).start()
    config = uvicorn.Config(
        "prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on"
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=door)])


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(0)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
