"""The vLLM of a test: a double at the seam of processes."""

import pytest
from doubles.vllm_program import VllmProgram
from engines.managed.a_server import are_gone

from cord.engines.managed.keeper import stop_servers


@pytest.fixture
def program(tmp_path, monkeypatch):
    """`program("serve", ...)` is the vLLM of this test; nothing of it is left."""
    made: list[VllmProgram] = []

    def write(*plays: str) -> VllmProgram:
        made.append(VllmProgram(tmp_path, *plays))
        monkeypatch.setenv("CORD_VLLM", made[0].path)
        return made[0]

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # of the logs
    # One worker never ends by itself.
    monkeypatch.setattr("cord.engines.managed.process.GRACE_S", 0.5)
    yield write
    stop_servers()
    assert are_gone([pid for one in made for start in one.starts for pid in start["pids"]])
