"""What the paper compares with, as a user runs it: a judge scores, trajectories are merged."""

import pytest
from factory import Factory

pytestmark = pytest.mark.slow


def test_a_run_of_integration_with_a_judge_accounts_for_both(factory: Factory) -> None:
    factory.write_problems(4)
    search = {"strategy": "integration", "criterion": "binary", "width": 1, "max_tokens": 200}
    factory.write_recipe(search=search, integrator="ada", contract={"min_records": 0})
    ran = factory.run()
    assert ran.code == 0, ran.err
    assert ran.json["meta_prover"]["role"] == "judge"
    assert ran.json["meta_prover"]["requests"] > 0
    spent = factory.ask("select teacher, sum(proposals) as n from costs group by 1 order by 1")
    assert {row["teacher"]: row["n"] for row in spent} == {
        **dict.fromkeys(("ada", "ben", "cyd"), 4),
        "integrator": 4 - ran.json["quarantined"],
    }
    merged = factory.ask("select distinct teacher from steps where round = 1")
    assert {row["teacher"] for row in merged} <= {"integrator"}
    asked = factory.ask("select distinct question from problems")
    assert not any("Solution 1" in row["question"] for row in asked)
    decoded = factory.ask("select count(*) as n from trajectories where rank = 0")
    assert factory.run().code == 0
    assert factory.ask("select count(*) as n from trajectories where rank = 0") == decoded
