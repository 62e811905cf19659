"""A Prefect server for this process, where the user has none: it ends with it, however that ends.

Prefect's own ephemeral server outlives a process that is killed, and shares its terminal, so that
Ctrl-C would stop the server under a run that is stopping gently. This one is in a session of its
own and holds a pipe to its parent: when that closes, by whatever death, it ends. When *it* dies
while its parent lives, it is started again on the same port; its database is Prefect's in
PREFECT_HOME, so that a run goes on as if it had been slow to answer.
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
from functools import cache

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    get_current_settings,
    temporary_settings,
)

from cord.errors import CordError, UsageError

GRACE_S = 5.0
STARTS = 4
"""A server that dies more often than it can be of use is let go; the run is the lake's then."""
_used: list[str] = []
_EPHEMERAL = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}


@contextmanager
def prefect_server() -> Iterator[None]:
    """While the block runs there is a Prefect server: the user's own, or this process's.

    Raises `CordError` when none can be started, `UsageError` when the user's own refuses us."""
    if url := PREFECT_API_URL.value():
        require_access(url)
        _used.append(url)
        yield
        return
    _used.append(_own_server().url)
    with temporary_settings({PREFECT_API_URL: _own_server().url}):
        yield


def require_access(url: str) -> None:
    """Raises `UsageError` where the user's server asks who is there and does not take the answer.
    One that is away is not judged."""
    hurry = {PREFECT_API_REQUEST_TIMEOUT: GRACE_S, PREFECT_CLIENT_MAX_RETRIES: 0}
    try:
        with temporary_settings(hurry), get_client(sync_client=True) as client:
            client.api_version()
    except httpx.HTTPStatusError as error:
        if error.response.status_code in (401, 403):
            where = httpx.URL(url).copy_with(username=None, password=None)
            raise UsageError(
                f"the Prefect server at {where} does not let us in ({error.response.status_code}): "
                "set PREFECT_API_AUTH_STRING to what it was started with (user:password), or "
                "PREFECT_API_KEY"
            ) from None
    except httpx.HTTPError:
        return


def leave_if_gone(code: int) -> None:
    """End this process at once with `code` where the server it used is gone. Prefect would try for
    minutes to send what it still has to say."""
    for url in _used:
        try:
            httpx.get(f"{url}/health", timeout=GRACE_S)
        except httpx.HTTPError:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code)


def is_own_server() -> bool:
    """Whether the server in use is this process's and ends with it."""
    return _own_server.cache_info().currsize > 0


class _Server:
    """A server process behind a port, and another one when it dies."""

    def __init__(self) -> None:
        # The door stays open here: who knocks while no server stands behind it, waits.
        self._door = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}/api"
        self._settings = get_current_settings().to_environment_variables(exclude_unset=True)
        self._process = self._start()
        threading.Thread(target=self._watch, name="prefect-server", daemon=True).start()

    def _start(self) -> subprocess.Popen[bytes]:
        """Start it and wait for its answer. It is never ended from here: Prefect still sends it
        logs when this process exits."""
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-m", "flows.prefect_server", str(self._door.fileno())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[self._door.fileno()],
                start_new_session=True,
                env={**os.environ, **self._settings, **_EPHEMERAL},
            )
            if not _answers(process, self.url):
                process.kill()
                process.wait()
                log.seek(0)
                last = log.read().decode("utf-8", "replace").strip().splitlines()[-1:]
                raise CordError(
                    f"Prefect's server did not start ({''.join(last) or 'it said nothing'}); look "
                    "at PREFECT_HOME, or start `prefect server start` and set PREFECT_API_URL"
                )
        return process

    def _watch(self) -> None:
        for _ in range(STARTS - 1):
            self._process.wait()
            try:
                self._process = self._start()
            except CordError:
                break
        else:
            self._process.wait()
        self._door.close()  # who knocks now is told at once that nobody is there


@cache
def _own_server() -> _Server:
    return _Server()


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
