"""A release as a data set: what `datasets.load_dataset` finds on a folder and on S3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features, load_dataset
from s3_server import S3Server

from cord.card import card
from cord.errors import CordError, LakeError, UsageError
from cord.export import dataset, write_dataset
from cord.lake import Lake, open_lake
from cord.lake.releases.manifest import Manifest
from cord.lake.stores.store import open_store
from cord.lake.tables.query import query
from cord.lake.tables.schemas import RECORDS

Released = tuple[Lake, Manifest]


@pytest.fixture
def on_s3(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """`s3://bucket/prefix` of an empty place, which this process can reach."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in moto_s3.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{moto_s3.new_bucket()}/some/set"


@pytest.fixture
def options(moto_s3: S3Server) -> dict[str, Any]:
    """What `load_dataset` is told of the server; keys come from the environment."""
    return {"endpoint_url": moto_s3.endpoint, "skip_instance_cache": True}


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of three rows."""
    monkeypatch.setattr(dataset, "FILE_ROWS", 3)


def rows_of(released: Released) -> list[dict[str, Any]]:
    lake, release = released
    listed = ", ".join(RECORDS.names)
    sql = f"select {listed} from records order by problem_id, rank"
    return list(query(lake, sql, release=release.label).to_pylist())


def loaded(where: str, cache: Path, **how: Any) -> Dataset:
    return load_dataset(where, split="train", cache_dir=str(cache), **how)


def test_a_folder_loads_with_every_row_and_column(
    released: Released, small_files: None, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "set"
    count = write_dataset(*released, str(out))
    number = -(-count // 3)
    assert count > 3
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")) == [
        "README.md",
        *(f"data/train-{n:05d}-of-{number:05d}.parquet" for n in range(number)),
    ]
    found = loaded(str(out), tmp_path / "cache")
    assert found.features == Features.from_arrow_schema(RECORDS)
    assert found.to_list() == rows_of(released)
    assert (out / "README.md").read_text("utf-8") == card(released[1])
    assert [path.name for path in out.parent.iterdir()] == ["set"], "nothing else is left"


def test_s3_loads_with_every_row_and_column(
    released: Released, small_files: None, on_s3: str, options: dict[str, Any], tmp_path: Path
) -> None:
    count = write_dataset(*released, on_s3)
    found = loaded(
        "parquet",
        tmp_path,
        data_files=f"{on_s3}/data/train-*.parquet",
        storage_options=options,
    )
    assert found.num_rows == count
    assert found.to_list() == rows_of(released)
    assert open_store(on_s3).read("README.md") == card(released[1]).encode()


def test_the_lakes_own_files_load(
    released: Released, on_s3: str, options: dict[str, Any], tmp_path: Path
) -> None:
    lake, release = released
    copy = open_store(on_s3)
    for key in lake.store.list():
        copy.write(key, lake.store.read(key) or b"")
    assert open_lake(on_s3)
    for store, told in ((lake.store, None), (copy, options)):
        files = [store.uri(file.path) for file in release.files]
        found = loaded("parquet", tmp_path, data_files=files, storage_options=told)
        names = [(row["problem_id"], row["rank"], row["messages"]) for row in found]
        wanted = [(r["problem_id"], r["rank"], r["messages"]) for r in rows_of(released)]
        assert sorted(names, key=str) == sorted(wanted, key=str)


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_only_force_writes_over_a_data_set(
    kind: str, released: Released, small_files: None, tmp_path: Path, request: Any
) -> None:
    out = str(tmp_path / "set") if kind == "folder" else request.getfixturevalue("on_s3")
    write_dataset(*released, out)
    first = open_store(out).list()
    with pytest.raises(UsageError, match="--force"):
        write_dataset(*released, out)
    request.getfixturevalue("monkeypatch").setattr(dataset, "FILE_ROWS", 1000)
    write_dataset(*released, out, force=True)
    assert open_store(out).list() == ["README.md", "data/train-00000-of-00001.parquet"]
    assert len(first) > 2
    open_store(out).write("thesis.txt", b"ten years")
    with pytest.raises(UsageError, match=r"'thesis\.txt', which no export wrote"):
        write_dataset(*released, out, force=True)
    assert open_store(out).read("thesis.txt") == b"ten years"


def break_after(monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    whole: Callable[..., Any] = dataset._files

    def broken(*arguments: Any) -> Any:
        for number, file in enumerate(whole(*arguments)):
            if number == files:
                raise LakeError("the lake went away")
            yield file

    monkeypatch.setattr(dataset, "_files", broken)


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_what_breaks_off_leaves_nothing(
    kind: str,
    released: Released,
    small_files: None,
    tmp_path: Path,
    request: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = str(tmp_path / "set") if kind == "folder" else request.getfixturevalue("on_s3")
    break_after(monkeypatch, 1)
    with pytest.raises(LakeError):
        write_dataset(*released, out)
    assert open_store(out).list() == []
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_stays_when_its_successor_breaks_off(
    released: Released, small_files: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "set"
    write_dataset(*released, str(out))
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    break_after(monkeypatch, 1)
    with pytest.raises(LakeError):
        write_dataset(*released, str(out), force=True)
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before


def test_what_cannot_be_a_place_is_said(released: Released, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(UsageError, match="is a file; name a folder"):
        write_dataset(*released, str(file))
    with pytest.raises(CordError, match="cannot be written"):
        write_dataset(*released, str(file / "set"))


def test_files_are_cut_by_size_and_rows(released: Released) -> None:
    _, release = released
    heavy = release.files[0].model_copy(update={"bytes": 4 << 30})
    of_4_kb = release.model_copy(update={"rows": 1_000_000, "files": (heavy,)})
    assert 50_000 < dataset._rows_of_a_file(of_4_kb) < 70_000, "256 MB of 4 KB"
    light = release.files[0].model_copy(update={"bytes": 1 << 20})
    of_1_byte = release.model_copy(update={"rows": 1_000_000, "files": (light,)})
    assert dataset._rows_of_a_file(of_1_byte) == 100_000
