"""Fixtures that several packages' tests share, each in a file of its own."""

from __future__ import annotations

import hypothesis
import pytest

# A property is true or false; how long it takes depends on what else the machine does.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

pytest_plugins = ["s3_server", "vllm_server", "factory"]

COSTLY = {
    "vllm_server": "vllm",
    "own_vllm_server": "vllm",
    "managed_vllm": "vllm",
    "ceph_s3": "ceph",
}
"""Servers that start slowly; tests that use one go to the same worker, which starts it once."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Name the worker group of a test (`pytest -n 2 --dist loadgroup`), before xdist reads it."""
    used = {COSTLY[name] for name in getattr(item, "fixturenames", ()) if name in COSTLY}
    if "ceph" in item.name:
        used.add("ceph")
    for group in sorted(used)[-1:]:
        item.add_marker(pytest.mark.xdist_group(group))
