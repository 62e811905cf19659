"""Choose the trajectories that become records, and measure them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
from prefect import task

from cord.lake import Lake, open_lake
from cord.lake.runs.candidates import ASIDE, SELECT, write_candidates, write_drops
from cord.lake.runs.run import load_recipe_of
from cord.lake.runs.run_tables import in_groups, judged_batches, planned_shards
from cord.lake.tables.schemas import DROPPED
from cord.plan import verdict_keys
from cord.recipe import Recipe
from cord.record_batches import aside_batch, record_batch, standings, whole_problems
from cord.records import choose
from tasks.board import BOARD
from tasks.policy import OPTIONS


@task(name="select", task_run_name="select {run_id}", **OPTIONS)
def select_records(lake_uri: str, run_id: str) -> dict[str, int]:
    """Write the run's candidate records, with their signals, and what is set aside.

    Returns {"chosen": rows, "wrong", "correct"}: problems; and, with `publish.path`, "below_path":
    correct trajectories that it keeps out."""
    BOARD.enter("selection")
    lake = open_lake(lake_uri)
    recipe, _ = load_recipe_of(lake, run_id)
    counts: Counter[str] = Counter()
    aside = [ASIDE.empty_table()]
    chosen = write_candidates(lake, run_id, _records(lake, run_id, recipe, counts, aside))
    write_drops(lake, run_id, SELECT, DROPPED.empty_table(), pa.concat_tables(aside))
    told = ("wrong", "correct", *(("below_path",) if recipe.publish.path is not None else ()))
    return {"chosen": chosen, **{name: counts[name] for name in told}}


def _records(
    lake: Lake, run_id: str, recipe: Recipe, counts: Counter[str], aside: list[pa.Table]
) -> Iterator[pa.RecordBatch]:
    key = verdict_keys(recipe)
    for shards in in_groups(planned_shards(lake, run_id)):
        for rows in whole_problems(judged_batches(lake, run_id, shards, key)):
            judged = standings(rows)
            chosen = choose(judged, recipe.publish.keep, recipe.publish.path)
            counts["wrong"] += len(chosen.wrong)
            counts["below_path"] += len(chosen.below)
            counts["correct"] += sum(t.rank == 0 and t.outcome == "correct" for t in judged)
            if chosen.aside:
                aside.append(pa.Table.from_batches([aside_batch(rows, chosen.aside)]))
            if chosen.records:
                places = pa.array([one.place for one in chosen.records], pa.int64())
                yield record_batch(rows.take(places), recipe.verify.domain)
