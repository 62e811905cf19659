"""`dpo`: pairs of whole trajectories, for TRL's DPOTrainer.

`{prompt, chosen, rejected, gap, because, problem_id, teachers}`: `chosen` is the record's text
behind `<think>\\n`, `rejected` a finished trajectory of the same problem, by any run in the lake,
that was judged wrong, or that is right and scored lower. Both end with the stated answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cord.export.options import PairOptions
from cord.export.prompts import worded
from cord.lake.runs.run import load_recipe_of
from cord.lake.tables.query import query
from cord.lake.tables.views import literal
from cord.plan import verdict_key
from cord.preferences import Finished, trajectory_pairs
from cord.prompts import THINK_OPEN

if TYPE_CHECKING:
    from cord.lake import Lake
    from cord.lake.releases.manifest import Manifest

_PROBLEMS = 200
"""Whose trajectories are read at once."""


def rows(lake: Lake, release: Manifest, options: PairOptions) -> Iterator[dict[str, Any]]:
    """The pairs, by problem. Raises `LakeError`, and `UsageError` for the tokenizer."""
    recipe, _ = load_recipe_of(lake, release.run_id)
    prompt = worded(options.tokenizer, recipe.search.worded)
    records = query(
        lake,
        "select problem_id, question, answer, messages, score, teachers from records "
        "order by problem_id, rank",
        release=release.label,
    ).to_pylist()
    for begin in range(0, len(records), _PROBLEMS):
        some = records[begin : begin + _PROBLEMS]
        finished = _finished(lake, release, [record["problem_id"] for record in some])
        for record in some:
            name = (record["problem_id"], record["question"], record["answer"])
            others = [
                Finished(row["text"], row["score"], row["outcome"], tuple(row["teachers"]))
                for row in finished.get(name, ())
                if row["judgement"] == verdict_key(recipe, row["key"], row["domain"])
            ]
            text = record["messages"][-1]["content"].removeprefix(f"{THINK_OPEN}\n")
            chosen = Finished(text, record["score"], "correct", tuple(record["teachers"]))
            for pair in trajectory_pairs(chosen, others, options.min_gap, options.most):
                yield {
                    "prompt": prompt(record["question"], ""),
                    "chosen": pair.chosen.text,
                    "rejected": pair.rejected.text,
                    "gap": pair.gap,
                    "because": pair.because,
                    "problem_id": record["problem_id"],
                    "teachers": [list(pair.chosen.teachers), list(pair.rejected.teachers)],
                }


def _finished(
    lake: Lake, release: Manifest, problem_ids: list[str]
) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """Finished trajectories with every verdict on their answer, by problem, question and answer.

    The same problem may be searched in many ways: its rows name it by id, question and answer."""
    ids = ", ".join(sorted({literal(problem_id) for problem_id in problem_ids}))
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    rows_ = query(
        lake,
        f"""
        select t.key, t.text, t.score, t.teachers, p.problem_id, p.question, p.answer, p.domain,
            v.key as judgement, v.outcome
        from trajectories t
        join (select distinct key, problem_id, question, answer, domain from problems
              where problem_id in ({ids})) p on p.key = t.key and p.problem_id = t.problem_id
        join (select distinct problem_id, rank, answer, key, outcome from verdicts
              where problem_id in ({ids})) v on v.problem_id = t.problem_id and v.rank = t.rank
              and v.answer = t.answer
        where t.finished order by t.problem_id, t.run_id, t.rank
        """,  # noqa: S608, ids of the lake, quoted
        release=release.label,
    ).to_pylist()
    for row in rows_:
        found.setdefault((row["problem_id"], row["question"], row["answer"]), []).append(row)
    return found
