"""A source that changed between two runs: what is decoded, and what the next release holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from factory import STARTER, Factory
from s3_server import S3Server

from cord.errors import ContractBroken
from cord.miniature.problems import distinct
from cord.recipe_file import load_recipe
from flows.launch import prepare_refresh

pytestmark = pytest.mark.slow

Row = dict[str, Any]


def rows_of(factory: Factory) -> list[Row]:
    return [json.loads(line) for line in (factory.folder / "problems.jsonl").open()]


def write_rows(factory: Factory, rows: list[Row]) -> None:
    path = factory.folder / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def changed(rows: list[Row]) -> list[Row]:
    """The first withdrawn, the second another question, one more behind them."""
    spare = distinct("demo", 40, seed=6)
    asked = {row["question"] for row in rows}
    other, new = [p for p in spare if p.question not in asked][:2]
    _, second, *rest = rows
    return [
        {**second, "question": other.question, "answer": other.answer},
        *rest,
        {"id": "new", "question": new.question, "answer": new.answer},
    ]


def records(factory: Factory, release: str) -> dict[str, Row]:
    """Every column of a release's records, by problem."""
    rows = factory.ask("select * from records", "--release", release)
    return {row["problem_id"]: row for row in rows}


@pytest.fixture(params=["folder", "s3"])
def placed(request: pytest.FixtureRequest, factory: Factory) -> Factory:
    """A factory whose lake is on a folder, or on S3."""
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("moto_s3")
        factory.lake = f"s3://{server.new_bucket()}/lake"
        factory.environment.update(server.environment(), CORD_LAKE=factory.lake)
    return factory


def test_a_release_is_the_old_one_and_the_new_less_what_was_withdrawn(placed: Factory) -> None:
    name = f"grows{'-s3' if placed.lake.startswith('s3') else ''}"
    placed.write_recipe(name=name)
    placed.write_problems(8)
    assert placed.run().code == 0
    before = records(placed, f"{name}@1")
    write_rows(placed, changed(rows_of(placed)))

    planned = placed.run("--dry-run")
    assert planned.code == 0, planned.err
    plan = planned.json
    assert plan["base"]["release"] == f"{name}@1" and plan["basis"] == "lake"
    assert plan["changes"] == {
        "new": ["new"],
        "changed": ["p001"],
        "unchanged": 6,
        "withdrawn": ["p000"],
    }
    assert plan["to_decode"] == 2 and plan["tokens"] > 0 and plan["differences"] == []

    ran = placed.run()
    assert ran.code == 0, ran.err
    assert "1 new, 1 changed, 6 unchanged, 1 withdrawn; 2 to decode" in ran.err
    assert ran.json["run_id"] == plan["run_id"]
    decoded = placed.ask(
        f"select distinct problem_id from trajectories where run_id = '{plan['run_id']}' order by 1"
    )
    assert [row["problem_id"] for row in decoded] == ["new", "p001"]
    after = records(placed, f"{name}@2")
    kept = {id for id in before if id not in ("p000", "p001")}
    assert len(kept) >= 4 and {id: after[id] for id in kept} == {id: before[id] for id in kept}
    assert set(after) - kept <= {"p001", "new"} and "p000" not in after
    if "p001" in before and "p001" in after:
        assert after["p001"]["question"] != before["p001"]["question"]
    assert records(placed, f"{name}@1") == before


