"""What a user sets on the deployment is there when `cord serve` was started again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from factory import Factory
from prefect_process import PrefectProcess
from serve_process import Serving

pytestmark = pytest.mark.slow


@pytest.fixture
def serving(factory: Factory) -> Iterator[Serving]:
    """`cord serve` on the server that all tests share; nobody else serves there."""
    port = urlsplit(factory.environment["PREFECT_API_URL"]).port
    assert port is not None
    made = Serving(PrefectProcess(factory.folder, port), factory)
    try:
        yield made
    finally:
        made.kill()
        made.server.request("DELETE", f"deployments/{made.deployment['id']}")


def read(serving: Serving) -> dict[str, Any]:
    """The deployment, as the dashboard shows it."""
    path = f"deployments/{serving.deployment['id']}"
    return dict(serving.server.request("GET", path))


def serve_anew(serving: Serving) -> dict[str, Any]:
    """Kill it and start it again; the deployment once it is written again."""
    path = f"deployments/{serving.deployment['id']}"
    serving.kill()
    serving.server.request("PATCH", path, json={"description": "of the user"})
    serving.serve_again()
    deadline = time.monotonic() + 60
    while (found := read(serving))["description"] == "of the user":
        assert serving.process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    return found


def test_limit_and_schedule_of_the_user_outlive_a_restart(serving: Serving) -> None:
    assert serving.deployment["global_concurrency_limit"] is None
    options = {"collision_strategy": "CANCEL_NEW", "grace_period_seconds": 120}
    cron = {"cron": "0 3 * * *", "timezone": "Europe/Berlin"}
    nightly = {"schedule": cron, "active": False, "parameters": {"recipe": "nightly.yaml"}}
    path = f"deployments/{serving.deployment['id']}"
    asked = {"concurrency_limit": 3, "concurrency_options": options}
    serving.server.request("PATCH", path, json=asked)
    serving.server.request("POST", f"{path}/schedules", json=[nightly])
    found = serve_anew(serving)
    assert found["global_concurrency_limit"]["limit"] == 3
    assert found["concurrency_options"] == options
    (kept,) = found["schedules"]
    assert kept["schedule"].items() >= cron.items()
    assert (kept["active"], kept["parameters"]) == (False, nightly["parameters"])

    serving.server.request("PATCH", path, json={"concurrency_limit": None})
    assert serve_anew(serving)["global_concurrency_limit"] is None, "nor is one invented"
