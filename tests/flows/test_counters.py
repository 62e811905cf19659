"""A run's counters: what Prometheus reads of the process that carries it out."""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest
from factory import Factory, free_port
from prometheus_client.parser import text_string_to_metric_families

from flows import counters
from tasks.board import Board


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has served nothing yet."""
    monkeypatch.setattr(counters, "_tried", False)


def values(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def page(port: int) -> str:
    return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text


def test_what_the_board_holds_is_served_while_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port, board = free_port(), Board()
    monkeypatch.setenv(counters.PORT, str(port))
    monkeypatch.setattr(counters._counters, "_board", board)
    with counters.counted("run-1"):
        board.begin(8)
        board.enter("decoding")
        board.done, board.quarantined, board.rounds, board.tokens = 3, 1, 20, 900
        read = values(page(port))
    assert read["cord_problems", "run-1"] == 8
    assert read["cord_problems_done", "run-1"] == 3
    assert read["cord_problems_quarantined", "run-1"] == 1
    assert read["cord_rounds_total", "run-1"] == 20
    assert read["cord_sampled_tokens_total", "run-1"] == 900
    assert read["cord_stage", "run-1", "decoding"] == 1
    assert not values(page(port)), "between two runs there is nothing to say"


def test_nothing_is_served_where_no_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(counters.PORT, raising=False)
    monkeypatch.setattr(counters, "start_http_server", lambda *_: pytest.fail("it served"))
    with counters.counted("run-2"):
        pass


@pytest.mark.parametrize("wanted", ["no", "0", "70000", "9470-9469", "9469,9470", "-1"])
def test_what_is_no_port_is_said_and_the_run_goes_on(
    wanted: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(counters.PORT, wanted)
    with caplog.at_level(logging.WARNING), counters.counted("run-3"):
        pass
    assert counters.PORT in caplog.text
    assert repr(wanted) in caplog.text


def taken() -> socket.socket:
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    held.listen()
    return held


def test_a_port_that_is_taken_is_said_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with taken() as held:
        port = held.getsockname()[1]
        monkeypatch.setenv(counters.PORT, str(port))
        with caplog.at_level(logging.WARNING), counters.counted("run-4"):
            pass
    assert f"{port}" in caplog.text
    assert "goes on without" in caplog.text


def test_runs_beside_each_other_take_the_next_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with taken() as held:
        port = held.getsockname()[1]
        monkeypatch.setenv(counters.PORT, f"{port}-{port + 20}")
        with counters.counted("run-5"):
            found = {p for p in range(port + 1, port + 21) if _serves(p, "run-5")}
    assert len(found) == 1


def _serves(port: int, run: str) -> bool:
    try:
        return run in page(port)
    except httpx.HTTPError:
        return False


def pages(port: int, until: subprocess.Popen[str]) -> Iterator[str]:
    """What is served, again and again, as long as the process lives."""
    while until.poll() is None:
        try:
            yield page(port)
        except httpx.HTTPError:
            time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_a_real_run_is_counted_and_promtool_likes_the_page(factory: Factory) -> None:
    port, name = free_port(), f"counted-{uuid.uuid4().hex[:8]}"
    factory.write_recipe(name=name)
    factory.write_problems(8)
    factory.environment[counters.PORT] = str(port)
    process = factory.start("run", "recipe.yaml")
    last, text = {}, ""
    try:
        for text in pages(port, process):
            read = values(text)
            if any(key[0] == "cord_rounds_total" and value for key, value in read.items()):
                last = read
                break
            time.sleep(0.05)
        _, said = process.communicate(timeout=200)
    finally:
        process.kill()
    assert process.returncode == 0, said
    (run,) = {key[1] for key in last if key[0] == "cord_problems"}
    assert run.startswith(name)
    assert last["cord_problems", run] == 8
    assert {"ada", "ben"} <= {key[1] for key in last if key[0] == "cord_asker_requests_total"}
    if promtool := shutil.which("promtool"):
        ask = [promtool, "check", "metrics"]
        done = subprocess.run(ask, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