def test_a_source_that_goes_back_makes_a_release_again_and_one_that_shrinks_is_refused(
    factory: Factory,
) -> None:
    factory.write_recipe(name="back")
    factory.write_problems(6)
    first = rows_of(factory)
    assert factory.run().code == 0
    write_rows(factory, changed(first))
    assert factory.run().code == 0
    write_rows(factory, first)
    recipe = load_recipe(factory.recipe_path)

    def prepared() -> Any:
        launch = prepare_refresh(recipe, factory.folder, factory.lake)
        if launch.hold is not None:
            launch.hold.close()
        return launch

    launch = prepared()
    assert launch.done is None and launch.run_id.endswith("-after-2"), "v2 is not of this source"
    assert launch.plan.to_decode == 0
    resumed = factory.cord("resume", launch.run_id, "--json")
    assert resumed.code == 0 and resumed.json["release"] == "back@3", resumed.err
    assert records(factory, "back@3") == records(factory, "back@1")
    assert prepared().done.release == "back@3", "nothing is new"

    write_rows(factory, first[:2])
    with pytest.raises(ContractBroken, match=r"4 of the problems of back@3 \(67%\)"):
        prepared()
    assert factory.run("--dry-run").json["changes"]["withdrawn"] == [r["id"] for r in first[2:]]
    factory.write_recipe(name="back", contract={"max_withdrawn": 0.5})
    ran = factory.run()
    assert ran.code == 3 and "contract.max_withdrawn" in ran.err
    assert ran.json["withdrawn"] == 4
    assert len(factory.ask("select * from releases")) == 3, "nothing was published"


def test_a_newer_release_of_what_it_is_held_against_makes_another_run(factory: Factory) -> None:
    factory.write_recipe(name="held", deduplicate={"against": ["asked"]})
    factory.write_problems(4)
    missing = factory.run("--dry-run")
    assert missing.code == 2, missing.err
    assert "deduplicate.against names asked, and there is no lake" in missing.err
    missing = factory.run()
    assert missing.code == 2 and "there is no data set 'asked'" in missing.err, missing.err
    assert factory.cord("runs", "--json").json == [], "it is said before anything is decoded"

    rows = rows_of(factory)
    factory.write_recipe(name="asked")
    write_rows(factory, rows[:1])
    assert factory.run().code == 0
    factory.write_recipe(name="held", deduplicate={"against": ["asked"]})
    write_rows(factory, rows)
    first = factory.run()
    assert first.code == 0 and first.json["release"] == "held@1", first.err
    before = records(factory, "held@1")
    assert rows[0]["id"] not in before and len(before) == 3
    assert factory.run().json["run_id"] == first.json["run_id"], "nothing has changed"

    factory.write_recipe(name="asked")
    write_rows(factory, rows[:2])
    assert factory.run().code == 0
    factory.write_recipe(name="held", deduplicate={"against": ["asked"]})
    write_rows(factory, rows)
    planned = factory.run("--dry-run").json
    assert planned["to_decode"] == 0
    (difference,) = planned["differences"]
    assert difference["field"] == "deduplicate.against"
    assert (difference["before"], difference["after"]) == ("[asked@1]", "[asked@2]")
    second = factory.run()
    assert second.code == 0 and second.json["release"] == "held@2", second.err
    assert records(factory, "held@2") == {
        id: row for id, row in before.items() if id != rows[1]["id"]
    }


def test_a_changed_recipe_says_what_it_invalidates_and_only_that_is_made_again(
    factory: Factory,
) -> None:
    factory.write_recipe(name="recipes")
    factory.write_problems(4)
    assert factory.run().code == 0
    factory.write_recipe(
        name="recipes",
        verify={"domain": "math", "time_limit_s": 4},
        run={**STARTER["run"], "shards": 1},
    )
    plan = factory.run("--dry-run").json
    assert plan["to_decode"] == 0 and plan["invalid"]["trajectories"] == 0
    assert plan["invalid"]["verdicts"] > 0
    ran = factory.run()
    assert "verify.time_limit_s: 5.0 -> 4.0" in ran.err and "judged again" in ran.err
    assert "run.shards: 2 -> 1: no row of it is another" in ran.err
    factory.write_recipe(name="recipes", search={**STARTER["search"], "width": 2})
    told = factory.cord("run", "recipe.yaml", "--dry-run")
    assert "search.width: 4 -> 2" in told.err and "of another search" in told.err
    assert "4 │" in told.out, "all four are decoded again"


def test_a_dry_run_makes_no_lake(factory: Factory) -> None:
    factory.write_recipe(name="dry")
    factory.write_problems(3)
    ran = factory.run("--dry-run")
    assert ran.code == 0 and ran.json["base"] is None and ran.json["to_decode"] == 3
    assert not Path(factory.lake).exists()
    assert factory.run("--dry-run", "--run-id", "mine").code == 2
