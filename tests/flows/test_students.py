"""`cord distill` and `cord evaluate` as a user runs them: from a run to a student to its Pass@1."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from factory import Factory

pytestmark = pytest.mark.slow
TRAIN = {"epochs": 2, "batch": 4, "learning_rate": 1e-3, "gpus": 0}


def write(factory: Factory, file: str, /, **recipe: Any) -> str:
    (factory.folder / file).write_text(yaml.safe_dump(recipe, sort_keys=False))
    return file


def lessons(factory: Factory, count: int) -> None:
    """Conversations as `cord export --format sft` writes them."""
    rows = [json.loads(line) for line in factory.write_problems(count).read_text().splitlines()]
    text = "<think>\n### Step 1. 1+1=2\n</think>\n\nThe final answer is \\boxed{2}"
    said = [
        {
            "problem_id": row["id"],
            "messages": [
                {"role": "user", "content": row["question"]},
                {"role": "assistant", "content": text},
            ],
        }
        for row in rows
    ]
    lines = "".join(json.dumps(one) + "\n" for one in said)
    (factory.folder / "sft.jsonl").write_text(lines)


def test_from_a_run_to_a_student_to_its_measure(factory: Factory) -> None:
    made = factory.run().json
    of_release = write(
        factory, "d.yaml", name="best", student="cord:ada", data={"release": "small"}, train=TRAIN
    )
    of_run = write(
        *(factory, "r.yaml"),
        name="kept",
        student="cord:ada",
        data={"run": made["run_id"]},
        train={**TRAIN, "epochs": 1},
    )
    checked = factory.cord("check", of_release, "--offline")
    assert checked.code == 0 and "is valid" in checked.err, checked.err
    best = factory.cord("distill", of_release, "--json")
    assert best.code == 0, best.err
    assert best.json["data"] == "release small@1" and best.json["examples"] == made["records"]
    assert best.json["steps"] == 2 * -(-made["records"] // 4)
    kept = factory.cord("distill", of_run, "--json", "--out", "kept")
    finished = factory.ask("select count(distinct problem_id) n from trajectories where finished")
    assert kept.code == 0 and kept.json["examples"] == finished[0]["n"] >= made["records"]

    begun = time.monotonic()
    again = factory.cord("distill", of_release, "--json")
    assert again.json["nothing_to_do"] and time.monotonic() - begun < 30
    assert again.json["fingerprint"] == best.json["fingerprint"]

    evaluation = write(
        *(factory, "e.yaml"),
        name="both",
        models=[
            {"name": "ada", "model": "cord:ada"},
            {"name": "best", "model": "students/best", "engine": "embedded"},
        ],
        benchmarks=[
            {
                "name": "demo",
                "problems": {"path": "problems.jsonl"},
                "samples": 2,
                "max_tokens": 150,
            }
        ],
    )
    first = factory.cord("evaluate", evaluation, "--json")
    assert first.code == 0, first.err
    results = {one["model"]: one for one in first.json["results"]}
    assert [one["sampled"] for one in results.values()] == [16, 16]
    assert results["ada"]["difference"] is None
    difference = results["best"]["difference"]
    wanted = results["best"]["pass_at_1"] - results["ada"]["pass_at_1"]
    assert difference["to"] == "ada" and difference["mean"] == pytest.approx(wanted)
    kept_results = json.loads((Path(factory.lake) / "evaluations" / "both.json").read_text())
    assert kept_results == first.json
    shown = factory.cord("evaluate", evaluation)
    assert "nothing to sample" in shown.err and "8 x 2" in shown.out, shown.err


@pytest.mark.long
def test_ctrl_c_and_kill_9_cost_a_training_little(factory: Factory) -> None:
    lessons(factory, 40)
    recipe = write(
        *(factory, "d.yaml"),
        name="s",
        student="cord:ada",
        data={"file": "sft.jsonl"},
        train={**TRAIN, "epochs": 40},
    )
    work = factory.folder / "students" / "s" / "training"

    def until_a_checkpoint(number: signal.Signals) -> tuple[int, str, int]:
        before = {path.name for path in work.glob("checkpoint-*/trainer_state.json")}
        process = factory.start("distill", recipe)
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and process.poll() is None:
            found = set(work.glob("checkpoint-*/trainer_state.json"))
            if {path.parent.name for path in found} - before:
                break
            time.sleep(0.1)
        os.kill(process.pid, number)
        _, err = process.communicate(timeout=120)
        steps = [int(path.name.split("-")[1]) for path in work.glob("checkpoint-*")]
        return process.returncode, err, max(steps)

    code, err, reached = until_a_checkpoint(signal.SIGINT)
    assert code == 130 and "the same command goes on" in err and "Traceback" not in err, err
    code, _, further = until_a_checkpoint(signal.SIGKILL)
    assert code == -signal.SIGKILL and further >= reached
    ended = factory.cord("distill", recipe, "--json")
    assert ended.code == 0 and ended.json["steps"] == 400, ended.err
    assert ended.json["last_loss"] < ended.json["first_loss"]
    assert not list(work.glob("checkpoint-*"))


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({"data": {"file": "nowhere.jsonl"}}, "nowhere.jsonl: cannot be read as conversations"),
        ({"data": {"file": "torn.jsonl"}}, "torn.jsonl:2: no conversation"),
        ({"data": {"release": "nobody"}}, "there is no lake"),
        ({"student": "cord:nobody"}, "cord ships no model named cord:nobody"),
        ({"student": "nowhere"}, "student: no folder nowhere"),
        ({"train": {"gpus": 0, "max_tokens": 2}}, "longer than train.max_tokens (2)"),
        ({"train": {"deepspeed": 3}}, "deepspeed"),
    ],
)
def test_what_a_training_cannot_do_is_one_sentence(
    factory: Factory, recipe: dict[str, Any], sentence: str
) -> None:
    lessons(factory, 4)
    torn = (factory.folder / "sft.jsonl").read_text().splitlines()[0] + '\n{"messages": []}\n'
    (factory.folder / "torn.jsonl").write_text(torn)
    base = {"name": "s", "student": "cord:ada", "data": {"file": "sft.jsonl"}, "train": TRAIN}
    ran = factory.cord("distill", write(factory, "d.yaml", **{**base, **recipe}), "--json")
    assert ran.code in (1, 2) and sentence in ran.json["error"], ran.err
    assert "Traceback" not in ran.err


def test_a_benchmark_or_model_that_is_not_there_is_one_sentence(factory: Factory) -> None:
    base = {
        "name": "e",
        "models": [{"name": "a", "model": "cord:ada"}],
        "benchmarks": [{"name": "b", "problems": {"path": "problems.jsonl"}}],
    }
    for changed, sentence in (
        ({"benchmarks": [{"name": "b", "problems": {"path": "no.jsonl"}}]}, "there is no file"),
        ({"models": [{"name": "a", "model": "cord:nobody"}]}, "cord ships no model"),
        (
            {
                "models": [{"name": "a", "model": "m", "url": "http://127.0.0.1:9/v1"}],
                "server_deadline_s": 0.5,
            },
            "http://127.0.0.1:9/v1",
        ),
    ):
        ran = factory.cord("evaluate", write(factory, "e.yaml", **{**base, **changed}), "--json")
        assert ran.code in (1, 2) and sentence in ran.json["error"], ran.err
