"""Problems over the network: from an S3 server, and from a small hub, both on loopback."""

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import boto3
import pytest
from moto.server import ThreadedMotoServer

from cord.errors import ProblemsError
from cord.problems import ProblemSet, read_problems
from cord.recipe import ProblemSource

LINES = b"".join(
    json.dumps({"id": n, "question": f"{n}+1?", "answer": n + 1}).encode() + b"\n" for n in range(3)
)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket on a server that the environment points at; its name."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for key, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(key, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="problems")
    client.put_object(Bucket="problems", Key="set/b.jsonl.gz", Body=gzip.compress(LINES))
    client.put_object(Bucket="problems", Key="set/a.jsonl", Body=LINES[:-10])
    client.put_object(Bucket="problems", Key="set/notes.txt", Body=b"no problems")
    client.put_object(Bucket="problems", Key="settled.jsonl", Body=LINES)
    yield "problems"
    server.stop()


def read(path: str) -> ProblemSet:
    return read_problems(ProblemSource(path=path), Path())


def test_an_object_on_s3_is_read_under_its_own_address(bucket: str) -> None:
    found = read(f"s3://{bucket}/set/b.jsonl.gz")
    assert [problem.answer for problem in found.problems] == ["1", "2", "3"]
    assert found.problems[0].source == "s3://problems/set/b.jsonl.gz:1"


def test_a_prefix_on_s3_is_read_like_a_folder(bucket: str) -> None:
    found = read(f"s3://{bucket}/set")
    assert [problem.id for problem in found.problems] == ["0", "1", "2"]
    assert [bad.source for bad in found.quarantined] == [
        "s3://problems/set/a.jsonl:3",
        "s3://problems/set/b.jsonl.gz:1",
        "s3://problems/set/b.jsonl.gz:2",
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("s3://problems/none.jsonl", "there is no object s3://problems/none.jsonl"),
        ("s3://nowhere/p.jsonl", "S3 says NoSuchBucket"),
        ("s3:///p.jsonl", "names no bucket"),
    ],
)
def test_what_is_not_on_s3_is_said_in_one_sentence(bucket: str, path: str, message: str) -> None:
    with pytest.raises(ProblemsError, match=message):
        read(path)


def test_s3_without_credentials_says_which_to_set(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    with pytest.raises(ProblemsError, match="AWS_ACCESS_KEY_ID"):
        read(f"s3://{bucket}/set")


class _Hub(BaseHTTPRequestHandler):
    """The few answers of the Hugging Face hub that reading `ours/sums` takes."""

    protocol_version = "HTTP/1.1"
    COMMIT: ClassVar = "a" * 40
    FILE: ClassVar = {"type": "file", "path": "train.jsonl", "size": len(LINES), "oid": "b" * 40}

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body, headers = 404, b"{}", {"X-Error-Code": "EntryNotFound"}
        if "ours/sums" not in self.path:
            headers = {"X-Error-Code": "RepoNotFound"}
        elif self.path.endswith("/train.jsonl"):
            status, body, headers = 200, LINES, {"ETag": f'"{self.FILE["oid"]}"'}
        elif "/tree/" in self.path:
            status, body = 200, json.dumps([self.FILE]).encode()
        elif self.path.startswith("/api/datasets/"):
            about = {"_id": "1", "id": "ours/sums", "sha": self.COMMIT, "private": False}
            about |= {"siblings": [{"rfilename": "train.jsonl"}], "tags": []}
            status, body = 200, json.dumps(about).encode()
        self.send_response(status)
        for name, value in {**headers, "X-Repo-Commit": self.COMMIT}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


READ_FROM_HUB = """
import sys
from pathlib import Path
from cord.errors import ProblemsError
from cord.problems import read_problems
from cord.recipe import ProblemSource
path, split = sys.argv[1:]
try:
    found = read_problems(ProblemSource(source="hf", path=path, split=split, limit=2), Path())
    print([(p.id, p.question, p.answer, p.source) for p in found.problems])
except ProblemsError as error:
    print(error)
"""


def read_from_hub(tmp_path: Path, path: str, split: str = "train", **env: str) -> str:
    """In a process of its own: the hub's address is read when its library is imported."""
    done = subprocess.run(
        [sys.executable, "-c", READ_FROM_HUB, path, split],
        env={**os.environ, "HF_HOME": str(tmp_path), **env},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


@pytest.mark.slow
def test_a_data_set_on_the_hub_is_read_by_its_name(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub = f"http://127.0.0.1:{server.server_port}"
    try:
        assert read_from_hub(tmp_path, "ours/sums", HF_ENDPOINT=hub).strip() == str(
            [("0", "0+1?", "1", "ours/sums:1"), ("1", "1+1?", "2", "ours/sums:2")]
        )
        assert "Available splits: ['train']" in read_from_hub(
            tmp_path, "ours/sums", "test", HF_ENDPOINT=hub
        )
        assert "there is no data set no/such on the hub" in read_from_hub(
            tmp_path, "no/such", HF_ENDPOINT=hub
        )
    finally:
        server.shutdown()


def test_a_hub_out_of_reach_is_said_in_one_sentence(tmp_path: Path) -> None:
    said = read_from_hub(tmp_path, "GAIR/LIMO", HF_HUB_OFFLINE="1")
    assert "the hub's data set GAIR/LIMO cannot be reached; look at the network" in said
