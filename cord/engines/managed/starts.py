"""The starts of one vLLM server: a port that is free, GPUs to itself, a log for each, health.

Servers on the same GPU start one after the other: vLLM measures the free memory as it starts, and
takes what another one claims at that moment for its own.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from cord.engines.managed.process import ReservedPort, VllmProcess
from cord.engines.managed.serving import Serving
from cord.errors import EngineRefused

LOOK_EVERY_S = 0.25
PORT_TRIES = 5

_on_gpu: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)


class VllmStarts:
    """What the thread of a keeper works with, from the first start to the stop."""

    def __init__(
        self, serving: Serving, stop: threading.Event, tell: Callable[[str | None], None]
    ) -> None:
        self._serving, self._stop, self._tell = serving, stop, tell
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", self._serving.model).strip("-")[-60:]
        self._folder = Path(tempfile.mkdtemp(prefix=f"cord-vllm-{safe}-"))
        self._client = httpx.Client(trust_env=False)  # never through a proxy
        self._port: ReservedPort | None = None
        self._starts = 0
        self.url = ""
        """Where it listens."""
        self.failure = ""
        """Why it died last."""
        self.lived_s = 0.0
        """How long it was up before."""

    @contextmanager
    def up(self) -> Iterator[VllmProcess]:
        """A server that is healthy; it is ended with the block. Raises `EngineRefused`."""
        self.lived_s = 0.0
        process: VllmProcess | None = None
        try:
            with self._alone_on_gpus():
                for _ in range(PORT_TRIES):
                    process = self._launch()
                    if self._wait(process):
                        break
                    self._leave_port()
                else:
                    raise self._failed("found no free port")
            self._tell(None)
            yield process
        except OSError as error:
            raise self._failed(f"could not be started: {error}") from None
        finally:
            self._tell(None)
            if process is not None:
                process.stop()

    def watch(self, process: VllmProcess) -> None:
        """Return when it has died, or is to be stopped."""
        since = time.monotonic()
        while process.is_alive and not self._stop.wait(LOOK_EVERY_S):
            pass
        self.lived_s = time.monotonic() - since
        if not self._stop.is_set():
            self.failure = str(self._failed(f"died after {self.lived_s:.0f} s", process))

    def leave(self) -> None:
        """Let go of the rest; logs are kept where one of them tells of a failure."""
        self._leave_port()
        self._client.close()
        if not self.failure:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _launch(self) -> VllmProcess:
        self._port = self._port or ReservedPort()
        self._starts += 1
        log = self._folder / ("vllm.log" if self._starts == 1 else f"vllm-{self._starts}.log")
        port = self._port.number
        process = VllmProcess(self._serving.command(port), port, log)
        process.start(self._serving.environment(self._folder / "python"))
        self.url = f"http://127.0.0.1:{port}/v1"
        return process

    def _wait(self, process: VllmProcess) -> bool:
        """Until it is healthy; False when its port was taken. Raises `EngineRefused`."""
        within_s = self._serving.settings.start_within_s
        while process.is_alive:
            self._tell(process.phase)
            if process.is_healthy(self._client) and process.is_alive:
                return True
            if time.monotonic() - process.started > within_s:
                process.stop()
                raise self._failed(
                    f"was not up after {within_s:g} s (serve.start_within_s)", process
                )
            if self._stop.wait(LOOK_EVERY_S):
                raise self._stopped()
        if process.port_was_taken:
            process.stop()
            return False
        raise self._failed("did not start", process)

    def _stopped(self) -> EngineRefused:
        return EngineRefused(f"vLLM for {self._serving.title} was stopped as it started")

    def _failed(self, what: str, process: VllmProcess | None = None) -> EngineRefused:
        self.failure = f"vLLM for {self._serving.title} {what}"
        if process is not None:
            self.failure += f": {process.reason} (its log: {process.log})"
        return EngineRefused(self.failure)

    @contextmanager
    def _alone_on_gpus(self) -> Iterator[None]:
        """While no other server starts on the same GPUs. Raises `EngineRefused`."""
        with ExitStack() as held:
            for gpu in sorted(set(self._serving.gpus)):
                while not _on_gpu[gpu].acquire(timeout=LOOK_EVERY_S):
                    self._tell(f"waiting for another start on GPU {gpu}")
                    if self._stop.is_set():
                        raise self._stopped()
                held.callback(_on_gpu[gpu].release)
            yield

    def _leave_port(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None
