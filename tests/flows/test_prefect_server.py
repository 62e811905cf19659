"""The server that a run starts where the user has none."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.slow

WAIT = """
import time
from flows.prefect_server import prefect_server
from prefect.settings import PREFECT_API_URL
with prefect_server():
    print(PREFECT_API_URL.value(), flush=True)
    time.sleep(300)
"""


def is_there(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_it_ends_with_its_process_however_that_ends(tmp_path: Path, number: signal.Signals) -> None:
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path)}
    environment.pop("PREFECT_API_URL", None)
    process = subprocess.Popen(
        [sys.executable, "-c", WAIT], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert is_there(url)
    process.send_signal(number)
    process.wait(10)
    deadline = time.monotonic() + 15
    while is_there(url) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_there(url)


def test_one_that_cannot_start_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path / "file" / "home")}
    environment.pop("PREFECT_API_URL", None)
    ended = subprocess.run(
        [sys.executable, "-c", WAIT], capture_output=True, text=True, env=environment, timeout=120
    )
    assert ended.returncode == 1
    assert "PREFECT_HOME" in ended.stderr
