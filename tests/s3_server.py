"""Real S3 servers on loopback, each started once for a test session.

`moto_s3` is `moto_server` in a process of its own: fast, keeps conditions, takes any credentials.
`ceph_s3` is Ceph as Debian packages it (apt: ceph-mon ceph-osd radosgw): one monitor, one OSD in
memory, one gateway; it refuses wrong credentials. `If-None-Match` holds there on buckets without
versioning.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CEPH_PROGRAMS = (
    "ceph",
    "ceph-authtool",
    "ceph-mon",
    "ceph-osd",
    "monmaptool",
    "radosgw",
    "radosgw-admin",
)


@dataclass(frozen=True)
class S3Server:
    """A running server, and how to reach it."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to use this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self) -> S3Client:
        """A client of its own, whatever the environment says."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def new_bucket(self) -> str:
        """Make a bucket with a fresh name."""
        name = f"lake-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name


@pytest.fixture(scope="session")
def moto_s3() -> Iterator[S3Server]:
    """A `moto_server` process."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with ExitStack() as stack:
        process = _start(stack, command)
        _wait_until(lambda: _answers(port), process, 30)
        yield S3Server(f"http://127.0.0.1:{port}", "moto-key", "moto-secret")


@pytest.fixture(scope="session")
def ceph_s3() -> Iterator[S3Server]:
    """A Ceph cluster of one, with its S3 gateway; about 25 s to start."""
    absent = [program for program in CEPH_PROGRAMS if shutil.which(program) is None]
    if absent:
        pytest.skip(f"no {', '.join(absent)}: apt-get install ceph-mon ceph-osd radosgw")
    # Admin sockets need short paths, so not pytest's own folder.
    folder = Path(tempfile.mkdtemp(prefix="ceph-"))
    try:
        with ExitStack() as stack:
            yield _start_ceph(stack, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port on loopback that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _start_ceph(stack: ExitStack, folder: Path) -> S3Server:
    cluster, monitor_port, gateway_port = str(uuid.uuid4()), free_port(), free_port()
    (folder / "ceph.conf").write_text(_ceph_settings(folder, cluster, monitor_port, gateway_port))
    conf = ["-c", str(folder / "ceph.conf")]

    def run(*command: str, seconds: float = 60) -> str:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=seconds, cwd=folder
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
        return done.stdout

    _make_keyring(run, folder / "keyring")
    monitor_address = f"[v2:127.0.0.1:{monitor_port}]"
    run("monmaptool", "--create", "--fsid", cluster, "--addv", "a", monitor_address, "monmap")
    run("ceph-mon", *conf, "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "keyring")
    monitor = _start(stack, ["ceph-mon", *conf, "-f", "-i", "a"], folder)
    _wait_until(lambda: _answers(monitor_port), monitor, 30)

    osd = str(uuid.uuid4())
    run("ceph", *conf, "osd", "new", osd, "0")
    (folder / "osd").mkdir()
    run("ceph-osd", *conf, "--mkfs", "-i", "0", "--osd-uuid", osd)
    _start(stack, ["ceph-osd", *conf, "-f", "-i", "0"], folder)

    gateway = _start(stack, ["radosgw", *conf, "-f", "-n", "client.rgw"], folder)
    _wait_until(lambda: _answers(gateway_port), gateway, 120)
    access, secret = f"A{uuid.uuid4().hex[:19].upper()}", uuid.uuid4().hex
    run(
        *("radosgw-admin", *conf, "-n", "client.rgw", "user", "create", "--uid", "cord"),
        *("--display-name", "cord", "--access-key", access, "--secret-key", secret),
        seconds=120,
    )
    return S3Server(f"http://127.0.0.1:{gateway_port}", access, secret)


def _ceph_settings(folder: Path, cluster: str, monitor_port: int, gateway_port: int) -> str:
    return f"""
[global]
fsid = {cluster}
mon host = [v2:127.0.0.1:{monitor_port}]
mon initial members = a
public addr = 127.0.0.1
ms bind msgr1 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
err to stderr = true
mon data = {folder}/mon
mon data avail crit = 1
mon allow pool size one = true
mon warn on pool no redundancy = false
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{gateway_port}
rgw thread pool size = 32
"""


def _make_keyring(run: Callable[..., str], keyring: Path) -> None:
    everything = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"]
    capabilities = {
        "mon.": ["--cap", "mon", "allow *"],
        "client.admin": everything,
        "osd.0": ["--cap", "mon", "allow profile osd", "--cap", "osd", "allow *"],
        "client.rgw": ["--cap", "mon", "allow rw", "--cap", "osd", "allow rwx"],
    }
    for index, (name, caps) in enumerate(capabilities.items()):
        create = ["--create-keyring"] if index == 0 else []
        run("ceph-authtool", str(keyring), *create, "--gen-key", "-n", name, *caps)


def _start(
    stack: ExitStack, command: list[str], folder: Path | None = None
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float
) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} is not up after {seconds:g} s")
        time.sleep(0.1)
