"""`cord status` and `cord runs` of a run that failed, and of one that has quarantined a row."""

from pathlib import Path

import pytest
from factory import Factory

pytestmark = pytest.mark.slow


def test_a_failed_shard_is_named_with_its_reason_until_it_is_done(factory: Factory) -> None:
    factory.write_problems(8, [b'{"id": "torn", "question": "Sta'])
    damaged = Path(factory.lake) / "runs/some/shards/00001.json"
    assert factory.run("--run-id", "none", "--seed", "9").code == 0  # makes the lake
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
    assert "failed at try 2 of 2: runs/some/shards/00001.json in the lake is damaged" in text.out
    assert "2 shards: 1 done, 1 failed" in text.err
    assert "`cord resume some` does what is missing" in text.err

    damaged.unlink()
    resumed = factory.cord("resume", "some")
    assert resumed.code == 0, resumed.err
    assert "cord: run some completed with 1 quarantined; its release is small@2" in resumed.err
    told = factory.cord("status", "some", "--json").json
    assert told["state"] == "completed" and told["quarantined"] == 1
    assert told["message"] == "completed with 1 quarantined"
    assert all(s["state"] == "done" and s["failure"] is None for s in told["shards"])
    assert not list((Path(factory.lake) / "runs/some/failures").iterdir())
    assert "completed with 1 quarantined" in factory.cord("status", "some").out
    assert factory.cord("runs").out.count("completed with 1 quarantined") == 2

    (Path(factory.lake) / "runs/none/run.json").write_text("{")
    listed = factory.cord("runs", "--json")
    assert listed.code == 0
    assert [(run["run_id"], run["state"]) for run in listed.json] == [
        ("some", "completed"),
        ("none", "damaged"),
    ]
    assert "runs/none/run.json in the lake is not this run's document" in listed.json[1]["message"]
    assert factory.cord("runs").out.count("damaged") == 1
    shown = factory.cord("status", "none")
    assert shown.code == 1 and "Traceback" not in shown.err
