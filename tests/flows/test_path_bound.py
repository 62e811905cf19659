"""`publish.path`: a bound on the whole path of a record, set on what is decoded already."""

from __future__ import annotations

import pytest
from factory import Factory

pytestmark = pytest.mark.slow


def test_a_bound_on_paths_sets_aside_what_lies_below_and_decodes_nothing_again(
    factory: Factory,
) -> None:
    free = factory.run()
    assert free.code == 0, free.err
    assert free.json["below_path"] is None and free.json["records"] > 1
    worth = "exp(list_avg(list_transform(t.scores, lambda s: ln(s))))"
    of_records = (
        f"select r.problem_id, {worth} as worth from records r "
        "join trajectories t on t.key = r.key and t.rank = r.rank order by worth"
    )
    paths = factory.ask(of_records)
    middle = (paths[0]["worth"] + paths[-1]["worth"]) / 2

    factory.write_recipe(publish={"path": {"by": "mean", "at_least": middle}})
    bound = factory.run()
    assert bound.code == 0, bound.err
    made = bound.json
    assert made["release"] == "small@2"
    assert made["tokens_reused"] == made["tokens_proposed"] == free.json["tokens_proposed"]
    below = {row["problem_id"] for row in paths if row["worth"] < middle}
    assert made["below_path"] == len(below) > 0
    assert made["records"] == free.json["records"] - len(below)
    assert made["problems"] == 8 == made["records"] + made["wrong"] + made["quarantined"]
    aside = factory.ask(
        "select problem_id, reason from quarantine where stage = 'records' "
        f"and run_id = '{made['run_id']}'"
    )
    assert {row["problem_id"] for row in aside} == below
    assert all("publish.path asks" in row["reason"] for row in aside)
    assert factory.cord("verify", "small@2").code == 0
    assert factory.cord("verify", "--lake").code == 0
