"""A real browser: the machine's Chromium, driven by Playwright. What a page asks of any host but
this one is refused and noted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_HERE = ("127.0.0.1", "localhost", "")
"""Hosts that a page may ask; a page that is a file has none."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser of its own; the test is skipped where there is none, or fails under CI."""
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("CORD_REQUIRE_CHROMIUM"):
            pytest.fail("there is no Chromium; infra/install-chromium.sh installs it")
        pytest.skip("there is no Chromium; infra/install-chromium.sh installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_QUIET)
        try:
            yield browser
        finally:
            browser.close()


def open_page(browser: Browser, width: int = 1400, height: int = 900) -> tuple[Page, list[str]]:
    """A new page, and the list of what it asked of other hosts, which grows as it does so."""
    page = browser.new_page(viewport={"width": width, "height": height})
    outside: list[str] = []

    def look(route: Route) -> None:
        url = route.request.url
        if (urlsplit(url).hostname or "") in _HERE:
            route.continue_()
        else:
            outside.append(url)
            route.abort()

    page.route("**/*", look)
    return page, outside
