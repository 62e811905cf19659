"""A run is closed once its summary is in the lake; killed before that, it is reported again."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest
from factory import Factory
from s3_server import S3Server

from benchmarks.faulty_s3 import FaultyS3

pytestmark = pytest.mark.slow


def die_at_the_summary(
    factory: Factory, proxy: FaultyS3, after: bool, *command: str
) -> dict[str, Any]:
    """kill -9 just before the lake has the summary, or just `after`; the run as the lake has it."""
    held = proxy.hold("PUT", r"/summary\.json", after=after)
    process = factory.start(*command)
    assert held.arrived.wait(120)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    proxy.calm()
    (run,) = factory.cord("runs", "--json").json
    return dict(run)


def test_a_run_killed_between_its_summary_and_its_end_is_reported_again(
    factory: Factory, moto_s3: S3Server
) -> None:
    factory.write_problems(2)
    bucket = moto_s3.new_bucket()
    with FaultyS3(moto_s3.endpoint) as proxy:
        factory.environment.update(
            moto_s3.environment(), CORD_LAKE=f"s3://{bucket}/lake", AWS_ENDPOINT_URL=proxy.endpoint
        )
        run = ("run", "recipe.yaml", "--run-id", "closing")
        for command, after in ((run, False), (("resume", "closing"), True)):
            left = die_at_the_summary(factory, proxy, after, *command)
            assert (left["state"], left["release"]) == ("interrupted", None)
            assert len(factory.cord("releases", "--json").json) == 1, "published once"
        resumed = factory.cord("resume", "closing", "--json")
        assert resumed.code == 0, resumed.err
        (closed,) = factory.cord("runs", "--json").json
        again = factory.cord("resume", "closing", "--json").json
    assert (closed["state"], closed["release"]) == ("completed", "small@1")
    assert again == {**resumed.json, "nothing_to_do": True}
    key = "lake/runs/closing/summary.json"
    kept = moto_s3.client().get_object(Bucket=bucket, Key=key)["Body"].read()
    assert json.loads(kept) == resumed.json
