"""A lake on each kind of store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from s3_server import S3Server

from cord.lake import Lake, open_lake


@pytest.fixture
def on_s3(monkeypatch: pytest.MonkeyPatch) -> Callable[[S3Server], Lake]:
    """An empty lake in a fresh bucket of a server."""

    def make(server: S3Server) -> Lake:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        return open_lake(f"s3://{server.new_bucket()}/some/lake", create=True)

    return make


@pytest.fixture(params=["folder", "moto"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, on_s3: Callable[[S3Server], Lake]) -> Lake:
    """An empty lake, on a folder and on S3."""
    if request.param == "folder":
        return open_lake(str(tmp_path / "lake"), create=True)
    return on_s3(request.getfixturevalue("moto_s3"))


@pytest.fixture
def folder_lake(tmp_path: Path) -> Lake:
    """An empty lake on a folder, where the kind of store makes no difference."""
    return open_lake(str(tmp_path / "lake"), create=True)
