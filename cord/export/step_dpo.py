"""`step-dpo`: pairs of steps on one prefix, for TRL's DPOTrainer.

`{prompt, chosen, rejected, gap, problem_id, round, teachers}`: `prompt` ends where the step
begins, `chosen` and `rejected` are the steps' very texts, `teachers` their authors in this order.
A release's pairs are those of the searches behind its records.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from cord.export.options import PairOptions
from cord.export.prompts import worded
from cord.lake.runs.run import load_recipe_of
from cord.lake.tables.query import query
from cord.lake.tables.views import literal
from cord.preferences import ReplayError, replay, step_pairs
from cord.recipe import Recipe

if TYPE_CHECKING:
    from cord.lake import Lake
    from cord.lake.releases.manifest import Manifest

_SEARCHES = 100
"""Whose steps are read at once."""
_log = logging.getLogger(__name__)


def rows(lake: Lake, release: Manifest, options: PairOptions) -> Iterator[dict[str, Any]]:
    """The pairs, by problem and round. A search whose rows do not fit its recipe is left out, with
    a warning. Raises `LakeError`, and `UsageError` for the tokenizer."""
    recipe = cache(lambda run_id: load_recipe_of(lake, run_id)[0])
    asked: Recipe = recipe(release.run_id)
    prompt = worded(options.tokenizer, asked.search.worded)
    searches = query(
        lake,
        "select distinct r.problem_id, r.question, r.run_id, r.key, t.start_score "
        "from records r join trajectories t on t.run_id = r.run_id and t.key = r.key "
        "and t.problem_id = r.problem_id and t.rank = r.rank order by r.problem_id, r.key",
        release=release.label,
    ).to_pylist()
    for begin in range(0, len(searches), _SEARCHES):
        some = searches[begin : begin + _SEARCHES]
        found = {(s["run_id"], s["key"]): s for s in some}
        for name, steps in groupby(_steps(lake, release, some), lambda s: (s["run_id"], s["key"])):
            search = found[name]
            rounds = replay(steps, search["start_score"], recipe(search["run_id"]).search)
            try:
                pairs = list(step_pairs(rounds, options.min_gap, options.most))
            except ReplayError as error:
                _log.warning("problem %s gives no pairs: %s", search["problem_id"], error)
                continue
            for pair in pairs:
                yield {
                    "prompt": prompt(search["question"], pair.prefix),
                    "chosen": pair.chosen.text,
                    "rejected": pair.rejected.text,
                    "gap": pair.gap,
                    "problem_id": search["problem_id"],
                    "round": pair.round,
                    "teachers": [pair.chosen.teacher, pair.rejected.teacher],
                }


def _steps(
    lake: Lake, release: Manifest, searches: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The steps of these searches, by problem, search, round and place."""
    keys = ", ".join(sorted({literal(search["key"]) for search in searches}))
    wanted = {(search["run_id"], search["key"]) for search in searches}
    table = query(
        lake,
        f"select * from steps where key in ({keys}) "  # noqa: S608, keys of the lake, quoted
        "order by problem_id, key, run_id, round, place",
        release=release.label,
    )
    for batch in table.to_batches(max_chunksize=1024):
        yield from (row for row in batch.to_pylist() if (row["run_id"], row["key"]) in wanted)
