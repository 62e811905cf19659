"""`cord export` and `cord card`, as a user calls them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from huggingface_hub import DatasetCard

import flows.command_line
from cord.lake import open_lake
from cord.lake.releases.release import publish
from cord.lake.tables.schemas import RECORDS


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake with the release demo@1: one record."""
    uri = str(tmp_path_factory.mktemp("lake") / "lake")
    said = {"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}
    row = {"problem_id": "p", "rank": 0, "messages": list(said), "score": 0.5, "run_id": "run"}
    rows = pa.Table.from_pylist([row], schema=RECORDS)
    publish(open_lake(uri, create=True), "demo", rows, "run", "f", {"holds": True}, {})
    return uri


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cord", *arguments])
    with pytest.raises(SystemExit) as end:
        flows.command_line.main()
    return int(end.value.code or 0)


def test_a_data_set_is_written_and_told_of(
    lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "set")
    asked = ("export", "demo@1", "--format", "dataset", out, "--lake", lake, "--json")
    assert call(monkeypatch, *asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"release": "demo@1", "format": "dataset", "path": out, "rows": 1}
    assert sorted(p.name for p in Path(out).iterdir()) == ["README.md", "data"]
    assert call(monkeypatch, *asked) == 2
    assert "--force" in capsys.readouterr().out
    assert call(monkeypatch, *asked, "--force") == 0


def test_a_card_is_printed_as_it_is_stored_with_a_data_set(
    lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "card", "demo", "--lake", lake) == 0
    assert DatasetCard(capsys.readouterr().out).data.to_dict()["pretty_name"] == "demo"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "sft"], "OUT is missing"),
        (["o.jsonl", "--force"], "--format dataset"),
        (["o", "--format", "dataset", "--private"], "--push-to-hub"),
        (["o", "--format", "dataset", "--most", "3"], "step-dpo"),
        (["o", "--format", "parquet"], "there is no export format"),
        (["s3://b/p", "--push-to-hub", "me/x"], "leave OUT out"),
    ],
)
def test_what_does_not_go_together_is_said(
    arguments: list[str],
    said: str,
    lake: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, "export", "demo@1", *arguments, "--lake", lake) == 2
    assert said in capsys.readouterr().err
