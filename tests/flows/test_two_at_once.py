"""Two processes on one run: one works, the other is told who does; other runs do not mind."""

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factory import Factory

from cord.lake import open_lake
from cord.lake.runs.holder import Holder
from cord.lake.runs.lease import TERMS, Lease
from cord.lake.runs.run import list_runs
from cord.lake.tables.query import query

pytestmark = pytest.mark.slow


def decode_slowly(factory: Factory, problems: int) -> None:
    """Few problems at a time, so that the run is still at it when the others come."""
    factory.write_problems(problems)
    factory.write_recipe(run={"seed": 7, "shards": 4, "workers": 2, "in_flight": 2, "retries": 1})


def wait_until_decided(factory: Factory, rounds: int = 4) -> None:
    """Until so many rounds are in the journal: decoding is under way."""
    folder = Path(factory.lake) / "journals"
    deadline = time.monotonic() + 120
    while len(list(folder.glob("*/*/*/*.jsonl"))) < rounds:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_is_carried_out_by_one_process_and_another_run_beside_it(factory: Factory) -> None:
    decode_slowly(factory, 16)
    first = factory.start("run", "recipe.yaml", "--run-id", "one")
    wait_until_decided(factory)
    os.killpg(first.pid, signal.SIGSTOP)  # so that it is not done before the others are
    document = (Path(factory.lake) / "runs/one/run.json").read_bytes()
    for again in (("run", "recipe.yaml", "--run-id", "one"), ("resume", "one")):
        begun = time.monotonic()
        refused = factory.cord(*again)
        assert refused.code == 1
        assert f"run one is being carried out by process {first.pid} on " in refused.err
        assert "`cord status one`" in refused.err
        assert "Traceback" not in refused.err
        assert time.monotonic() - begun < 30, "it does not wait for the lease"
    assert (Path(factory.lake) / "runs/one/run.json").read_bytes() == document

    status = factory.cord("status", "one", "--json").json
    assert status["state"] == "running"
    assert status["lease"]["holder"]["pid"] == first.pid
    assert sum(shard["rounds"] for shard in status["shards"]) >= 4

    factory.write_problems(8)
    other = factory.run("--seed", "8")
    assert other.code == 0, other.err

    os.killpg(first.pid, signal.SIGKILL)
    first.communicate(timeout=30)
    decode_slowly(factory, 16)
    same_command = factory.run("--run-id", "one")
    assert same_command.code == 0, same_command.err
    listed = factory.cord("releases", "--json").json
    assert [row["run_id"] for row in listed] == [other.json["run_id"], "one"]
    twice = "select run_id, problem_id, rank from trajectories group by all having count(*) > 1"
    assert query(open_lake(factory.lake), twice).num_rows == 0


def test_a_process_that_was_overtaken_stops_and_leaves_the_run_to_the_other(
    factory: Factory,
) -> None:
    decode_slowly(factory, 40)
    process = factory.start("run", "recipe.yaml", "--run-id", "lost")
    wait_until_decided(factory)
    os.killpg(process.pid, signal.SIGSTOP)  # a suspended machine; its lease is to be renewed soon
    store = open_lake(factory.lake).store
    now = datetime.now(UTC)
    theirs = Lease(
        holder=Holder(host="elsewhere", pid=7),
        nonce="n",
        taken_at=now,
        renewed_at=now,
        expires_at=now + timedelta(hours=1),
    )
    key = "runs/lost/lease/000002.json"
    assert store.create(key, theirs.model_dump_json().encode())
    document = store.read("runs/lost/run.json")
    time.sleep(TERMS.renew_every_s)
    os.killpg(process.pid, signal.SIGCONT)
    _, err = process.communicate(timeout=TERMS.renew_every_s + 60)
    assert process.returncode == 1, err
    assert "run lost was taken over by process 7 on elsewhere at " in err
    assert "Traceback" not in err
    assert store.read("runs/lost/run.json") == document, "it is the other's to write"
    assert [run.state for run in list_runs(open_lake(factory.lake))] == ["running"]
    assert factory.cord("resume", "lost").code == 1

    store.write(key, theirs.model_copy(update={"released_at": now}).model_dump_json().encode())
    assert [run.state for run in list_runs(open_lake(factory.lake))] == ["interrupted"]
    journal = [key for key in store.list("journals/") if key.endswith(".jsonl")]
    assert journal, "what it had decided is there for whoever goes on"
