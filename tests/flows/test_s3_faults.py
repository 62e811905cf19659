"""A run whose S3 fails in ways that do not pass: said, resumed, and the same bytes at last."""

from __future__ import annotations

import os
import signal

import pytest
from factory import Factory, Ran
from s3_server import S3Server

from benchmarks.faulty_s3 import FaultyS3, access_denied, expired

pytestmark = pytest.mark.slow

COUNTED = "select count(*) n, count(distinct (problem_id, round, beam, place)) d from steps"


def put_on(factory: Factory, server: S3Server, endpoint: str) -> None:
    """The lake is in a fresh bucket, reached by this address."""
    factory.lake = f"s3://{server.new_bucket()}/team/lake"
    factory.environment.update(
        server.environment(), CORD_LAKE=factory.lake, AWS_ENDPOINT_URL=endpoint
    )
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        factory.environment.pop(name, None)


def refused(ran: Ran, sentence: str, secret: str) -> None:
    """It ended with 1 and this sentence, and gave nothing away."""
    assert ran.code == 1, ran.err
    assert sentence in ran.err
    assert "Traceback" not in ran.err and "panicked" not in ran.err
    assert secret not in ran.err + ran.out


@pytest.mark.long
def test_credentials_expire_permission_lacks_and_the_process_dies_at_the_manifest(
    factory: Factory, moto_s3: S3Server
) -> None:
    factory.write_problems(4)
    peaceful = factory.run("--run-id", "same")
    assert peaceful.code == 0, peaceful.err
    (wanted,) = factory.cord("releases", "--json").json
    rows = factory.ask(COUNTED)

    with FaultyS3(moto_s3.endpoint) as proxy:
        put_on(factory, moto_s3, proxy.endpoint)
        proxy.aim(expired, "PUT", "/tables/trajectories/", times=None)
        refused(factory.run("--run-id", "same"), "have expired", moto_s3.secret_key)

        proxy.calm()
        proxy.aim(access_denied, "PUT", "/releases/", times=None)
        denied = factory.cord("resume", "same")
        refused(denied, "no permission for PutObject on s3://", moto_s3.secret_key)
        assert factory.cord("releases", "--json").json == []

        proxy.calm()
        held = proxy.hold("PUT", "/releases/", after=True)
        process = factory.start("resume", "same")
        assert held.arrived.wait(120)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

        proxy.calm()
        resumed = factory.cord("resume", "same", "--json")
        assert resumed.code == 0, resumed.err
        assert resumed.json["release"] == "small@1"
        (found,) = factory.cord("releases", "--json").json
        assert found["content_hash"] == wanted["content_hash"]
        assert factory.ask(COUNTED) == rows
        assert factory.cord("verify", "small@1", "--json").json["holds"]
