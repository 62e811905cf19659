"""What S3 does to a lake: it either succeeds, or says one sentence, and nothing is half there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from s3_server import S3Server

from benchmarks import faulty_s3
from benchmarks.faulty_s3 import FaultyS3
from cord.errors import LakeError
from cord.lake import Lake, open_lake
from cord.lake.releases.audit import verify_release
from cord.lake.releases.release import list_releases, publish
from cord.lake.runs.staging import DecodedShard, load_staged, stage
from cord.lake.tables.query import query

Rows = Callable[..., pa.Table]
MINE, OTHERS = DecodedShard([{"by": 1}], [], [], []), DecodedShard([{"by": 2}], [], [], [])
ONCE = ["internal_error", "slow_down", "slow", "reset_midway", "lost_answer", "done_but_500"]
LASTING = {
    "internal_error": "keeps answering InternalError .* wait until it is well",
    "reset_midway": "cannot reach .* check AWS_ENDPOINT_URL and the network",
    "expired": "credentials for .* have expired .* renew them",
    "access_denied": "no permission for .* on s3://.* allow these credentials",
    "full": "has no room for .* make room",
}


@pytest.fixture(params=["moto", pytest.param("ceph", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(f"{request.param}_s3")
    return found


@pytest.fixture
def lake(
    uri_behind_proxy: str, proxy: FaultyS3, monkeypatch: pytest.MonkeyPatch, make_rows: Rows
) -> Lake:
    """A lake behind the proxy, with rows and a release in it; a silent server is given up soon."""
    monkeypatch.setenv("CORD_S3_TIMEOUT", "1")
    made = open_lake(uri_behind_proxy, create=True)
    made.store.write("key", b"x" * 5000)
    made.tables.append_once("steps", make_rows("steps", ["p1", "p2"]), "run/0")
    release(made, make_rows("records", ["p1"]), "run")
    proxy.counts.clear()
    return made


def release(lake: Lake, records: pa.Table, run_id: str) -> Any:
    return publish(lake, "demo", records, run_id, "fingerprint", {"success": True}, {})


def append(lake: Lake, make_rows: Rows, app_id: str) -> bool:
    return lake.tables.append_once("steps", make_rows("steps", ["p3"]), app_id)


@pytest.mark.parametrize("fault", ONCE)
def test_what_passes_is_not_felt(lake: Lake, proxy: FaultyS3, make_rows: Rows, fault: str) -> None:
    """Every kind of request meets the fault once."""
    store = lake.store
    for method in ("GET", "PUT", "DELETE"):
        proxy.aim(getattr(faulty_s3, fault), method, "/key")
    proxy.aim(getattr(faulty_s3, fault), "GET", "list-type=2")
    assert store.read("key") == b"x" * 5000
    store.write("key", b"again")
    assert "key" in store.list()
    store.delete(["key"])
    assert store.read("key") is None

    proxy.aim(getattr(faulty_s3, fault), "PUT", r"/steps/.*\.parquet")
    proxy.aim(getattr(faulty_s3, fault), "PUT", r"/steps/_delta_log/")
    assert append(lake, make_rows, "run/1")
    assert not append(lake, make_rows, "run/1")

    proxy.aim(getattr(faulty_s3, fault), "PUT", r"/datasets/.*/_delta_log/")
    proxy.aim(getattr(faulty_s3, fault), "PUT", r"/releases/")
    made = release(lake, make_rows("records", ["p1", "p2"]), "other")
    assert made.new and made.manifest.label == "demo@2"

    proxy.aim(getattr(faulty_s3, fault), "GET", "list-type=2")
    proxy.aim(getattr(faulty_s3, fault), "GET|HEAD", r"/steps/.*\.parquet")
    assert query(lake, "select count(*) n from steps").to_pylist() == [{"n": 3}]
    assert proxy.counts[fault] == 10


@pytest.mark.parametrize("fault", ["lost_answer", "done_but_500", "conflict"])
def test_a_create_whose_answer_was_lost_is_known_for_its_own(
    lake: Lake, proxy: FaultyS3, fault: str
) -> None:
    proxy.aim(getattr(faulty_s3, fault), "PUT", "/new")
    assert lake.store.create("new", b"mine")
    assert not lake.store.create("new", b"mine"), "another's of the same content is another's"
    assert lake.store.read("new") == b"mine"


def test_a_create_that_lost_the_race_is_not_taken_for_its_own(lake: Lake, proxy: FaultyS3) -> None:
    assert lake.store.create("new", b"same")
    proxy.aim(faulty_s3.internal_error, "PUT", "/new")  # so that it is repeated
    assert not lake.store.create("new", b"same")
    proxy.aim(faulty_s3.loses, "PUT", "/other")
    assert not lake.store.create("other", b"same")


def test_a_shard_whose_staging_lost_its_answer_is_staged_once(lake: Lake, proxy: FaultyS3) -> None:
    proxy.aim(faulty_s3.lost_answer, "PUT", "/shards/", times=None)
    with pytest.raises(LakeError, match="cannot reach"):
        stage(lake, "run", 0, MINE)
    proxy.calm()
    assert stage(lake, "run", 0, OTHERS) == MINE == load_staged(lake, "run", 0)


def test_a_new_lake_is_made_though_the_answer_was_lost(lake: Lake, proxy: FaultyS3) -> None:
    for fault in (faulty_s3.lost_answer, faulty_s3.internal_error):  # in the probe too
        proxy.aim(fault, "PUT", r"lake\.json", times=1)
    made = open_lake(f"{lake.uri}-2", create=True)
    assert made.store.list() == ["lake.json"]


@pytest.mark.parametrize("fault", ["cut_answer", "cut_silently"])
def test_half_an_answer_is_asked_for_again_and_never_taken_for_the_whole(
    lake: Lake, proxy: FaultyS3, fault: str
) -> None:
    half, whole = getattr(faulty_s3, fault), lake.store.digest("key")
    proxy.aim(half, "GET", "/key", times=2)
    assert lake.store.read("key") == b"x" * 5000
    proxy.aim(half, "GET", "/key", times=2)
    assert lake.store.digest("key") == whole
    proxy.aim(half, "GET", "/key", times=None)
    for read in (lake.store.read, lake.store.digest):
        with pytest.raises(LakeError, match=r"broke off its answer for s3://.*/key: check"):
            read("key")
    proxy.calm()
    proxy.aim(half, "GET", "list-type=2|_delta_log|parquet", times=None)
    with pytest.raises(LakeError, match=r"broke off its answer|could not be read"):
        query(lake, "select sum(tokens) from steps")
    with pytest.raises(LakeError, match="broke off its answer"):
        lake.tables.read("steps")


@pytest.mark.parametrize("fault", LASTING)
def test_what_lasts_is_said_in_one_sentence_and_leaves_nothing_half_published(
    lake: Lake, proxy: FaultyS3, make_rows: Rows, server: S3Server, fault: str
) -> None:
    store, records = lake.store, make_rows("records", ["p1", "p2"])
    works: dict[str, Callable[[], object]] = {
        "read": lambda: store.read("key"),
        "digest": lambda: store.digest("key"),
        "write": lambda: store.write("key", b"y" * 99),
        "create": lambda: store.create("new", b"y" * 99),
        "list": lambda: store.list(),
        "delete": lambda: store.delete(["key"]),
        "stage": lambda: stage(lake, "run", 0, MINE),
        "append": lambda: append(lake, make_rows, "run/1"),
        "publish": lambda: release(lake, records, "other"),
        "query": lambda: query(lake, "select count(*) from steps"),
        "open": lambda: open_lake(lake.uri),
    }
    for name, work in works.items():
        proxy.aim(getattr(faulty_s3, fault), times=None)
        with pytest.raises(LakeError, match=LASTING[fault]) as caught:
            work()
        said = str(caught.value)
        assert "\n" not in said and server.secret_key not in said, name
        proxy.calm()
    assert lake.tables.committed("steps", ["run/1"]) == set()
    assert [one.label for one in list_releases(lake)] == ["demo@1"]
    assert store.read("key") == b"x" * 5000


@pytest.mark.parametrize("where", [r"\.parquet", "_delta_log", "/releases/"])
def test_a_publication_that_failed_midway_is_repeated_as_if_nothing_had_been(
    lake: Lake, proxy: FaultyS3, make_rows: Rows, where: str
) -> None:
    records = make_rows("records", ["p1", "p2"])
    proxy.aim(faulty_s3.access_denied, "PUT", where, times=None)
    with pytest.raises(LakeError, match=r"no permission for PUT|no permission for PutObject"):
        release(lake, records, "other")
    assert [one.label for one in list_releases(lake)] == ["demo@1"]
    proxy.calm()
    made = release(lake, records, "other")
    assert (made.new, made.manifest.label, made.manifest.rows) == (True, "demo@2", 2)
    # The rows have no trajectories here; files, counts and hash must hold.
    assert all("trajectory" in said for said in verify_release(lake, made.manifest))


@pytest.mark.parametrize("server", ["moto"], indirect=True)  # it is the proxy that is silent
def test_a_server_that_never_answers_is_given_up(lake: Lake, proxy: FaultyS3) -> None:
    proxy.aim(faulty_s3.hang, "GET", "/key", times=None)
    with pytest.raises(LakeError, match=r"cannot reach .* \(ReadTimeoutError\)"):
        lake.store.read("key")
    proxy.aim(faulty_s3.hang, "PUT", "/key")
    lake.store.write("key", b"in the end")
    assert lake.store.read("lake.json")


def test_a_wrong_time_limit_is_named(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORD_S3_TIMEOUT", "soon")
    with pytest.raises(LakeError, match="CORD_S3_TIMEOUT is 'soon'; give seconds"):
        open_lake(lake.uri)
