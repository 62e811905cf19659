"""A small grid as a user runs it: two variants, a student of each, stopped and gone on with."""

import json
import signal
import time
from pathlib import Path

import pytest
import yaml
from factory import Factory

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ablate")]

ABLATION = {
    "name": "grid",
    "base": "recipe.yaml",
    "seeds": [1],
    "fidelity": "miniature",
    "always": {"contract.min_correct": 0},
    "variants": {"cord": {}, "greedy": {"search.strategy": "greedy"}},
    "tables": [
        {"title": "Search", "paper": "search", "rows": {"greedy": "greedy", "beam": "cord"}}
    ],
    "claims": [{"says": "beam > greedy", "order": ["cord", "greedy"]}],
    "pictured": ["cord"],
    "students": {"recipe": "student.yaml", "evaluate": "evaluate.yaml", "variants": ["cord"]},
}
STUDENT = {
    "name": "student",
    "student": "cord:student",
    "data": {"release": "small"},
    "train": {"epochs": 2, "learning_rate": 1e-3, "gpus": 0, "max_tokens": 512},
}
EVALUATE = {
    "name": "measured",
    "models": [{"name": "start", "model": "cord:student"}],
    "benchmarks": [{"name": "held-out", "problems": {"path": "problems.jsonl"}, "max_tokens": 160}],
}


def grid(factory: Factory, problems: int = 8) -> None:
    factory.write_problems(problems)
    factory.write_recipe()
    for name, content in (("ablation", ABLATION), ("student", STUDENT), ("evaluate", EVALUATE)):
        (factory.folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def test_a_grid_that_is_stopped_goes_on_and_reports(factory: Factory) -> None:
    grid(factory)
    process = factory.start("ablate", "ablation.yaml", "--lake", factory.lake)
    deadline = time.monotonic() + 180
    while not list(Path(factory.lake).glob("runs/*/measures.json")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    assert not (Path(factory.lake) / "ablations" / "grid" / "report.html").exists()
    first = {path: path.read_bytes() for path in Path(factory.lake).glob("runs/*/measures.json")}

    partly = factory.cord("ablate", "ablation.yaml", "--report", "--json", "--lake", factory.lake)
    assert partly.code == 1
    assert "greedy, seed 1: not done" in partly.err

    done = factory.cord("ablate", "ablation.yaml", "--json", "--lake", factory.lake)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert set(told["variants"]) == {"cord", "greedy"}
    assert told["variants"]["cord"]["problems"] == 8
    assert 0 <= told["variants"]["cord"]["fidelity"]["mean"] <= 1
    assert set(told["students"]) == {"model start", "cord"}
    assert told["students"]["cord"]["records"] > 0
    assert not told["missing"]
    assert all(path.read_bytes() == content for path, content in first.items())

    folder = Path(factory.lake) / "ablations" / "grid"
    page = (folder / "report.html").read_text()
    assert "Search" in page and "beam &gt; greedy" in page and "data:image/svg+xml" in page
    assert (folder / "teachers-by-progress.svg").read_text().startswith("<svg")

    again = factory.cord("ablate", "ablation.yaml", "--json", "--lake", factory.lake)
    assert again.code == 0, again.err
    assert json.loads(again.out) == told
    runs = factory.ask("select count(*) as n from runs where state = 'completed'")
    assert runs == [{"n": 2}]


def together(factory: Factory) -> None:
    """Four cells and two students, for two processes."""
    grid(factory)
    students = {**ABLATION["students"], "variants": ["cord", "greedy"]}
    content = {**ABLATION, "name": "together", "at_once": 2, "seeds": [3, 4], "students": students}
    (factory.folder / "ablation.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def holders(factory: Factory) -> set[int]:
    """Processes that held a run of the lake."""
    leases = Path(factory.lake).glob("runs/*/lease/*.json")
    return {json.loads(lease.read_text())["holder"]["pid"] for lease in leases}


@pytest.mark.long
def test_two_processes_share_a_grid_end_together_and_go_on(factory: Factory) -> None:
    together(factory)
    process = factory.start("ablate", "ablation.yaml", "--lake", factory.lake)
    deadline = time.monotonic() + 180
    while len(holders(factory)) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.communicate()
    (other,) = holders(factory) - {process.pid}
    while Path(f"/proc/{other}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    done = factory.cord("ablate", "ablation.yaml", "--json", "--lake", factory.lake)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert not told["missing"]
    assert set(told["variants"]) == {"cord", "greedy"}
    assert set(told["students"]) == {"model start", "cord", "greedy"}
    assert factory.ask("select count(*) as n from runs where state = 'completed'") == [{"n": 4}]


def test_a_cell_that_fails_is_named_and_the_others_are_done(factory: Factory) -> None:
    grid(factory, problems=3)
    content = {**ABLATION, "variants": {"cord": {}, "gone": {"problems.path": "gone.jsonl"}}}
    for key in ("tables", "claims", "students"):
        del content[key]
    (factory.folder / "ablation.yaml").write_text(yaml.safe_dump(content))
    ran = factory.cord("ablate", "ablation.yaml", "--json", "--lake", factory.lake)
    assert ran.code == 1
    assert "1 cells are missing" in ran.err and "gone.jsonl" in ran.err
    assert set(json.loads(ran.out.splitlines()[0])["variants"]) == {"cord"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base": "nowhere.yaml"}, "there is no such recipe file"),
        ({"variants": {"cord": {"search.strategi": "x"}}}, "variant cord"),
        (
            {"students": {"recipe": "no.yaml", "evaluate": "evaluate.yaml", "variants": ["cord"]}},
            "no",
        ),
    ],
)
def test_a_mistake_is_said_before_anything_is_run(
    factory: Factory, change: dict, said: str
) -> None:
    grid(factory, problems=3)
    content = {**ABLATION, "tables": [], "claims": [], **change}
    (factory.folder / "ablation.yaml").write_text(yaml.safe_dump(content))
    ran = factory.cord("ablate", "ablation.yaml", "--lake", factory.lake)
    assert ran.code == 2
    assert said in ran.err
    assert not (Path(factory.lake) / "runs").exists()
