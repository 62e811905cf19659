"""Ceph as Debian packages it (apt: ceph-mon ceph-osd radosgw), on loopback: an S3 server that can
be killed, since what it has taken lives in other processes than the gateway that takes it.

One monitor, one OSD in memory, one gateway; it refuses wrong credentials. `If-None-Match` holds
there on buckets without versioning.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.chaos.servers import S3, free_port

PROGRAMS = (
    "ceph",
    "ceph-authtool",
    "ceph-mon",
    "ceph-osd",
    "monmaptool",
    "radosgw",
    "radosgw-admin",
)


def absent_programs() -> list[str]:
    """Those of `PROGRAMS` that are not installed."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


@contextmanager
def ceph() -> Iterator[S3]:
    """A cluster whose gateway is up, and may be killed and started; about 25 s to start."""
    # Admin sockets need short paths.
    folder = Path(tempfile.mkdtemp(prefix="ceph-"))
    try:
        with ExitStack() as stack:
            gateway = _start_cluster(stack, folder)
            stack.callback(gateway.kill)
            gateway.start()
            _make_user(folder, gateway)
            yield gateway
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_cluster(stack: ExitStack, folder: Path) -> S3:
    cluster, monitor_port, gateway_port = str(uuid.uuid4()), free_port(), free_port()
    (folder / "ceph.conf").write_text(_settings(folder, cluster, monitor_port, gateway_port))
    conf = ["-c", str(folder / "ceph.conf")]

    def run(*command: str) -> None:
        _run(folder, *command)

    _make_keyring(run, folder / "keyring")
    monitor_address = f"[v2:127.0.0.1:{monitor_port}]"
    run("monmaptool", "--create", "--fsid", cluster, "--addv", "a", monitor_address, "monmap")
    run("ceph-mon", *conf, "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "keyring")
    _start(stack, ["ceph-mon", *conf, "-f", "-i", "a"], folder)
    deadline = time.monotonic() + 30
    while not _answers(monitor_port) and time.monotonic() < deadline:
        time.sleep(0.1)

    osd = str(uuid.uuid4())
    run("ceph", *conf, "osd", "new", osd, "0")
    (folder / "osd").mkdir()
    run("ceph-osd", *conf, "--mkfs", "-i", "0", "--osd-uuid", osd)
    _start(stack, ["ceph-osd", *conf, "-f", "-i", "0"], folder)
    endpoint = f"http://127.0.0.1:{gateway_port}"
    return S3(
        name="S3 server",
        command=["radosgw", *conf, "-f", "-n", "client.rgw"],
        environment=os.environ,
        health=endpoint,
        log=folder / "gateway.log",
        endpoint=endpoint,
        access_key=f"A{uuid.uuid4().hex[:19].upper()}",
        secret_key=uuid.uuid4().hex,
    )


def _make_user(folder: Path, gateway: S3) -> None:
    _run(
        folder,
        *("radosgw-admin", "-c", str(folder / "ceph.conf"), "-n", "client.rgw"),
        *("user", "create", "--uid", "cord", "--display-name", "cord"),
        *("--access-key", gateway.access_key, "--secret-key", gateway.secret_key),
    )


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, cwd=folder
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")


def _settings(folder: Path, cluster: str, monitor_port: int, gateway_port: int) -> str:
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


def _make_keyring(run: Callable[..., None], keyring: Path) -> None:
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


def _start(stack: ExitStack, command: list[str], folder: Path) -> None:
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def stop() -> None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(stop)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
