"""Immutable versions: none lost, none twice, whatever crashes or races."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.errors import LakeError, UsageError
from cord.lake import Lake, open_lake
from cord.lake.releases.manifest import Manifest, content_hash
from cord.lake.releases.release import (
    Published,
    dataset_key,
    find_release,
    list_releases,
    manifest_key,
    newest_releases,
    publish,
)
from cord.lake.tables.delta import open_table
from cord.lake.tables.query import query
from cord.lake.tables.schemas import RECORDS

Rows = Callable[..., pa.Table]


def release(lake: Lake, rows: pa.Table, run_id: str = "run", name: str = "demo") -> Published:
    return publish(lake, name, rows, run_id, "fingerprint", {"success": True}, {"problems": 3})


def test_a_release_carries_what_a_reader_needs_to_trust_it(lake: Lake, make_rows: Rows) -> None:
    lake.tables.append_once("steps", make_rows("steps", ["p1"]), "run/0")
    manifest = release(lake, make_rows("records", ["p1", "p2"])).manifest
    assert (manifest.label, manifest.parent, manifest.rows) == ("demo@1", None, 2)
    assert manifest.tables == lake.tables.versions()
    assert (manifest.contract, manifest.counts) == ({"success": True}, {"problems": 3})
    assert sum(file.rows for file in manifest.files) == 2
    for file in manifest.files:
        assert lake.store.digest(file.path) == (file.sha256, file.bytes)
    assert list_releases(lake) == [manifest]


def test_the_commit_names_run_recipe_counts_and_contract(
    folder_lake: Lake, make_rows: Rows
) -> None:
    manifest = release(folder_lake, make_rows("records", ["p1"])).manifest
    table = open_table(folder_lake.store, dataset_key("demo"))
    assert table is not None
    commit = table.history(1)[0]
    assert commit["version"] == manifest.delta_version
    said = {name: commit[name] for name in ("run_id", "recipe", "counts", "contract")}
    assert said == {
        "run_id": "run",
        "recipe": "fingerprint",
        "counts": '{"problems":3}',
        "contract": '{"success":true}',
    }


def test_the_same_records_are_not_published_twice(lake: Lake, make_rows: Rows) -> None:
    first = release(lake, make_rows("records", ["p1", "p2"], run_id="one"), "one")
    again = release(lake, make_rows("records", ["p2", "p1"], run_id="two"), "two")
    assert first.new
    assert again == Published(first.manifest, new=False)
    assert len(list_releases(lake, "demo")) == 1


def test_a_resumed_run_does_not_publish_over_a_later_one(
    folder_lake: Lake, make_rows: Rows
) -> None:
    old = release(folder_lake, make_rows("records", ["p1"]), "old")
    release(folder_lake, make_rows("records", ["p1", "p2"]), "new")
    assert release(folder_lake, make_rows("records", ["p1"]), "old") == Published(
        old.manifest, new=False
    )
    # Another run that comes back to the old content is news all the same.
    assert release(folder_lake, make_rows("records", ["p1"]), "third").manifest.label == "demo@3"


def test_each_version_replaces_the_rows_and_names_its_parent(lake: Lake, make_rows: Rows) -> None:
    release(lake, make_rows("records", ["p1", "p2"]), "one")
    second = release(lake, make_rows("records", ["p3"]), "two").manifest
    assert (second.version, second.parent, second.rows) == (2, 1, 1)
    assert [file.rows for file in second.files] == [1]


def test_of_four_publishers_at_once_each_gets_a_version(lake: Lake, make_rows: Rows) -> None:
    start = threading.Barrier(4)

    def work(publisher: int) -> Published:
        own = open_lake(lake.uri)
        names = [f"p{publisher}-{row}" for row in range(publisher + 1)]
        start.wait()
        return release(own, make_rows("records", names), f"run-{publisher}")

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(work, range(4)))
    released = list_releases(lake, "demo")
    assert [manifest.version for manifest in released] == [1, 2, 3, 4]
    assert [manifest.parent for manifest in released] == [None, 1, 2, 3]
    assert all(one.new for one in made)
    assert sorted(one.manifest.version for one in made) == [1, 2, 3, 4]
    for publisher, one in enumerate(made):  # nobody's rows are mixed with another's
        assert sum(file.rows for file in one.manifest.files) == publisher + 1


def test_of_four_publishers_of_the_same_records_one_publishes(
    folder_lake: Lake, make_rows: Rows
) -> None:
    start = threading.Barrier(4)
    rows = make_rows("records", ["p1", "p2"])

    def work(publisher: int) -> Published:
        start.wait()
        return release(folder_lake, rows, "run")

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(work, range(4)))
    assert [one.new for one in made].count(True) == 1
    assert len(list_releases(folder_lake, "demo")) == 1


class DiesBeforeManifest:
    """A store whose process dies when a release's manifest is about to be written."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def create(self, key: str, data: bytes) -> bool:
        raise KeyboardInterrupt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_crash_between_commit_and_manifest_is_mended_by_the_next_publish(
    lake: Lake, make_rows: Rows
) -> None:
    rows = make_rows("records", ["p1"])
    with pytest.raises(KeyboardInterrupt):
        release(Lake(DiesBeforeManifest(lake.store), lake.tables), rows)
    assert list_releases(lake) == []
    mended = release(lake, rows)
    assert mended.new
    assert mended.manifest.version == 1
    table = open_table(lake.store, dataset_key("demo"))
    assert table is not None
    assert table.version() == mended.manifest.delta_version == 1  # not committed again


