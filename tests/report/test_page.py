"""The page in a real browser: it is usable, and whatever a model wrote stays text."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from browser import open_page
from playwright.sync_api import Browser, Page, expect
from report.conftest import Write

from benchmarks.service.written_run import Written, reasoning, write_run
from cord.lake import Lake, open_lake
from cord.lake.tables.schemas import SCHEMAS
from cord.recipe import SearchSettings
from cord.report import write_report

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chromium")]

HOSTILE = (
    "</script><script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 2'>",
    "\\href{javascript:window.pwned=3}{press} $\\href{javascript:window.pwned=4}{press}$",
    "$\\url{javascript:window.pwned=5}$ $\\includegraphics{http://example.com/a.png}$",
    "$\\class{x}{y}\\style{position:fixed;background:url(http://example.com)}{z}$",
    "--></style></title><svg onload='window.pwned=6'>{{ 7 * 7 }} ${7*7}",
    "turned \u202eround\u202c, NUL \x00 and bell \x07",
    "$" * 400 + "\\[" * 400 + "\\frac{" * 400,
    "[a](javascript:window.pwned=7) `<b>` **<i>x</i>** http://example.com/tracker.gif",
    "$$\\def\\a{\\a\\a}\\a$$ \\boxed{<script>window.pwned=8</script>}",
)


@pytest.fixture
def opened(browser: Browser) -> Iterator[tuple[Page, list[str], list[str]]]:
    """A page, what it asked of other hosts, and its errors."""
    page, outside = open_page(browser)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text))
    page.on("dialog", lambda dialog: errors.append(f"dialog {dialog.message}"))
    yield page, outside, errors
    page.close()


def go(
    page: Page, lake: Lake, out: Path, run_id: str = "some", at: str = "", **options: Any
) -> None:
    write_report(lake, run_id, out, **options)
    page.goto(out.as_uri() + at)
    page.wait_for_selector("html[data-ready]")
    page.wait_for_selector("#problem[data-shows]")


def expect_said(page: Page, errors: list[str], count: int, seconds: float = 10) -> None:
    """Wait until the page has said this many things on its console."""
    until = time.monotonic() + seconds
    while len(errors) < count and time.monotonic() < until:
        page.wait_for_timeout(20)
    assert len(errors) >= count


def test_a_run_is_found_filtered_ordered_and_read_by_mouse_keys_and_address(
    write: Write, opened: tuple[Page, list[str], list[str]], tmp_path: Path
) -> None:
    page, outside, errors = opened
    out = tmp_path / "r.html"
    go(page, write(problems=40), out, at="#some-00007")
    expect(page.locator("#problem h2")).to_have_text("some-00007")
    assert page.locator("#problem .step math").count() > 0, "the mathematics is rendered"
    assert page.locator(".tree .point").count() > 20
    # A path of more than six steps is filled in after the page has answered.
    edges = page.locator(".tree .edge.winning").count()
    assert edges >= 3
    expect(page.locator(".step.winning")).to_have_count(edges)

    page.keyboard.press("j")
    expect(page.locator("#problem h2")).to_have_text("some-00008")
    assert page.url.endswith("#some-00008")
    page.locator("#list").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#problem h2")).to_have_text("some-00006")

    page.locator("#outcomes button", has_text="wrong").click()
    wrong = int(page.locator("#outcomes button", has_text="wrong").locator("b").inner_text())
    expect(page.locator("#found")).to_contain_text(f"{wrong} of 40 problems")
    page.locator("#outcomes button", has_text="wrong").click()
    page.keyboard.press("/")
    page.keyboard.type("some-00031")
    expect(page.locator("#found")).to_contain_text("1 of 40")
    page.keyboard.press("Enter")
    expect(page.locator("#problem h2")).to_have_text("some-00031")
    page.locator("#search").fill("")
    page.locator("#order").select_option("low")
    expect(page.locator("#found")).to_contain_text("40 of 40")
    scores = [float(s) for s in page.locator(".line .score").all_inner_texts()]
    assert scores[:3] == sorted(scores[:3])

    dropped = page.locator(".tree .point:not(.kept):not(.winning)").first
    dropped.dispatch_event("click")
    expect(page.locator(".reading .note")).to_contain_text("dropped")
    page.locator(".reading .note button").click()
    expect(page.locator(".reading .note")).to_have_count(0)
    page.locator(".rivals summary").first.click()
    expect(page.locator(".rivals .rival").first).to_be_visible()
    assert (outside, errors) == ([], [])


def test_nothing_that_a_model_wrote_runs_or_calls_out(
    opened: tuple[Page, list[str], list[str]], tmp_path: Path
) -> None:
    page, outside, errors = opened
    lake = open_lake(str(tmp_path / "lake"), create=True)
    count = len(HOSTILE)
    run = Written(
        "some",
        count,
        SearchSettings(width=2, max_steps=3),
        lambda dice, teacher, prefix: dice.choice(HOSTILE) + f" {dice.random()}\n",
        question=lambda dice, place: HOSTILE[place],
        name=lambda place: f"{place} {HOSTILE[place]}"[:120],
    )
    write_run(lake, run, message=HOSTILE[0] + HOSTILE[1])
    _set_aside(lake, HOSTILE)
    go(page, lake, tmp_path / "r.html")
    for _ in range(count * 2):
        page.locator("#list").focus()
        page.keyboard.press("ArrowDown")
        page.wait_for_timeout(60)
        for rivals in page.locator(".rivals summary").all():
            rivals.click()
    assert page.evaluate("window.pwned") is None
    assert (outside, errors) == ([], [])
    assert (
        page.locator("a[href^=javascript], img:not([src^=data]), iframe, object, form").count() == 0
    )
    # What it says can be read as it stands, and marks that would turn it around are written out.
    page.locator("#search").fill("turned")
    page.keyboard.press("Enter")
    expect(page.locator("#problem .question")).to_contain_text("\\u202eround\\u202c, NUL \\u0000")


def _set_aside(lake: Lake, texts: tuple[str, ...]) -> None:
    """Rows of quarantine that became no problem, hostile in every column."""
    rows = [
        {"run_id": "some", "stage": "read", "problem_id": "", "source": text, "reason": text,
         "content": text}
        for text in texts
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, SCHEMAS["quarantine"])
    lake.tables.append_once("quarantine", table, "some/aside")


def test_the_policy_stops_what_is_put_into_the_page(
    write: Write, opened: tuple[Page, list[str], list[str]], tmp_path: Path
) -> None:
    page, outside, errors = opened
    go(page, write(problems=2), tmp_path / "r.html")
    page.evaluate(
        """() => {
          const script = document.createElement('script');
          script.textContent = 'window.pwned = 1';
          document.body.append(script);
          const image = document.createElement('img');
          image.src = 'http://127.0.0.1:9/a.png';
          image.setAttribute('onerror', 'window.pwned = 2');
          document.body.append(image);
        }"""
    )
    refused = page.evaluate("fetch('http://127.0.0.1:9/').then(() => false, () => true)")
    expect_said(page, errors, 3)
    assert refused and page.evaluate("window.pwned") is None
    assert all("Content Security Policy" in error for error in errors[:3])
    assert outside == []


def test_thousands_are_listed_and_only_those_in_sight_are_in_the_document(
    opened: tuple[Page, list[str], list[str]], tmp_path: Path
) -> None:
    page, _, errors = opened
    lake = open_lake(str(tmp_path / "lake"), create=True)
    run = Written("some", 1_500, SearchSettings(width=1, max_steps=2), reasoning(30))
    write_run(lake, run)
    go(page, lake, tmp_path / "r.html", budget_bytes=300_000)
    expect(page.locator("#found")).to_contain_text("1,500 of 1,500")
    expect(page.locator("#room")).to_contain_text("--problem ID")
    assert page.locator(".line").count() < 40
    page.locator("#list").focus()
    page.keyboard.press("End")
    expect(page.locator("#problem h2")).to_have_text("some-01499")
    expect(page.locator(".line.chosen")).to_have_count(1)
    assert page.locator(".line").count() < 40
    assert errors == []


def test_it_fits_a_telephone_and_a_desk_by_day_and_by_night(
    browser: Browser, write: Write, tmp_path: Path
) -> None:
    lake = write()
    for width in (400, 1400):
        page, _ = open_page(browser, width)
        page.emulate_media(color_scheme="dark")
        go(page, lake, tmp_path / "r.html")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(color_scheme="light")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
        images = page.locator("figure img")
        assert images.count() == 4
        assert all(image.evaluate("node => node.naturalWidth") > 100 for image in images.all())
        page.close()


def test_a_run_without_problems_says_so(
    write: Write, opened: tuple[Page, list[str], list[str]], tmp_path: Path
) -> None:
    page, _, errors = opened
    write_report(write(problems=0), "some", tmp_path / "r.html")
    page.goto((tmp_path / "r.html").as_uri())
    expect(page.locator("#problem")).to_have_text("This run has no problems yet.")
    time.sleep(0.1)
    assert errors == []
