"""The S3 server of infra/compose.yaml as a process of its own: SeaweedFS, with the same users."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from factory import free_port

INFRA = Path(__file__).parents[1] / "infra"
PROGRAM = Path(sys.executable).parent / "weed"


def secrets(folder: Path) -> dict[str, str]:
    """What infra/make-secrets.sh makes, by name of file."""
    subprocess.run([INFRA / "make-secrets.sh", folder], check=True, capture_output=True)
    return {path.name: path.read_text() for path in folder.iterdir()}


@contextmanager
def seaweed(folder: Path, identities: str) -> Iterator[str]:
    """The server's address; its arguments are compose.yaml's, with ports that are free here."""
    if not PROGRAM.exists():
        pytest.skip("there is no SeaweedFS; infra/install-validators.sh installs it")
    (folder / "data").mkdir()
    (folder / "s3.json").write_text(identities)
    assert json.loads(identities)["identities"]
    port = free_port()
    # Two of its processes' ports are its others' plus 10,000.
    changed = {
        "-dir": f"{folder}/data",
        "-s3.config": f"{folder}/s3.json",
        "-s3.ip.bind": "127.0.0.1",
        "-s3.port": str(port),
        "-metricsIp": "127.0.0.1",
        "-metricsPort": "0",
        "-master.volumeSizeLimitMB": "64",
    }
    asked = yaml.safe_load((INFRA / "compose.yaml").read_text())["services"]["store"]["command"]
    command = [
        f"{a.split('=')[0]}={changed.get(a.split('=')[0])}" if a.split("=")[0] in changed else a
        for a in asked
    ]
    inner = ("master", "volume", "filer", "s3")
    ports = [f"-{part}.port.grpc={free_port()}" for part in inner]
    ports += [f"-{part}.port={free_port()}" for part in inner[:3]]
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [PROGRAM, "-logtostderr=true", *command, *ports], stdout=log, stderr=log
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process, folder / "log")
        yield address
    finally:
        process.kill()
        process.wait()
        log.close()


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{address}/healthz", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(f"SeaweedFS did not start:\n{log.read_text()[-2000:]}")