def test_a_crash_that_is_never_mended_hinders_nobody(folder_lake: Lake, make_rows: Rows) -> None:
    broken = Lake(DiesBeforeManifest(folder_lake.store), folder_lake.tables)
    with pytest.raises(KeyboardInterrupt):
        release(broken, make_rows("records", ["p1"]), "crashed")
    made = release(folder_lake, make_rows("records", ["p2", "p3"]), "other").manifest
    assert (made.version, made.rows, sum(file.rows for file in made.files)) == (1, 2, 2)


def test_a_release_without_records_is_possible(folder_lake: Lake) -> None:
    manifest = release(folder_lake, RECORDS.empty_table()).manifest
    assert (manifest.rows, manifest.files) == (0, ())


@pytest.mark.parametrize("which", ["demo", "demo@2", "demo@v2", "demo@v000002"])
def test_a_release_is_found_by_every_spelling(
    folder_lake: Lake, make_rows: Rows, which: str
) -> None:
    release(folder_lake, make_rows("records", ["p1"]))
    second = release(folder_lake, make_rows("records", ["p2"])).manifest
    assert find_release(folder_lake, which) == second


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("demo@3", "there is no release demo@3; there are demo@1"),
        ("dmo", "there is no data set 'dmo' in .*; did you mean 'demo'"),
        ("zebra@1", "there is no data set 'zebra' in .*; there are demo"),
        ("demo@new", "write NAME or NAME@VERSION"),
        ("../demo", "there is no data set '../demo'"),
    ],
)
def test_a_release_that_is_not_there_names_what_is(
    folder_lake: Lake, make_rows: Rows, which: str, said: str
) -> None:
    release(folder_lake, make_rows("records", ["p1"]))
    with pytest.raises(UsageError, match=said):
        find_release(folder_lake, which)


def test_an_empty_lake_says_that_nothing_was_released(folder_lake: Lake) -> None:
    with pytest.raises(UsageError, match="nothing was released yet"):
        find_release(folder_lake, "demo")


def test_a_name_that_would_leave_its_folder_is_refused(folder_lake: Lake) -> None:
    with pytest.raises(LakeError, match="cannot be a data set's name"):
        release(folder_lake, RECORDS.empty_table(), name="../demo")


def test_data_sets_are_listed_apart(folder_lake: Lake, make_rows: Rows) -> None:
    for name in ("demo", "demo-2"):
        release(folder_lake, make_rows("records", ["p1"]), name=name)
    release(folder_lake, make_rows("records", ["p2"]))
    assert [one.label for one in list_releases(folder_lake, "demo")] == ["demo@1", "demo@2"]
    assert [one.label for one in newest_releases(folder_lake)] == ["demo@2", "demo-2@1"]


def test_a_broken_manifest_is_named(folder_lake: Lake) -> None:
    folder_lake.store.write(manifest_key("demo", 1), b'{"name": "demo"}')
    with pytest.raises(LakeError, match=r"v000001.json is not a release's manifest \(version"):
        list_releases(folder_lake)


def test_a_manifest_survives_its_own_json(folder_lake: Lake, make_rows: Rows) -> None:
    manifest = release(folder_lake, make_rows("records", ["p1"])).manifest
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


@given(st.permutations(range(6)), st.integers(1, 6))
def test_the_content_hash_knows_rows_and_not_their_order_or_files(
    order: list[int], batch_rows: int
) -> None:
    rows = pa.Table.from_pylist(
        [{"problem_id": f"p{n // 2}", "rank": n % 2, "score": n / 8} for n in range(6)],
        schema=RECORDS,
    )
    whole = content_hash(rows.to_batches())
    shuffled = rows.take(order)
    assert content_hash(shuffled.to_batches(max_chunksize=batch_rows)) == whole
    assert content_hash(rows.slice(1).to_batches()) != whole
    assert content_hash(pa.concat_tables([rows, rows.slice(5)]).to_batches()) != whole


def test_a_stream_of_rows_becomes_several_files_and_the_same_release(
    folder_lake: Lake, make_rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cord.lake.tables.data_files._FILE_ROWS", 2)
    rows = make_rows("records", [f"p{number}" for number in range(5)])
    opened: list[int] = []

    def stream() -> list[pa.RecordBatch]:
        opened.append(1)
        return rows.to_batches(max_chunksize=1)

    manifest = publish(folder_lake, "demo", stream, "run", "f", {"holds": True}, {}).manifest
    assert [file.rows for file in manifest.files] in ([2, 2, 1], [2, 1, 2], [1, 2, 2])
    assert manifest.rows == manifest.profile["rows"] == 5 and len(opened) == 2
    assert manifest.content_hash == content_hash(rows.to_batches())
    assert query(folder_lake, "select count(*) as n from records").to_pylist() == [{"n": 5}]
    assert not publish(folder_lake, "demo", rows, "run", "f", {"holds": True}, {}).new


def test_a_release_keeps_what_it_was_checked_against_and_made_of(
    folder_lake: Lake, make_rows: Rows
) -> None:
    checked = {"words": 13, "sets": [{"name": "aime24", "sha256": "0"}]}
    rows = make_rows("records", ["p1"])
    made = publish(
        folder_lake, "demo", rows, "run", "f", {}, {}, decontamination=checked, source={"cord": "1"}
    )
    found = find_release(folder_lake, "demo@1")
    assert found == made.manifest
    assert found.decontamination == checked and found.source == {"cord": "1"}


def test_records_that_are_not_as_many_as_were_counted_are_no_release(
    folder_lake: Lake, make_rows: Rows
) -> None:
    with pytest.raises(LakeError, match="1 records of run run are there, and 2 were counted"):
        publish(folder_lake, "demo", make_rows("records", ["p1"]), "run", "f", {}, {"rows": 2})
    assert list_releases(folder_lake) == []
