"""Runs written straight into a lake, and a browser for the pages made of them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import chromium
from playwright.sync_api import Browser

from benchmarks.service.written_run import Written, reasoning, write_run
from cord.lake import Lake, open_lake
from cord.recipe import SearchSettings

Write = Callable[..., Lake]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """write(run_id, problems, characters of a step) -> the lake, with that run in it."""

    def write(run_id: str = "some", problems: int = 12, characters: int = 60) -> Lake:
        lake = open_lake(str(tmp_path / "lake"), create=True)
        settings = SearchSettings(width=3, max_steps=5)
        write_run(lake, Written(run_id, problems, settings, reasoning(characters)))
        return lake

    return write


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def blocks_of(html: str) -> dict[str, str]:
    """The page's blocks of data by id, packed."""
    return dict(
        re.findall(r'<script type="application/octet-stream" id="([a-z0-9-]+)">([^<]*)<', html)
    )
