"""What the journal costs: the same problems decoded with it and without it, in turns.

The miniature on this machine, its lake on a folder, then on moto's S3. A difference of a hundredth
drowns in what else a machine does, so beside the pairs it is accounted for: CPU time of the
journal's writer, and how long searches waited for it.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, cast

from benchmarks.chaos.servers import moto
from benchmarks.figures import Figure, at_most
from cord.ensemble import Ensemble, open_ensemble
from cord.fingerprint import fingerprint
from cord.lake import Lake, open_lake
from cord.lake.runs.journals import ShardJournal, journal_header
from cord.lake.stores.store import Store
from cord.miniature.problems import benchmark_problems
from cord.recipe import Recipe
from cord.recipe_file import load_recipe
from cord.scheduler import decode_problems
from cord.types import Decoding, Problem, Round

RECIPE = Path(__file__).parents[2] / "recipes" / "demo.yaml"


class CountingStore:
    """A store that counts what is written of journals."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.puts = 0
        self.bytes = 0

    def write(self, key: str, data: bytes) -> None:
        """See `Store.write`."""
        self.puts += 1
        self.bytes += len(data)
        self._store.write(key, data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class TimedJournal(ShardJournal):
    """A journal that knows what it took."""

    waited_s = 0.0
    cpu_s = 0.0

    def keep(self, problem_id: str, start_score: float, decided: Round) -> Awaitable[None]:
        """See `Journal.keep`."""
        return self._timed(super().keep(problem_id, start_score, decided))

    async def _timed(self, kept: Awaitable[None]) -> None:
        begun = time.monotonic()
        await kept
        self.waited_s += time.monotonic() - begun

    def _write(self) -> None:
        super()._write()
        self.cpu_s = time.thread_time()


@dataclass
class Spent:
    """What decoding all problems took."""

    seconds: float
    cpu_s: float
    """Of the process."""
    searching_s: float
    """Of all searches together, many of them at once."""
    journal: TimedJournal | None = None
    store: CountingStore | None = field(default=None, repr=False)


def measure(quick: bool) -> list[Figure]:
    """Decode in pairs."""
    recipe = load_recipe(RECIPE)
    ensemble = open_ensemble(recipe, RECIPE.parent)
    chains = benchmark_problems(16 if quick else 64)
    problems = [Problem(f"p{i:03d}", c.question, c.answer) for i, c in enumerate(chains)]
    decode(recipe, ensemble, problems, None)  # warm
    pairs: list[tuple[Spent, Spent]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(3 if quick else 20):
            lake = open_lake(f"{folder}/{number}", create=True)
            ways = [lake, None] if number % 2 else [None, lake]  # neither is always the first
            spent = {way: decode(recipe, ensemble, problems, way) for way in ways}
            pairs.append((spent[lake], spent[None]))
            _show(f"pair {number + 1}", spent[lake], len(problems))
        s3 = moto(Path(folder))
        s3.start()
        before = dict(os.environ)
        os.environ.update(s3.environment_for_runs())
        try:
            s3.client().create_bucket(Bucket="journal")
            on_s3 = decode(recipe, ensemble, problems, open_lake("s3://journal/l", create=True))
        finally:
            os.environ.clear()
            os.environ.update(before)
            s3.kill()
        _show("on S3", on_s3, len(problems))
    journals = [(spent, cast(TimedJournal, spent.journal)) for spent, _ in pairs]
    ratios = [a.seconds / b.seconds for a, b in pairs]
    low, high = _interval(ratios)
    return [
        at_most(
            "journal: time of a run with it (median of pairs)",
            median(ratios),
            1.01,
            f"times the time without it (95 % interval {low:.3f} to {high:.3f})",
        ),
        at_most(
            "journal: CPU time of its writer",
            median(j.cpu_s / spent.cpu_s for spent, j in journals),
            0.01,
            "of the run's",
        ),
        at_most(
            "journal: searches waited for it",
            median(j.waited_s / spent.searching_s for spent, j in journals),
            0.01,
            "of their time",
        ),
        at_most(
            "journal: writes to S3",
            cast(CountingStore, on_s3.store).puts / len(problems),
            8.0,
            "a problem",
        ),
    ]


def _interval(ratios: list[float]) -> tuple[float, float]:
    """Of the median, by resampling."""
    draw = Random(0)
    medians = sorted(median(draw.choices(ratios, k=len(ratios))) for _ in range(2000))
    return medians[50], medians[-51]


def decode(recipe: Recipe, ensemble: Ensemble, problems: list[Problem], lake: Lake | None) -> Spent:
    """Decode all, with a journal where there is a lake."""
    journal, store = None, None
    if lake is not None:
        store = CountingStore(lake.store)
        keys = {problem.id: fingerprint({"id": problem.id}) for problem in problems}
        counted = replace(lake, store=cast(Store, store))
        header = journal_header("cost", {})
        journal = TimedJournal(counted, "0" * 64, header, 0, keys)

    async def all_of_them() -> float:
        ended = decode_problems(
            *(problems, ensemble.teachers, ensemble.criterion, recipe.search, recipe.run.seed),
            in_flight=recipe.run.in_flight,
            journal=journal,
        )
        return sum([done.seconds async for done in ended if isinstance(done, Decoding)])

    wall, cpu = time.monotonic(), time.process_time()
    with journal or nullcontext():
        searching_s = asyncio.run(all_of_them())
    return Spent(*(time.monotonic() - wall, time.process_time() - cpu, searching_s), journal, store)


def _show(name: str, spent: Spent, problems: int) -> None:
    journal, store = cast(TimedJournal, spent.journal), cast(CountingStore, spent.store)
    print(
        f"{name}: {spent.seconds:.2f} s, {spent.cpu_s:.2f} s of CPU, its journal "
        f"{journal.cpu_s:.3f} s of CPU, waited for {journal.waited_s / problems * 1000:.1f} ms a "
        f"problem; {store.puts / problems:.2f} writes and {store.bytes / problems / 1024:.1f} KiB "
        "a problem",
        flush=True,
    )
