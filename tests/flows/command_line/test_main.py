"""The door of the command line: exit codes, one JSON document, no traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import flows.command_line
from cord.lake import FORMAT

CORD = Path(sys.executable).parent / "cord"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cord", *arguments])
    with pytest.raises(SystemExit) as end:
        flows.command_line.main()
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["query"], 2, "sql"),
        (["query", "select 1", "--format", "xml"], 2, "--format"),
        (["runs", "--lake", "/nowhere/lake"], 1, "/nowhere/lake"),
        (["status", "../x", "--lake", "LAKE"], 2, "../x"),
        (["teachers", "train", "LAKE/lake.json/x", "--quick"], 2, "lake.json/x"),
        (["init", "LAKE/lake.json/x"], 2, "lake.json/x"),
        (["releases", "nobody", "--lake", "LAKE"], 2, "nobody"),
    ],
)
def test_a_failure_is_one_json_document(
    arguments: list[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "lake.json").write_text(json.dumps({"format": FORMAT}))
    filled = [word.replace("LAKE", str(tmp_path)) for word in arguments]
    assert call(monkeypatch, *filled, "--json") == code
    told = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == code and said in told["error"]


def test_help_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "query", "--help") == 0
    assert "Views:" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_a_reader_that_has_enough_ends_it_in_peace(form: str, tmp_path: Path) -> None:
    (tmp_path / "lake.json").write_text(json.dumps({"format": FORMAT}))
    sql = "select range, repeat('x', 500) t from range(20000)"
    process = subprocess.Popen(
        [CORD, "query", sql, "--format", form, "--lake", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    said = process.stderr.read().decode()
    assert process.wait(60) == 0, said
    assert "Traceback" not in said and "Broken" not in said
