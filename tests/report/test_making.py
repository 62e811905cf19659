"""A report is made of any run, keeps its budget, and is the same for the same run."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from report.conftest import Write, blocks_of
from s3_server import S3Server

from benchmarks.service.written_run import Written, reasoning, write_run
from cord.errors import UsageError
from cord.lake import Lake, open_lake
from cord.lake.tables.query import query
from cord.lake.tables.schemas import PROBLEMS
from cord.recipe import SearchSettings
from cord.report import report_key, write_report
from cord.report.blocks import packed


def unpacked(block: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(block)))


def page(lake: Lake, out: Path, **options: Any) -> dict[str, Any]:
    """The data of a report that is written to `out`."""
    write_report(lake, "some", out, **options)
    return {name: unpacked(block) for name, block in blocks_of(out.read_text()).items()}


def test_every_problem_has_its_line_and_its_tree(write: Write, tmp_path: Path) -> None:
    lake = write(problems=60)
    made = write_report(lake, "some", tmp_path / "r.html")
    data = page(lake, tmp_path / "r.html")
    assert (made.problems, made.whole_trees, made.paths, made.unlisted) == (60, 60, 0, 0)
    assert made.bytes == (tmp_path / "r.html").stat().st_size
    lines, places = data["lines-0"], data["places"]
    assert len(lines["id"]) == 60
    for line, name in enumerate(lines["id"]):
        problem = data[f"trees-{places['block'][line]}"][places["within"][line]]
        assert problem["id"] == name and problem["whole"]
    assert data["about"]["authors"] == ["qwq", "r1qwen", "phi4"]


def test_the_same_run_gives_the_same_bytes(write: Write, tmp_path: Path) -> None:
    lake = write()
    for name in ("a.html", "b.html"):
        write_report(lake, "some", tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_small_budget_gives_trees_then_paths_then_lines(write: Write, tmp_path: Path) -> None:
    lake = write(problems=80, characters=600)
    budget = 150_000
    named = "some-00033"
    data = page(lake, tmp_path / "r.html", problems=[named], budget_bytes=budget)
    places = data["places"]
    assert 0 < places["whole"] < 40
    assert places["paths"] > 0
    assert -1 in places["block"], "some have their line only"
    size = sum(len(packed(block)) for block in data.values())
    assert size < budget * 1.15
    line = data["lines-0"]["id"].index(named)
    assert data[f"trees-{places['block'][line]}"][places["within"][line]]["whole"]
    tiny = page(lake, tmp_path / "r.html", problems=[named], budget_bytes=1)
    assert tiny["places"]["whole"] == 1, "a named one is there whatever it takes"


def test_problems_that_an_earlier_run_decoded_have_their_trees(
    write: Write, tmp_path: Path
) -> None:
    lake = write("some", problems=10)
    _list_again(lake, "later", "some")
    write_report(lake, "later", tmp_path / "r.html")
    data = blocks_of((tmp_path / "r.html").read_text())
    trees = unpacked(data["trees-0"])
    assert {problem["madeBy"] for problem in trees} == {"some"}
    assert all(problem["nodes"]["text"] for problem in trees)


def _list_again(lake: Lake, run_id: str, source: str) -> None:
    """A run that decodes nothing: its problems are those of another one."""
    settings = SearchSettings(width=3, max_steps=5)
    write_run(lake, Written(run_id, 0, settings, reasoning(60)))
    rows = query(lake, f"select * from problems where run_id = '{source}'").to_pylist()
    moved = [{**row, "run_id": run_id, "shard": -1} for row in rows]
    lake.tables.append_once("problems", pa.Table.from_pylist(moved, PROBLEMS), f"{run_id}/reused")


def test_an_empty_run_and_one_at_work_are_told(write: Write, tmp_path: Path) -> None:
    lake = write(problems=0)
    data = page(lake, tmp_path / "r.html")
    assert data["places"]["block"] == []
    settings = SearchSettings(width=3, max_steps=5)
    write_run(lake, Written("going", 4, settings, reasoning(60)), state="running", ended_at=None)
    write_report(lake, "going", tmp_path / "g.html")
    assert "This run is not settled" in (tmp_path / "g.html").read_text()


def test_into_the_lake_itself(write: Write, tmp_path: Path) -> None:
    lake = write()
    made = write_report(lake, "some")
    assert made.path.endswith(report_key("some")) and made.path.startswith(lake.uri)
    stored = lake.store.read(report_key("some"))
    assert stored is not None and len(stored) == made.bytes


def test_what_is_not_there_is_said_and_nothing_is_left_behind(write: Write, tmp_path: Path) -> None:
    lake = write()
    with pytest.raises(UsageError, match="there is no run 'none'"):
        write_report(lake, "none", tmp_path / "r.html")
    with pytest.raises(UsageError, match=r"has no problem 'p9'; it has, for example: some-0000"):
        write_report(lake, "some", tmp_path / "r.html", problems=["p9"])
    with pytest.raises(UsageError, match=r"cannot be written to .*nowhere"):
        write_report(lake, "some", tmp_path / "nowhere" / "r.html")
    assert not list(tmp_path.glob("*r.html*"))


def test_half_a_surrogate_pair_is_carried_as_an_escape() -> None:
    assert unpacked(packed(["\ud800 \x00 é 𝄞"])) == ["\ud800 \x00 é 𝄞"]


def test_a_lake_on_s3(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in moto_s3.environment().items():
        monkeypatch.setenv(name, value)
    lake = open_lake(f"s3://{moto_s3.new_bucket()}/lake", create=True)
    write_run(lake, Written("some", 4, SearchSettings(width=2, max_steps=3), reasoning(30)))
    made = write_report(lake, "some")
    assert made.path == f"{lake.uri}/runs/some/report.html" and made.whole_trees == 4
    assert len(page(lake, tmp_path / "r.html")["trees-0"]) == 4
