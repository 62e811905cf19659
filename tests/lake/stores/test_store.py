"""Promises of a store, kept on a folder and on S3."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3_server import S3Server

from benchmarks.chaos.servers import free_port
from cord.errors import LakeError
from cord.lake.stores.folder import FolderStore
from cord.lake.stores.store import checked_key, open_store


def test_what_is_written_is_read_back(uri: str) -> None:
    store = open_store(uri)
    assert store.read("a/b.json") is None
    store.write("a/b.json", b"one")
    store.write("a/b.json", b"two")
    assert store.read("a/b.json") == b"two"
    assert store.read("a") is None
    assert store.digest("a/b.json") == (sha256(b"two").hexdigest(), 3)
    assert store.digest("a/none") is None


def test_a_key_is_created_only_once(uri: str) -> None:
    store = open_store(uri)
    assert store.create("releases/v1", b"first")
    assert not store.create("releases/v1", b"second")
    assert store.read("releases/v1") == b"first"


def test_of_sixteen_racers_one_creates_the_key(uri: str) -> None:
    store = open_store(uri)
    start = threading.Barrier(16)

    def race(racer: int) -> bool:
        start.wait()
        return store.create("lock", str(racer).encode())

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(race, range(16)))
    assert won.count(True) == 1
    assert store.read("lock") == str(won.index(True)).encode()


def test_what_is_deleted_is_gone_and_deleting_it_again_is_no_error(uri: str) -> None:
    store = open_store(uri)
    for key in ("a/1", "a/2", "b/1"):
        store.write(key, b"x")
    store.delete(["a/1", "b/1", "b/never"])
    store.delete(["a/1"])
    assert store.list() == ["a/2"]
    store.write("b/1", b"again")
    assert store.read("b/1") == b"again"


def test_keys_are_listed_by_string_prefix_in_order(uri: str) -> None:
    store = open_store(uri)
    assert store.list() == []
    for key in ("b/2", "b/10", "ba/1", "a", "b/c/d"):
        store.write(key, b"")
    assert store.list() == ["a", "b/10", "b/2", "b/c/d", "ba/1"]
    assert store.list("b/") == ["b/10", "b/2", "b/c/d"]
    assert store.list("b") == ["b/10", "b/2", "b/c/d", "ba/1"]
    assert store.list("nothing/") == []


@pytest.mark.parametrize(
    "key", ["../x", "a/../../x", "/etc/passwd", "a//b", "", ".", "a\\b", "a\0"]
)
def test_a_key_cannot_leave_the_lake(folder_store: FolderStore, key: str) -> None:
    for touch in (folder_store.read, folder_store.uri, folder_store.digest):
        with pytest.raises(LakeError, match="would leave the lake"):
            touch(key)
    with pytest.raises(LakeError, match="would leave the lake"):
        folder_store.write(key, b"")


@given(st.text())
def test_whatever_the_key_its_path_stays_inside(key: str) -> None:
    try:
        path = os.path.normpath(f"/lake/{checked_key(key)}")
    except LakeError:
        return
    assert path.startswith("/lake/")


def test_a_reader_never_sees_half_a_file(folder_store: FolderStore) -> None:
    contents = {bytes([letter]) * 300_000 for letter in b"abc"}
    done = threading.Event()

    def write() -> None:
        for _ in range(10):
            for content in contents:
                folder_store.write("key", content)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert folder_store.read("key") in {None, *contents}
    writer.join()
    assert folder_store.list() == ["key"]


def test_a_file_that_a_crash_left_half_written_is_not_listed(folder_store: FolderStore) -> None:
    folder_store.write("a/key", b"")
    Path(folder_store.uri(f"a/.{'0' * 32}.partial")).write_bytes(b"half")
    assert folder_store.list() == ["a/key"]


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    for uri in ("s3://AKIA:hush@bucket/lake", "gs://hush@bucket/lake"):
        with pytest.raises(LakeError, match="AWS_SECRET_ACCESS_KEY") as caught:
            open_store(uri)
        assert "hush" not in str(caught.value) and "AKIA" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("gs://bucket/lake", "a lake is a folder or s3://bucket/prefix"),
        ("s3://", "names no valid bucket"),
        ("s3://Bucket/x", "names no valid bucket"),
        ("s3://bucket/../x", "would leave the lake"),
        ("s3://bucket/a?b", "use plain names"),
        ("  ", "is empty"),
        ("/tmp/100%20", "choose another folder"),
        ("/tmp/a[1]", "choose another folder"),
    ],
)
def test_an_address_that_cannot_be_a_lake_is_refused(uri: str, said: str) -> None:
    with pytest.raises(LakeError, match=said):
        open_store(uri)


def test_a_file_address_is_a_folder(tmp_path: Path) -> None:
    assert open_store(f"file://{tmp_path}/a%20lake").root == f"{tmp_path}/a lake"


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("")
    with pytest.raises(LakeError, match=r"tmp.*/lake: a file stands where a folder is needed"):
        open_store(str(tmp_path / "lake")).write("key", b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights for a moment")
def test_a_folder_without_permission_is_named() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        os.seteuid(65534)
        try:
            with pytest.raises(LakeError, match=r"permission denied.*choose another --lake"):
                open_store(f"{folder}/lake").create("key", b"")
        finally:
            os.seteuid(0)


def test_a_bucket_that_is_not_there_is_named(
    moto_s3: S3Server, use_s3: Callable[[S3Server], str]
) -> None:
    use_s3(moto_s3)
    with pytest.raises(LakeError, match=r"there is no bucket 'absent'.*make it"):
        open_store("s3://absent/lake").read("lake.json")


def test_missing_credentials_are_named(
    moto_s3: S3Server, use_s3: Callable[[S3Server], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = use_s3(moto_s3)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(LakeError, match=r"no usable S3 credentials.*set AWS_ACCESS_KEY_ID"):
        open_store(uri)


def test_an_endpoint_that_refuses_is_reported_within_seconds(
    moto_s3: S3Server, use_s3: Callable[[S3Server], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = use_s3(moto_s3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    began = time.monotonic()
    with pytest.raises(LakeError, match=r"cannot reach http://127.0.0.1.*check AWS_ENDPOINT_URL"):
        open_store(uri).read("lake.json")
    assert time.monotonic() - began < 10


def test_an_endpoint_that_is_no_address_is_named(
    moto_s3: S3Server, use_s3: Callable[[S3Server], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = use_s3(moto_s3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "gpu-1")
    with pytest.raises(LakeError, match=r"not a web address.*check AWS_ENDPOINT_URL"):
        open_store(uri)


@pytest.mark.slow
def test_an_endpoint_that_never_accepts_is_given_up_within_half_a_minute(
    moto_s3: S3Server, use_s3: Callable[[S3Server], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = use_s3(moto_s3)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # fill the queue: further connections hang
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(LakeError, match="cannot reach"):
            open_store(uri).read("lake.json")
        for one in waiting:
            one.close()
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_wrong_credentials_are_refused_without_naming_them(
    ceph_s3: S3Server, use_s3: Callable[[S3Server], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = use_s3(ceph_s3)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with pytest.raises(LakeError, match="refused the credentials") as caught:
        open_store(uri).read("lake.json")
    assert "not-the-secret" not in str(caught.value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(LakeError, match="refused the credentials"):
        open_store(uri).read("lake.json")


@pytest.fixture
def folder_store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "lake")
