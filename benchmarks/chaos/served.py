"""A vLLM server for chaos: the miniature's own model on the real thing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cord.miniature
from benchmarks.chaos.servers import Server, free_port
from benchmarks.vllm_server import ENVIRONMENT, FLAGS, LAUNCH, vllm_binary
from cord.engines.vllm import forced_decoding_flags

MODEL = Path(cord.miniature.__file__).parent / "models" / "meta"
"""The small meta-prover, which can also write."""
CONTEXT = 2048


def vllm_server(folder: Path) -> Server:
    """Not started yet; about half a minute to start on two cores."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    return Server(
        name="vLLM server",
        command=[
            *(sys.executable, "-c", LAUNCH, vllm_binary(), "serve", str(MODEL)),
            *("--served-model-name", MODEL.name, "--port", str(port), *FLAGS),
            *("--max-model-len", str(CONTEXT), "--max-num-batched-tokens", str(2 * CONTEXT)),
            *("--block-size", "32", *forced_decoding_flags.FLAGS),
        ],
        environment=forced_decoding_flags.environment(folder / "importable")
        | ENVIRONMENT
        | {"VLLM_CPU_KVCACHE_SPACE": "1"},
        health=f"http://127.0.0.1:{port}/health",
        log=folder / "vllm.log",
    )


def url_of(server: Server) -> str:
    """As recipes name it."""
    return server.health.removesuffix("/health") + "/v1"


def homogeneous(url: str) -> dict[str, Any]:
    """A recipe's models: one three times, and as its own meta-prover."""
    served = {"model": MODEL.name, "url": url}
    warmth = {"cool": 0.5, "mild": 0.6, "warm": 0.7}
    teachers = [{"name": n, "temperature": t, **served} for n, t in warmth.items()]
    return {"teachers": teachers, "meta_prover": "mild"}
