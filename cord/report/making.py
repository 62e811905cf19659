"""Makes the report of a run: reads the lake in streams, writes the page as it goes.

In memory are a few hundred bytes a problem and the blocks of trees being filled; the trees come in
the order of interest, until the page is as large as it may be. Whoever is left gets the winning
path, and where that does not fit either, the line in the list.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from cord.drawing import require_drawing
from cord.errors import LakeError, UsageError
from cord.lake.runs.run import check_run_id, load_recipe_of, require_run
from cord.lake.tables.rows import Row
from cord.recipe import SearchSettings
from cord.report import reading
from cord.report.blocks import Blocks, write_block
from cord.report.curves import curves
from cord.report.figures import head_of
from cord.report.lines import Line, Listing, list_problems
from cord.report.order import by_interest
from cord.report.page import Page, write_beginning, write_end, write_scripts
from cord.report.pictures import colour, draw
from cord.report.trees import told

if TYPE_CHECKING:
    from cord.lake import Lake

BUDGET_BYTES = 25 * 1024 * 1024
"""For the list and the trees; pictures and scripts take half a megabyte more."""
_FOR_LIST, _FOR_PATHS = 0.6, 0.3
"""Shares of the budget: the most that the list may take, and what is kept free for paths."""
_WORST_RATIO = 12.0
"""No texts shrink by more: what certainly will not fit is not asked for."""
_PATH_RATIO = 0.5
"""What a byte of a path takes in the page, about: gzip makes it 0.35, base64 a third more."""


@dataclass(frozen=True, slots=True)
class Written:
    """A report that was made."""

    path: str
    bytes: int
    problems: int
    """Lines in the list."""
    whole_trees: int
    paths: int
    """Of which only the winning path is there."""
    unlisted: int
    """For which not even a line fitted."""


def report_key(run_id: str) -> str:
    """Where a run's report lies in its lake, if one was put there."""
    return f"runs/{check_run_id(run_id)}/report.html"


def write_report(
    lake: Lake,
    run_id: str,
    out: str | Path | None = None,
    problems: Collection[str] = (),
    budget_bytes: int = BUDGET_BYTES,
) -> Written:
    """Write a run's report to the file `out`, or to `report_key` in the lake where that is None.

    `problems` are shown whole whatever the budget. Raises `UsageError` for a run or a problem that
    there is not, and where `out` cannot be written."""
    require_run(lake, run_id)
    require_drawing()
    if out is None:
        with tempfile.TemporaryDirectory(prefix="cord-report-") as folder:
            made = _into(lake, run_id, Path(folder) / "report.html", problems, budget_bytes)
            lake.store.write(report_key(run_id), Path(made.path).read_bytes())
        return replace(made, path=lake.store.uri(report_key(run_id)))
    return _into(lake, run_id, Path(out), problems, budget_bytes)


def _into(lake: Lake, run_id: str, path: Path, problems: Collection[str], budget: int) -> Written:
    """Beside the file first, so that a report is there whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8", newline="\n") as out:
            made = _write(lake, run_id, out, problems, budget)
        size = beside.stat().st_size
        os.replace(beside, path)
    except OSError as error:
        raise UsageError(
            f"the report cannot be written to {path}: {error.strerror}; name another file"
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return Written(str(path), size, *made)


def _write(
    lake: Lake, run_id: str, out: TextIO, named: Collection[str], budget: int
) -> tuple[int, int, int, int]:
    recipe, _ = load_recipe_of(lake, run_id)
    judged = reading.judgements(lake, run_id, recipe)
    authors = reading.authors(lake, run_id, recipe)
    names = {name: number for number, name in enumerate(authors)}
    characters = _question_characters(judged.num_rows)
    listing = list_problems(
        reading.line_rows(lake, run_id, judged, characters), names, int(budget * _FOR_LIST)
    )
    _check_named(named, listing, run_id)
    head = head_of(lake, recipe, run_id, listing)
    drawn = draw(curves(reading.best_paths(lake, run_id), listing.lines, head.summary), authors)
    write_beginning(out, Page(head, drawn, listing, authors, [colour(n) for n in names.values()]))
    for number, block in enumerate(listing.blocks):
        out.write(f'<script type="application/octet-stream" id="lines-{number}">{block}</script>\n')
    write_scripts(out)
    trees = _Trees(lake, run_id, out, listing, names, budget - listing.bytes)
    trees.write(by_interest(listing.lines, named, run_id), named)
    write_block(out, "places", {**trees.places(), "unlisted": listing.unlisted})
    write_end(out)
    return len(listing.lines), trees.whole, trees.paths, listing.unlisted


def _question_characters(problems: int) -> int:
    """How much of a question stands in the list: it is searched in, and must fit."""
    return int(min(240, max(60, 240 * 20_000 / max(1, problems))))


def _check_named(named: Collection[str], listing: Listing, run_id: str) -> None:
    known = {line.problem_id for line in listing.lines if line.key is not None}
    for name in named:
        if name not in known:
            some = ", ".join(sorted(known)[:5]) or "none"
            raise UsageError(f"run {run_id!r} has no problem {name!r}; it has, for example: {some}")


class _Trees:
    """Fills the page with problems until its budget is spent."""

    def __init__(
        self,
        lake: Lake,
        run_id: str,
        out: TextIO,
        listing: Listing,
        names: Mapping[str, int],
        budget: int,
    ) -> None:
        self._lake, self._run_id, self._names = lake, run_id, names
        self._lines, self._budget = listing.lines, budget
        self._blocks = Blocks(out)
        self._place: list[int] = [-1] * len(listing.lines)
        """Of each line: its block, or -1."""
        self._within: list[int] = [0] * len(listing.lines)
        self._settings: dict[str, SearchSettings | None] = {}
        self.whole = 0
        self.paths = 0

    def write(self, order: Sequence[int], named: Collection[str]) -> None:
        """Whole trees in this order, then paths."""
        open_paths = sum(self._lines[place].path_bytes for place in order)
        must = sum(self._lines[place].problem_id in named for place in order)
        wanted = self._within_reach(order, lambda line: line.tree_bytes, must)
        done = 0
        for place, problem, size in self._told(wanted, whole=True):
            kept_free = min(self._budget * _FOR_PATHS, open_paths * _PATH_RATIO)
            if done >= must and self._blocks.foreseen + size * 0.2 > self._budget - kept_free:
                break
            self._put(place, problem, size)
            open_paths -= self._lines[place].path_bytes
            done += 1
        self.whole = done
        rest = order[done:]
        for place, problem, size in self._told(
            self._within_reach(rest, lambda line: line.path_bytes), whole=False
        ):
            if self._blocks.foreseen + size * _PATH_RATIO > self._budget:
                break
            self._put(place, problem, size)
            self.paths += 1
        self._blocks.close()

    def places(self) -> dict[str, object]:
        """Where the problem of each line is: its block (-1: nowhere) and its place in that; and
        how many are there how far."""
        counts = {"whole": self.whole, "paths": self.paths}
        return {"block": self._place, "within": self._within, **counts}

    def _within_reach(
        self, order: Sequence[int], size: Callable[[Line], int], at_least: int = 0
    ) -> Sequence[int]:
        """As many of the first as could possibly fit."""
        reach, taken = self._budget * _WORST_RATIO, 0
        for count, place in enumerate(order):
            taken += size(self._lines[place])
            if taken > reach and count >= at_least:
                return order[:count]
        return order

    def _put(self, place: int, problem: dict[str, object], size: int) -> None:
        self._place[place], self._within[place] = self._blocks.add(problem, size)

    def _told(
        self, order: Sequence[int], whole: bool
    ) -> Iterator[tuple[int, dict[str, object], int]]:
        """(place of its line, what the page has of it, its size), in this order."""
        if not order:
            return
        rows = [(turn, self._lines[place]) for turn, place in enumerate(order)]
        wanted = reading.wanted_table(rows)
        ask = reading.proposals if whole else reading.winning_proposals
        steps = _Grouped(ask(self._lake, wanted))
        for head in reading.heads(self._lake, self._run_id, wanted):
            turn = head["place"]
            problem, size = told(head, steps.of(turn), self._names, self._settings_of, whole)
            yield order[turn], problem, size

    def _settings_of(self, run_id: str) -> SearchSettings | None:
        if run_id not in self._settings:
            try:
                self._settings[run_id] = load_recipe_of(self._lake, run_id)[0].search
            except (LakeError, UsageError):
                self._settings[run_id] = None
        return self._settings[run_id]


class _Grouped:
    """Rows ordered by place, handed out place by place; a place may have none."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._groups = groupby(rows, key=lambda row: int(row["place"]))
        self._next: tuple[int, list[Row]] | None = None

    def of(self, place: int) -> list[Row]:
        """The rows of this place; places are asked for in order."""
        if self._next is None:
            group = next(self._groups, None)
            self._next = None if group is None else (group[0], list(group[1]))
        if self._next is None or self._next[0] != place:
            return []
        rows, self._next = self._next[1], None
        return rows
