"""Servers beside a run, each on a port of its own: killed, and started again with what it kept."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.chaos.processes import kill_group

BIN = Path(sys.executable).parent
START_S = 180.0
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "DO_NOT_TRACK": "1",
}


@dataclass
class Server:
    """One server process, the leader of its group. `start`, `kill` and `start` again."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    health: str
    """A url that answers once the server is up."""
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError with the log's end."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while self.process.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if httpx.get(self.health, timeout=5, trust_env=False).status_code < 500:
                    return
            time.sleep(0.1)
        tail = self.log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self.name} did not start:\n{tail}")

    def kill(self) -> None:
        """kill -9, its children too."""
        if self.process is not None:
            kill_group(self.process.pid)
            self.process.wait()
            self.process = None

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self.process is not None
        return self.process.pid


@dataclass
class PrefectServer(Server):
    """A Prefect server with its database in a folder."""

    home: Path = Path()
    url: str = ""

    def environment_for_runs(self) -> dict[str, str]:
        """What a run's process needs to use it."""
        return {"PREFECT_API_URL": self.url, "PREFECT_HOME": str(self.home), **QUIET}


def prefect_server(home: Path) -> PrefectServer:
    """A Prefect server that is not started yet."""
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    return PrefectServer(
        name="Prefect server",
        command=[
            *(str(BIN / "prefect"), "server", "start", "--no-ui"),
            *("--host", "127.0.0.1", "--port", str(port)),
        ],
        environment={**environment, **QUIET, "PREFECT_HOME": str(home)},
        health=f"{url}/health",
        log=home / "server.log",
        home=home,
        url=url,
    )


@dataclass
class S3(Server):
    """An S3 server, and the keys that it takes."""

    endpoint: str = ""
    access_key: str = "moto-key"
    secret_key: str = "moto-secret"

    def environment_for_runs(self) -> dict[str, str]:
        """What a run's process needs to use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self) -> Any:
        """boto3's, whatever the environment says."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )


def moto(folder: Path) -> S3:
    """moto's S3 server, not started yet. It keeps everything in memory: never kill it."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    return S3(
        name="moto",
        command=[sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        environment=os.environ,
        health=f"http://127.0.0.1:{port}/",
        log=folder / "moto.log",
        endpoint=f"http://127.0.0.1:{port}",
    )


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
