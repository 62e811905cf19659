"""The main job, as a user runs it: real Prefect, real models, a real lake."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from factory import Factory

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("refresh")]  # who shares `undisturbed`
Rows = list[dict[str, Any]]


def decode_slowly(factory: Factory) -> None:
    """Enough problems, one after another, that a signal always comes in the midst of decoding."""
    factory.write_problems(24)
    factory.write_recipe(run={"seed": 7, "shards": 4, "workers": 2, "in_flight": 2, "retries": 1})


def wait_until_decoding(factory: Factory, process: object, rounds_seen: float = 90) -> None:
    """Until the run has been planned in the lake, so that decoding is under way."""
    plan = Path(factory.lake) / "tables" / "problems" / "_delta_log"
    deadline = time.monotonic() + rounds_seen
    while time.monotonic() < deadline and not any(plan.glob("*.json")):
        time.sleep(0.1)
    assert any(plan.glob("*.json")), "the run was never planned"


def test_a_whole_refresh_its_repeat_another_seed_and_ten_more_problems(factory: Factory) -> None:
    first = factory.run()
    assert first.code == 0, first.err
    made = first.json
    assert made["release"] == "small@1"
    assert made["problems"] == 8 == made["records"] + made["wrong"] + made["quarantined"]
    assert 0 < made["mean_score"] <= 1
    assert sum(s["share"] for s in made["shares"]) == pytest.approx(1)
    before = factory.ask("select * from records order by problem_id", "--release", "small@1")
    assert len(before) == made["records"]
    assert all(record["missing"] == [] for record in before)
    cost_adds_up(factory, made)

    begun = time.monotonic()
    again = factory.run()
    assert again.code == 0 and again.json["nothing_to_do"], again.err
    assert time.monotonic() - begun < 30
    assert len(factory.ask("select * from releases")) == 1

    other = factory.run("--seed", "8")
    assert other.json["release"] == "small@2", other.err

    factory.write_problems(18)
    more = factory.run()
    assert more.json["release"] == "small@3", more.err
    assert more.json["problems"] == 18
    run_id = more.json["run_id"]
    decoded = factory.ask(
        f"select count(distinct problem_id) as n from trajectories where run_id = '{run_id}'"
    )
    assert decoded == [{"n": 10}], "the eight problems of the first run were decoded again"
    assert more.json["tokens_reused"] == made["tokens_proposed"], "what they had cost is told apart"
    assert more.json["tokens_proposed"] > more.json["tokens_reused"]

    listed = factory.cord("releases", "--json").json
    assert [row["release"] for row in listed] == ["small@1", "small@2", "small@3"]
    after = factory.ask("select * from records order by problem_id", "--release", "small@1")
    assert after == before
    assert factory.cord("verify", "small@1").code == 0
    assert factory.cord("verify", "small@3").code == 0

    exported = factory.cord("export", "small@1", "out.jsonl", "--format", "sft")
    assert exported.code == 0, exported.err
    rows = [
        json.loads(line) for line in (factory.folder / "out.jsonl").read_text().split("\n") if line
    ]
    assert len(rows) == made["records"]
    assert [m["role"] for m in rows[0]["messages"]] == ["user", "assistant"]
    assert rows[0]["messages"][1]["content"].startswith("<think>\n### Step 1.")

    states = {r["run_id"]: r["state"] for r in factory.cord("runs", "--json").json}
    assert set(states.values()) == {"completed"} and len(states) == 3
    status = factory.cord("status", made["run_id"], "--json").json
    assert all(s["decoded"] and s["verified"] for s in status["shards"])
    shares = factory.ask(
        "select teacher, count(*) n, avg(score) s from steps where kept group by 1"
    )
    assert {row["teacher"] for row in shares} == {"ada", "ben", "cyd"}


def cost_adds_up(factory: Factory, made: dict[str, Any]) -> None:
    """One run's tables and its summary tell the same of what it cost, by teacher and in all."""
    for part in (made, *made["shares"]):
        assert part["tokens_proposed"] == part["tokens_kept"] + part["tokens_thrown_away"]
        assert 0 < part["cached_tokens"] < part["prompt_tokens"]
        assert part["cache_hits"] == part["cached_tokens"] / part["prompt_tokens"]
    shares = {share["teacher"]: share for share in made["shares"]}
    assert set(shares) == {"ada", "ben", "cyd"}
    for name in ("tokens_proposed", "tokens_kept", "prompt_tokens", "cached_tokens"):
        assert made[name] == sum(share[name] for share in shares.values())
    assert made["tokens_per_record"] == made["tokens_proposed"] / made["records"]
    assert made["tokens_reused"] == 0 and made["servers"] == [] and made["missing"] == {}

    figures = "sum(tokens) t, sum(prompt_tokens) p, sum(cached_tokens) c, sum(seconds) s"
    paid = factory.ask(f"select teacher, sum(proposals) n, {figures} from costs group by 1")
    scored = factory.ask(f"select teacher, count(*) n, {figures} from steps group by 1")
    best = "select sum(tokens) t from trajectories where rank = 0"
    assert factory.ask(best) == [{"t": made["tokens_kept"]}]
    for row in paid:
        share = shares[row["teacher"]]
        assert row["t"] == share["tokens_proposed"] and row["p"] == share["prompt_tokens"]
        assert row["n"] == share["proposals"] == share["requests"], "none is asked twice"
        assert 0 < share["seconds_busy"] <= made["seconds"] + 1
    for row in scored:  # without those that were rejected, or written by another one as well
        all_of_it = next(cost for cost in paid if cost["teacher"] == row["teacher"])
        assert all(0 < row[figure] <= all_of_it[figure] for figure in "ntpc")
        assert 0 < row["s"] <= all_of_it["s"] + 1e-6
    rejected = sum(row["n"] for row in paid) - sum(row["n"] for row in scored)
    assert rejected >= 0
    # Each scored step is one request of the meta-prover, and the empty prefix of each problem.
    scorings = sum(row["n"] for row in scored) + made["problems"]
    assert made["meta_prover"]["requests"] == scorings
    assert made["meta_prover"]["seconds_busy"] > 0
    assert made["meta_prover"]["engine"].startswith("cord:meta on embedded")


