"""`cord status` and `cord runs` of a run that failed, and of one that has quarantined a row."""

from pathlib import Path

import pytest
from factory import Factory

from cord.lake import open_lake

pytestmark = pytest.mark.slow


def test_a_failed_shard_is_named_with_its_reason_until_it_is_done(factory: Factory) -> None:
    factory.write_problems(8, [b'{"id": "torn", "question": "Sta'])
    damaged = Path(factory.lake) / "runs/some/shards/00001.json"
    open_lake(factory.lake, create=True)
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    ran = factory.run("--run-id", "some")
    assert ran.code == 1, ran.err
    assert "1 of 2 shards failed (1)" in ran.err

    status = factory.cord("status", "some", "--json")
    assert status.code == 0
    told = status.json
    assert told["state"] == "failed" and told["lease"] is None
    assert told["promise"] == "the same bytes" and told["reproducible"] is True
    shards = {shard["shard"]: shard for shard in told["shards"]}
    assert {name: shard["state"] for name, shard in shards.items()} == {"0": "done", "1": "failed"}
    failure = shards["1"]["failure"]
    assert (failure["attempt"], failure["attempts"], failure["will_retry"]) == (2, 2, False)
    assert "runs/some/shards/00001.json in the lake is damaged" in failure["error"]
    text = factory.cord("status", "some")
    assert "the same bytes" in text.out
    assert "failed at try 2 of 2: runs/some/shards/00001.json in the lake is damaged" in text.out
    assert "2 shards: 1 done, 1 failed" in text.err
    assert "`cord resume some` does what is missing" in text.err

    damaged.unlink()
    resumed = factory.cord("resume", "some")
    assert resumed.code == 0, resumed.err
    assert "cord: run some completed with 1 quarantined; its release is small@1" in resumed.err
    told = factory.cord("status", "some", "--json").json
    assert told["state"] == "completed" and told["quarantined"] == 1
    assert told["message"] == "completed with 1 quarantined"
    assert all(s["state"] == "done" and s["failure"] is None for s in told["shards"])
    assert not list((Path(factory.lake) / "runs/some/failures").iterdir())

    (Path(factory.lake) / "runs/torn").mkdir()
    (Path(factory.lake) / "runs/torn/run.json").write_text("{")
    listed = factory.cord("runs")
    assert listed.code == 0
    assert "completed with 1 quarantined" in listed.out and "damaged" in listed.out
    assert "runs/torn/run.json in the lake is not this run's document" in listed.err
