"""Nothing that runs needs a network: a whole refresh where there is none but the loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from factory import Factory

BIN = Path(sys.executable).parent
ALONE = ["unshare", "--net", "sh", "-ec"]
"""A network namespace of its own. The kernel gives it no way to any other host."""


def needs_namespaces() -> None:
    if shutil.which("unshare") is None or subprocess.run([*ALONE, "true"], check=False).returncode:
        pytest.skip("no network namespace can be made here (unshare, as root)")


@pytest.mark.slow
def test_a_refresh_from_a_recipe_to_a_release_and_its_report(tmp_path: Path) -> None:
    needs_namespaces()
    lake = str(tmp_path / "lake")
    own = {"CORD_LAKE": lake, "PREFECT_HOME": str(tmp_path / "prefect")}
    environment = {**os.environ, **own}
    environment.pop("PREFECT_API_URL", None)  # cord starts a server of its own
    factory = Factory(tmp_path, environment, lake)
    factory.write_recipe(name="alone")
    factory.write_problems(3)
    script = f"""
        ip link set lo up 2>/dev/null || {BIN}/python -c '{UP}'
        {BIN}/python -c 'import socket; socket.create_connection(("1.1.1.1", 53), 2)' && exit 9
        {BIN}/cord run recipe.yaml
        {BIN}/cord query 'select count(*) from records'
        {BIN}/cord report "$({BIN}/python -c '{RUN}')" out.html
    """
    done = subprocess.run(
        [*ALONE, script],
        cwd=factory.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "its release is" in done.stderr + done.stdout
    assert (factory.folder / "out.html").stat().st_size > 10_000


UP = (
    "import fcntl, socket, struct; s = socket.socket(); "
    'fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 1))'
)
"""SIOCSIFFLAGS, IFF_UP: where iproute2 is not installed."""
RUN = 'import os; print(os.listdir("lake/runs")[0])'
