"""Stands for the `vllm` program at the seam of processes: starts, fails, dies as its test says.

    program = VllmProgram(tmp_path, "die", "serve")  # a play for each start, the last one for more
    monkeypatch.setenv("CORD_VLLM", program.path)
    program.starts                                   # what it was started with, and its processes

The lines that it prints are a real vLLM's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BEGIN = """(APIServer pid=7) INFO 11-24 12:18:22 [api_utils.py:286] non-default args: {'port': 1}
(EngineCore pid=8) INFO 11-24 12:18:27 [core.py:133] Initializing a V1 LLM engine (v0.32.0)
(Worker pid=9) INFO 11-24 12:18:33 [gpu_model_runner.py:5040] Starting to load model m...
Loading safetensors checkpoint shards:  21% Completed | 3/14 [00:09<00:31,  2.9s/it]
"""
FAIL = """(EngineCore pid=8) ERROR 11-24 12:18:40 [core.py:1201] Traceback (most recent call last):
(EngineCore pid=8) ERROR 11-24 12:18:40 [core.py:1201]     raise ValueError(
(EngineCore pid=8) ERROR 11-24 12:18:40 [core.py:1201] ValueError: No available memory for the \
cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.
(APIServer pid=7) Traceback (most recent call last):
(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above. Failed \
core proc(s): {}
"""
DEADLY = "the question that kills"
"""A `mortal` server dies of any prompt that it is in."""
TAKEN = "(APIServer pid=7) OSError: [Errno 98] Address already in use\n"
OUT_OF_MEMORY = (
    "(EngineCore pid=8) ERROR 11-24 12:18:40 [core.py:1300] torch.OutOfMemoryError: CUDA out of "
    "memory. Tried to allocate 2.00 GiB.\n"
)


class VllmProgram:
    """The program of one test."""

    def __init__(self, folder: Path, *plays: str) -> None:
        self._plays, self._log = folder / "plays.json", folder / "starts.jsonl"
        self._plays.write_text(json.dumps(plays))
        bin_folder = folder / "vllm-environment" / "bin"
        bin_folder.mkdir(parents=True)
        self.path = str(bin_folder / "vllm")
        Path(self.path).write_text(
            f"#!{sys.executable} -I\nimport runpy\n"
            f"run = runpy.run_path({__file__!r})\nrun['main']({str(folder)!r})\n"
        )
        Path(self.path).chmod(0o755)

    @property
    def starts(self) -> list[dict[str, Any]]:
        """Arguments, environment and process id of each start."""
        if not self._log.exists():
            return []
        return [json.loads(line) for line in self._log.read_text().splitlines()]


def main(folder: str) -> None:
    """Be started: note it, and play."""
    log, plays = (
        Path(folder) / "starts.jsonl",
        json.loads((Path(folder) / "plays.json").read_text()),
    )
    before = len(log.read_text().splitlines()) if log.exists() else 0
    play = plays[min(before, len(plays) - 1)]
    # A worker in a session of its own that ignores SIGTERM: the hardest to be rid of.
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    worker = subprocess.Popen([sys.executable, "-I", "-c", stubborn], start_new_session=True)
    note = {
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        "pids": [os.getpid(), worker.pid],
        "at": time.monotonic(),
    }
    with log.open("a") as notes:
        notes.write(json.dumps(note) + "\n")
    print(BEGIN, file=sys.stderr, flush=True)
    if play == "hang":
        time.sleep(600)
    if play in ("fail", "taken"):
        print(FAIL if play == "fail" else TAKEN, file=sys.stderr, flush=True)
        sys.exit(1)
    port = int(sys.argv[sys.argv.index("--port") + 1])
    if play == "mortal":
        return _be_mortal(port)
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    if play == "die":
        print(OUT_OF_MEMORY, file=sys.stderr, flush=True)
        server.timeout = 600
        server.handle_request()
        time.sleep(0.5)
        sys.exit(1)
    server.serve_forever()


def _be_mortal(port: int) -> None:
    """Answer as `doubles.vllm_answers`, and die of whatever has `DEADLY` in it."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from doubles.vllm_answers import END, PIECES, VllmAnswers, completion

    class Mortal(VllmAnswers):
        def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
            prompt = body.get("prompt", "")
            prompt = prompt[0] if prompt and isinstance(prompt[0], list) else prompt
            if path == "/health":
                return {}
            if path == "/v1/completions" and isinstance(prompt, list):
                if DEADLY.encode() in b"".join(PIECES.get(i) or bytes([i]) for i in prompt):
                    print(OUT_OF_MEMORY, file=sys.stderr, flush=True)
                    os._exit(1)
                text = " so\n</think>\n\nThe final answer is \\boxed{0}"
                self.completions.append(completion(text, [*text.encode(), END]))
            return super().answer(path, body)

    server = Mortal(port)
    server.listing = [{"id": sys.argv[2], "root": "r", "max_model_len": 4096}]
    with server:
        time.sleep(600)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass
