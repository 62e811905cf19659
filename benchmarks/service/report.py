"""The report of a run with 5,000 problems: how large it is, how soon a browser shows it.

Two runs, written straight into a lake (`written_run`: real searches of width 4 by three teachers,
ten steps, texts put together from phrases): one with the miniature's short steps, one with steps
of 800 characters, half a million of them, of which only a part fits into the page. The page is a
file; Chromium opens it five times, each time in a new tab. Measured inside the page: from the
start of the navigation until the list can be used, and from a click on a line until its tree is
drawn. Without Chromium only the size is told.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, at_most
from benchmarks.service.written_run import Written, reasoning, write_run
from cord.lake import open_lake
from cord.recipe import SearchSettings
from cord.report import write_report

MOST_MB, MOST_OPEN_S, MOST_PICK_S = 30.0, 2.0, 0.2
CASES = {"short": 20, "long": 800}
"""Characters of a step."""
OPENED, PICKED = 5, 15
_PICK = """async (turn) => {
  const line = document.querySelectorAll('.line')[turn % 8];
  const id = line.querySelector('.id').textContent;
  const begun = performance.now();
  line.click();
  while (document.getElementById('problem').dataset.shows !== id) {
    await new Promise((drawn) => requestAnimationFrame(drawn));
  }
  return (performance.now() - begun) / 1000;
}"""


def run(quick: bool) -> list[Figure]:
    """Size, time to open, time to pick, for short and for long texts."""
    found: list[Figure] = []
    for name, characters in CASES.items():
        with tempfile.TemporaryDirectory(prefix="cord-report-") as folder:
            found += _figures(name, characters, 500 if quick else 5_000, Path(folder))
    return found


def _figures(name: str, characters: int, problems: int, folder: Path) -> list[Figure]:
    lake = open_lake(str(folder / "lake"), create=True)
    search = SearchSettings(width=4, max_steps=10)
    begun = time.monotonic()
    write_run(lake, Written(name, problems, search, reasoning(characters)))
    written = time.monotonic()
    made = write_report(lake, name, folder / "report.html")
    print(
        f"{name}: {problems} problems written in {written - begun:.0f} s; the report took "
        f"{time.monotonic() - written:.0f} s: {made.whole_trees} whole trees, {made.paths} paths, "
        f"{made.bytes / 1e6:.1f} MB",
        flush=True,
    )
    figures = [at_most(f"report, {name} texts: size", made.bytes / 1e6, MOST_MB, "MB")]
    chromium = shutil.which("chromium")
    if chromium is None:
        print("there is no Chromium; infra/install-chromium.sh installs it")
        return figures
    opens, picks = _in_chromium(chromium, Path(made.path))
    print(f"{name}: opened in {', '.join(f'{t:.2f}' for t in opens)} s; picked in up to ", end="")
    print(f"{max(picks):.3f} s", flush=True)
    return [
        *figures,
        at_most(
            f"report, {name} texts: opens", statistics.median(opens), MOST_OPEN_S, "s, median of 5"
        ),
        at_most(
            f"report, {name} texts: a tree", statistics.median(picks), MOST_PICK_S, "s, median"
        ),
    ]


def _in_chromium(chromium: str, path: Path) -> tuple[list[float], list[float]]:
    from playwright.sync_api import sync_playwright

    opens: list[float] = []
    picks: list[float] = []
    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
        browser = playwright.chromium.launch(executable_path=chromium, args=quiet)
        for turn in range(OPENED):
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.goto(path.as_uri(), wait_until="commit")
            page.wait_for_selector("html[data-ready]", timeout=60_000)
            opens.append(page.evaluate("performance.getEntriesByName('list')[0].startTime / 1000"))
            if turn == OPENED - 1:
                page.wait_for_selector("#problem[data-shows]")
                picks += [page.evaluate(_PICK, turn) for turn in range(1, PICKED + 1)]
            page.close()
        browser.close()
    return opens, picks
