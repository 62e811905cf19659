"""What a run shows on Prefect's dashboard, asked of the server behind it."""

import json
from pathlib import Path
from typing import Any

import prefect_api
import pytest
from factory import Factory
from s3_server import S3Server

pytestmark = pytest.mark.slow


class Dashboard:
    """What the Prefect server knows of one run."""

    def __init__(self, factory: Factory, run_id: str) -> None:
        self._api = factory.environment["PREFECT_API_URL"]
        (self.flow_run,) = self._find("flow_runs", flow_runs={"name": {"any_": [run_id]}})
        mine = {"flow_runs": {"id": {"any_": [self.flow_run["id"]]}}}
        self.task_runs = self._find("task_runs", **mine)
        made = self._find("artifacts", **mine)
        self.artifacts = {
            artifact["key"].removeprefix(f"{run_id}-"): artifact
            for artifact in made
            if artifact["key"]
        }
        self.kept_by_prefect = [artifact for artifact in made if not artifact["key"]]
        """Results that were persisted: Prefect lists them among the artifacts."""
        about = {"flow_run_id": {"any_": [self.flow_run["id"]]}}
        self.logs = self._find("logs", logs=about)

    def _find(self, what: str, **filters: Any) -> list[dict[str, Any]]:
        path = f"{what}/filter"
        return list(prefect_api.ask(self._api, "POST", path, json={**filters, "limit": 200}))

    def task_names(self) -> set[str]:
        return {run["name"] for run in self.task_runs}


def test_a_run_and_a_refused_one_are_told_truly(factory: Factory, moto_s3: S3Server) -> None:
    factory.write_problems(3)
    # On S3, so that there is a secret that could leak.
    factory.lake = f"s3://{moto_s3.new_bucket()}/lake"
    factory.environment.update(moto_s3.environment(), CORD_LAKE=factory.lake)
    assert factory.run("--run-id", "shown").code == 0
    shown = Dashboard(factory, "shown")
    assert shown.flow_run["state"]["type"] == "COMPLETED"
    assert shown.flow_run["parameters"] == {"lake": factory.lake, "run_id": "shown"}
    whole = ("shard", "select", "deduplicate", "decontaminate", "check", "publish", "report")
    stages = {f"{stage} shown" for stage in whole}
    shards = {f"{stage} shown shard {n}" for stage in ("decode", "verify") for n in (0, 1)}
    assert shown.task_names() == stages | shards
    assert {run["state"]["type"] for run in shown.task_runs} == {"COMPLETED"}

    assert shown.artifacts["progress"]["type"] == "progress"
    assert shown.artifacts["progress"]["data"] == 100
    for stage in ("shards", "decode", "verify", "records", "contract"):
        assert shown.artifacts[stage]["type"] == "table"
        assert json.loads(shown.artifacts[stage]["data"]), stage
    assert "small@1" in shown.artifacts["release"]["data"]
    assert "| problems |" in shown.artifacts["summary"]["data"]
    assert "thrown away" in shown.artifacts["summary"]["data"]
    cost = json.loads(shown.artifacts["cost"]["data"])
    assert [row["teacher"] for row in cost[-2:]] == ["all", "meta-prover"]
    assert cost[-2]["tokens proposed"] == sum(row["tokens proposed"] for row in cost[:-2]) > 0

    factory.write_recipe(contract={"min_correct": 1.0, "max_record_tokens": 1})
    assert factory.run("--run-id", "turned-down").code == 3
    refused = Dashboard(factory, "turned-down")
    assert refused.flow_run["state"]["type"] == "FAILED"
    assert "max_record_tokens" in refused.flow_run["state"]["message"]
    assert {run["state"]["type"] for run in refused.task_runs} == {"COMPLETED"}, "none failed"
    assert "publish turned-down" not in refused.task_names()
    assert refused.artifacts["progress"]["data"] == 100
    broken = [row for row in json.loads(refused.artifacts["contract"]["data"]) if not row["holds"]]
    assert broken and all(row["must"] for row in broken)
    assert "release" not in refused.artifacts

    told = json.dumps([vars(shown), vars(refused)])
    assert moto_s3.secret_key not in told
    assert "pickle" not in told
    assert shown.kept_by_prefect == [], "results are the lake's"
    # The error of a failed flow Prefect keeps all the same: one sentence, as JSON.
    (error,) = refused.kept_by_prefect
    kept = json.loads(Path(error["data"]["storage_key"]).read_text())
    assert kept == {"__exc_type__": "cord.errors.ContractBroken", "message": kept["message"]}
