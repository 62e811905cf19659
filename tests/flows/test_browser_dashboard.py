"""Prefect's dashboard in a real browser: a failed shard is found and resumed by one click; and what
the server does by itself for a run that is killed."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from browser import chromium, open_page
from factory import STARTER, Factory
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from prefect_process import PrefectProcess
from serve_process import Serving

from flows.launch import run_id_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser-dashboard")]
PATIENCE_MS = 60_000


class Receiver(BaseHTTPRequestHandler):
    """A chat room's webhook."""

    heard: list[dict[str, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.heard.append(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def webhook() -> Iterator[tuple[str, list[dict[str, str]]]]:
    heard: list[dict[str, str]] = []
    handler = type("Heard", (Receiver,), {"heard": heard})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/secret-room", heard
    server.shutdown()


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    home = tmp_path_factory.mktemp("dashboard")
    server = PrefectProcess(home)
    server.settings = {
        "CORD_HEARTBEAT_S": "1.5",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_UI_API_URL": server.url,
    }
    server.start()
    lake = str(home / "lake")
    factory = Factory(home, {**server.environment, "CORD_LAKE": lake}, lake)
    factory.write_recipe(run={**STARTER["run"], "shards": 3, "retries": 0})
    factory.write_problems(9)
    made = Serving(server, factory)
    try:
        yield made
    finally:
        made.kill()
        server.kill()


def task_runs(serving: Serving, id: str) -> list[dict[str, Any]]:
    mine = {"flow_runs": {"id": {"any_": [id]}}}
    return list(serving.server.ask("task_runs/filter", **mine, limit=200))


def artifact(serving: Serving, id: str, key: str) -> dict[str, Any]:
    mine = {"flow_runs": {"id": {"any_": [id]}}}
    found = serving.server.ask("artifacts/filter", **mine, limit=200)
    (one,) = [one for one in found if (one["key"] or "").endswith(key)]
    return dict(one)


def heard_of(serving: Serving, event: str) -> list[dict[str, Any]]:
    found = serving.server.ask("events/filter", filter={"event": {"name": [event]}}, limit=50)
    return list(found["events"])


def shoot(page: Page, folder: Path, name: str) -> None:
    """A picture for whoever looks into a failure; a browser too busy to paint is no failure."""
    with suppress(PlaywrightTimeout):
        page.screenshot(path=str(folder / f"{name}.png"), animations="disabled", timeout=10_000)


def test_a_failed_shard_is_resumed_by_one_click_and_it_alone_runs(
    serving: Serving, tmp_path: Path
) -> None:
    name = run_id_of(serving.factory.recipe_path, serving.factory.lake, {})
    staged = Path(serving.factory.lake) / "runs" / name / "shards" / "00001.json"
    staged.parent.mkdir(parents=True)
    staged.write_text("{")  # as a disk that failed may leave it
    id = serving.run(recipe="recipe.yaml")
    serving.until(id, "FAILED")
    first = {run["id"] for run in task_runs(serving, id)}
    at = serving.server.url.removesuffix("/api")
    with chromium() as browser:
        page, outside = open_page(browser)
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{at}/v2/artifacts/artifact/{artifact(serving, id, '-live')['id']}")
        row = page.get_by_role("row", name="failed")
        expect(row).to_contain_text("is damaged", timeout=PATIENCE_MS)
        shoot(page, tmp_path, "live")
        row.get_by_role("link", name="task run").click()
        page.wait_for_url("**/runs/task-run/**")
        expect(page.get_by_text(f"decode {name} shard 1").first).to_be_visible(timeout=PATIENCE_MS)
        shoot(page, tmp_path, "task-run")

        staged.unlink()  # what the sentence asks for
        page.goto(f"{at}/v2/runs/flow-run/{id}?tab=TaskRuns")
        expect(page.get_by_text(f"decode {name} shard 1").first).to_be_visible(timeout=PATIENCE_MS)
        shoot(page, tmp_path, "flow-run")
        retry(page)
        serving.until(id, "COMPLETED")
        page.goto(f"{at}/v2/runs/flow-run/{id}?tab=Artifacts")
        expect(page.get_by_text(f"{name}-release").first).to_be_visible(timeout=PATIENCE_MS)
        shoot(page, tmp_path, "released")
        page.goto(f"{at}/v2/artifacts/artifact/{artifact(serving, id, '-summary')['id']}")
        picture = page.get_by_role("img", name="Each teacher's share of the kept steps")
        expect(picture).to_be_visible(timeout=PATIENCE_MS)
        assert picture.evaluate("image => image.naturalWidth") > 100
        shoot(page, tmp_path, "summary")
        # Prefect's own pages ask one host outside for its statistics' settings; nothing of cord's.
        assert {url.split("/")[2] for url in outside} <= {"sr-client-cfg.amplitude.com"}

    again = [run for run in task_runs(serving, id) if run["id"] not in first]
    of_shards = {run["name"] for run in again if " shard " in run["name"]}
    assert of_shards == {f"decode {name} shard 1", f"verify {name} shard 1"}
    live = artifact(serving, id, "-live")["data"]
    assert "3 verified" in live and "failed" not in live
    run = serving.flow_run(id)
    assert run["state"]["message"].startswith("small@1: ")
    assert run["name"] == name and {"cord", "small", "seed 7"} <= set(run["tags"])
    (failed,) = heard_of(serving, "cord.shard.failed")
    assert failed["payload"]["shard"] == 1 and failed["payload"]["error"] == "LakeError"
    (published,) = heard_of(serving, "cord.release.published")
    assert published["payload"]["release"] == "small@1"
    about = {related["prefect.resource.id"] for related in published["related"]}
    assert {"cord.dataset.small", f"prefect.flow-run.{id}"} <= about


def retry(page: Page) -> None:
    """Press Retry in the run's menu, and agree; again while the server's SQLite is locked (503)."""
    dialog = page.locator("[role=dialog], [role=alertdialog]")
    for _ in range(5):
        page.get_by_role("button", name="Open menu").first.click()
        page.get_by_role("menuitem", name="Retry").click()
        with page.expect_response("**/set_state", timeout=PATIENCE_MS) as answer:
            dialog.get_by_role("button", name="Retry").click()
        if answer.value.status != 503:
            break
        page.reload()
    expect(dialog).to_be_hidden(timeout=PATIENCE_MS)


def test_a_killed_run_is_tried_again_without_a_person_and_somebody_is_told(
    serving: Serving, webhook: tuple[str, list[dict[str, str]]]
) -> None:
    url, heard = webhook
    serving.factory.environment["ROOM"] = url
    made = serving.factory.cord("automations", "--notify-url-env", "ROOM", "--retries", "1")
    assert made.code == 0 and "a crashed run is tried again" in made.err + made.out, made.err
    assert "secret-room" not in json.dumps(serving.server.ask("block_documents/filter"))
    never_begun = serving.run_later(recipe="recipe.yaml", seed=3)
    serving.call_crashed(never_begun)
    id = serving.run(recipe="recipe.yaml", seed=2)
    serving.until_decoding(id)
    os.kill(serving.process_of_run(), signal.SIGKILL)
    serving.until(id, "COMPLETED")
    assert serving.flow_run(never_begun)["state_type"] == "CRASHED", "it might never begin"
    assert serving.flow_run(id)["run_count"] == 2, "the same flow run, and nobody pressed Retry"
    waited = threading.Event()
    for _ in range(100):
        subjects = [one["subject"] for one in heard]
        if len(subjects) >= 2:
            break
        waited.wait(0.2)
    name = serving.flow_run(id)["name"]
    assert any("cord:" in subject and name in subject for subject in subjects), heard
    assert f"cord.release.published: {name}" in subjects
    removed = serving.factory.cord("automations", "--remove")
    assert removed.code == 0 and "tried again" in removed.err + removed.out