def test_the_same_recipe_gives_the_same_bytes_however_it_is_carried_out(factory: Factory) -> None:
    def content(lake: str, **run: int) -> str:
        factory.write_recipe(run={"seed": 7, "retries": 1, **run})
        # Not forked, so that each has a seed of `hash` of its own.
        process = factory.start("run", "recipe.yaml", "--lake", str(factory.folder / lake))
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        listed = factory.cord("releases", "--json", "--lake", str(factory.folder / lake)).json
        return str(listed[0]["content_hash"])

    assert content("a", shards=1, workers=1) == content("b", shards=5, workers=3, in_flight=3)


def records(factory: Factory) -> Rows:
    columns = "problem_id, answer, messages, teachers, score"
    return list(factory.ask(f"select {columns} from records order by problem_id"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, prefect_server: dict[str, str]) -> Rows:
    """The records of the slow recipe, run in peace."""
    folder = tmp_path_factory.mktemp("undisturbed")
    lake = str(folder / "lake")
    factory = Factory(folder, {**prefect_server, "CORD_LAKE": lake}, lake)
    decode_slowly(factory)
    ran = factory.run()
    assert ran.code == 0, ran.err
    return records(factory)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_ctrl_c_stops_gently_and_resume_gives_what_an_undisturbed_run_gives(
    factory: Factory, number: signal.Signals, undisturbed: Rows
) -> None:
    decode_slowly(factory)
    process = factory.start("run", "recipe.yaml", "--run-id", "stopped")
    wait_until_decoding(factory, process)
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "cord resume stopped" in err
    assert factory.cord("status", "stopped", "--json").json["state"] == "interrupted"
    resumed = factory.cord("resume", "stopped", "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.json["release"] == "small@1"
    assert records(factory) == undisturbed != []


def test_a_contract_that_does_not_hold_stops_publication(factory: Factory) -> None:
    assert factory.run().code == 0
    factory.write_recipe(contract={"min_correct": 1.0, "max_record_tokens": 20})
    refused = factory.run()
    assert refused.code == 3
    assert "max_record_tokens" in refused.err or "tokens" in refused.err
    assert "p0" in refused.err, "the offending rows are named"
    assert [r["release"] for r in factory.cord("releases", "--json").json] == ["small@1"]
    assert factory.run().code == 3, "the same command says the same"
    assert factory.cord("runs", "--json").json[0]["state"] == "refused"


def test_bad_rows_are_quarantined_with_their_reason_and_good_ones_go_on(factory: Factory) -> None:
    factory.write_problems(
        4,
        [
            b'{"id": "torn", "question": "Start 1',
            b'{"id": "p000", "question": "Start 2; +3; +4; *2; rev", "answer": "1"}',
            b'{"id": "empty", "question": "Start 3; +3; +4; *2; rev", "answer": ""}',
            b'{"id": "bytes", "question": "\xff\xfe", "answer": "1"}',
            json.dumps({"id": "long", "question": "x" * 9000, "answer": "1"}).encode(),
        ],
    )
    ran = factory.run()
    assert ran.code == 0, ran.err
    assert ran.json["problems"] == 9
    assert ran.json["quarantined"] >= 5
    reasons = {
        row["source"].rsplit(":", 1)[-1]: row["reason"]
        for row in factory.ask(
            "select source, reason from quarantine where stage in ('read', 'problems')"
        )
    }
    assert set(reasons) == {"5", "6", "7", "8", "9"}
    assert "p000" in reasons["6"] or "duplicate" in reasons["6"].lower()
    assert "context" in reasons["9"]


def test_an_ephemeral_prefect_server_is_enough(factory: Factory) -> None:
    factory.environment.pop("PREFECT_API_URL")
    factory.environment["PREFECT_HOME"] = str(factory.folder / "prefect")
    factory.write_problems(2)
    ran = factory.run()
    assert ran.code == 0, ran.err
    assert ran.json["problems"] == 2


def test_what_cord_init_writes_runs_as_it_is(factory: Factory) -> None:
    assert factory.cord("init", "mine").code == 0
    assert factory.cord("init", "mine").code == 2, "nothing is overwritten"
    ran = factory.cord("run", "mine/recipe.yaml", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["release"] == "my-data@1"
