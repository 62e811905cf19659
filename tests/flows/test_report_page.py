"""`cord report` of real runs: as a user asks for it, and as a person opens it."""

import json
from pathlib import Path

import pytest
from browser import chromium, open_page
from factory import Factory
from playwright.sync_api import expect

from benchmarks.service.written_run import Written, reasoning, write_run
from cord.lake import open_lake
from cord.recipe import SearchSettings

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chromium")]


def test_a_run_with_bad_rows_and_the_one_that_takes_it_over(factory: Factory) -> None:
    factory.write_problems(6, [b'{"id": "torn", "question": "Sta'])
    assert factory.run("--run-id", "report-first").code == 0

    made = factory.cord("report", "report-first", "--json")
    assert made.code == 0, made.err
    told = made.json
    assert told["path"] == "report-first.html"
    assert told["problems"] == 7 and told["whole_trees"] == 6
    assert told["bytes"] == (factory.folder / told["path"]).stat().st_size
    again = factory.cord("report", "report-first", "out.html", "--problem", "p003")
    assert again.code == 0 and "out.html: 0." in again.err

    # The same problems again: every trajectory is taken over.
    assert factory.run("--run-id", "report-second").code == 0
    assert factory.cord("report", "report-second", "second.html").code == 0
    with chromium() as browser:
        page, outside = open_page(browser)
        page.goto((factory.folder / "out.html").as_uri() + "#p003")
        expect(page.locator("#problem h2")).to_have_text("p003")
        expect(page.locator("header .badge").first).to_have_text("completed with 1 quarantined")
        assert page.locator(".step.winning").count() > 1
        page.locator("#outcomes button", has_text="quarantined").click()
        expect(page.locator("#found")).to_contain_text("1 of 7")
        page.locator(".line").first.click()
        expect(page.locator("#problem")).to_contain_text("set aside before it became a problem")
        page.goto((factory.folder / "second.html").as_uri() + "#p001")
        expect(page.locator("#problem")).to_contain_text("report-first")
        assert page.locator(".tree .point").count() > 5
        assert outside == []


def test_what_cannot_be_reported_is_said(factory: Factory) -> None:
    lake = open_lake(factory.lake, create=True)
    write_run(lake, Written("report-only", 3, SearchSettings(width=2, max_steps=3), reasoning(30)))
    for arguments, said in (
        (("nobody",), "there is no run 'nobody' in this lake; runs here: report-only"),
        (("../x",), "cannot name a run"),
        (
            ("report-only", "--problem", "p999"),
            "has no problem 'p999'; it has, for example: report-only-00000",
        ),
        (("report-only", "no/such/r.html"), "the report cannot be written to no/such/r.html"),
    ):
        ran = factory.cord("report", *arguments)
        assert ran.code == 2, ran.err
        assert said in ran.err and "Traceback" not in ran.err
    assert not list(Path(factory.folder).glob("*.html"))


@pytest.mark.long  # tests/report/test_trees.py shows the same of searches without models
@pytest.mark.parametrize(
    "search",
    [
        {"strategy": "greedy", "width": 2, "max_problem_tokens": 200},
        {"strategy": "mcts", "width": 2},
        {"strategy": "curation", "width": 2},
        {"strategy": "integration", "width": 2},
    ],
    ids=lambda search: search["strategy"],
)
def test_every_strategy_has_its_tree(factory: Factory, search: dict[str, object]) -> None:
    base = {"max_steps": 6, "max_step_tokens": 48, "max_tokens": 200}
    factory.write_recipe(search={**base, **search}, publish={"keep": "best"})
    factory.write_problems(3)
    name = f"report-{search['strategy']}"
    factory.run("--run-id", name)
    made = factory.cord("report", name, "--json")
    assert made.code == 0, made.err
    assert json.loads(made.out)["whole_trees"] == 3
