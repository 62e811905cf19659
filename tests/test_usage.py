"""What a run's processes asked of their models is noted in the lake, and summed."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from cord.engines.metering import ASKERS, Work
from cord.engines.vllm.metrics import Counters, MeteredServer
from cord.errors import LakeError
from cord.lake import Lake, open_lake
from cord.usage import Usage, noting_usage, usage_folder, usage_of


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"), create=True)


class Page(http.server.BaseHTTPRequestHandler):
    """`/metrics` whose counters all stand at `count`; a key is asked for."""

    count = 0
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        type(self).asked.append(f"{self.path} {self.headers['Authorization']}")
        names = ("prompt_tokens", "generation_tokens", "prefix_cache_queries", "prefix_cache_hits")
        body = "".join(f"vllm:{n}_total {type(self).count}\n" for n in names).encode()
        self.send_response(200 if self.headers["Authorization"] == "Bearer sesame" else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def work(who: str) -> None:
    ASKERS.of(who).begin()
    ASKERS.of(who).end()


def test_a_process_notes_what_was_asked_while_it_decoded(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGE_KEY", "sesame")
    monkeypatch.setattr("cord.usage.EVERY_S", 0.02)
    Page.count = 100
    with serving() as url:
        servers = [MeteredServer("page", url.strip, "PAGE_KEY"), MeteredServer("away", url.strip)]
        work("usage-ada")
        with noting_usage(lake, "r", servers):
            work("usage-ada")
            Page.count = 107
            written = threading.Event()
            for _ in range(500):  # a process that is killed has written this much
                if usage_of(lake, "r").servers["page"] == Counters(7, 7, 7, 7):
                    break
                written.wait(0.02)
        Page.count = 200
        work("usage-ada")
        with noting_usage(lake, "r", servers), noting_usage(lake, "r", servers):
            work("usage-ada")
            Page.count = 3  # started anew
    assert len(lake.store.list(usage_folder("r"))) == 1, "one document for each process"
    usage = usage_of(lake, "r")
    assert usage.askers["usage-ada"].requests == 2, "what was asked beside the run is not its own"
    assert usage.servers == {"page": Counters(10, 10, 10, 10), "away": None}
    assert Page.asked[0] == "/metrics Bearer sesame"
    (key,) = lake.store.list(usage_folder("r"))
    assert b"sesame" not in (lake.store.read(key) or b"")


def test_many_shards_at_once_are_one_process(lake: Lake) -> None:
    def shard(number: int) -> None:
        with noting_usage(lake, "many", []):
            work("usage-ben")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(shard, range(40)))
    assert usage_of(lake, "many").askers["usage-ben"].requests == 40


def test_the_processes_of_a_run_add_up_and_what_one_does_not_know_nobody_knows() -> None:
    one = Usage(
        askers={"ada": Work(2, 1.5)},
        servers={"a": Counters(1, 2, 3, 4), "b": Counters(), "c": None},
    )
    other = Usage(
        askers={"ada": Work(1, 1.0), "ben": Work(1, 9.0)},
        servers={"a": Counters(1, 1, 1, 1), "b": None},
    )
    both = one + other
    assert both.askers == {"ada": Work(3, 2.5), "ben": Work(1, 9.0)}
    assert both.servers == {"a": Counters(2, 3, 4, 5), "b": None, "c": None}


def test_a_run_that_noted_nothing_has_no_usage(lake: Lake) -> None:
    assert usage_of(lake, "nothing") == Usage()


def test_a_damaged_document_is_named(lake: Lake) -> None:
    lake.store.write(usage_folder("r") + "torn.json", b'{"askers": ')
    with pytest.raises(LakeError, match=r"usage/torn.json"):
        usage_of(lake, "r")


def test_a_lake_that_cannot_be_written_costs_the_accounts_and_not_the_run(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(key: str, data: bytes) -> None:
        raise LakeError("no space left")

    monkeypatch.setattr(lake.store, "write", refuse)
    with noting_usage(lake, "full", []):
        work("usage-cyd")
    assert "no space left" in caplog.text
