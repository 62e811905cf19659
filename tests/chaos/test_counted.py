"""Chaos counts sampled tokens outside of the process that samples them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.chaos.workshop import COUNTED

pytestmark = pytest.mark.slow

PROGRAM = """
import os, signal
from cord.engines.embedded.writing import Writing

writing = Writing.__new__(Writing)
writing.sampled, writing._ends = [], frozenset({7})
for _ in range(12):
    writing.add(7)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_tokens_of_a_killed_process_are_counted(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    environment = {**os.environ, "PYTHONPATH": str(COUNTED), "CORD_CHAOS_TOKENS": str(tokens)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=False)
    assert done.returncode == -9
    assert tokens.stat().st_size == 12
