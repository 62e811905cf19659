"""A run as the factory leaves it in the lake, without any model: its rows are written straight in.

The searches are real (the strategy decides, round by round); what the teachers say is put together
from phrases, what the meta-prover thinks of it is drawn by lot. So the tables have the shape and
the size of a run of any length of text, in seconds.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cord.lake import Lake
from cord.lake.runs.progress import decode_app, verify_app
from cord.lake.runs.run import RunDocument, now, save_recipe, save_run
from cord.lake.tables.rows import (
    Row,
    cost_rows,
    problem_rows,
    step_rows,
    trajectory_rows,
    verdict_row,
)
from cord.lake.tables.schemas import SCHEMAS
from cord.plan import verdict_keys
from cord.recipe import Recipe, SearchSettings
from cord.search.beam import Draft, merge, scored
from cord.search.strategies import open_strategy
from cord.types import Cost, Decoding, Problem, Round, Step, Trajectory, Verdict

SHARD = 250
"""Problems a shard."""
_PHRASES = (
    "Let us look at the case where ${a} x + {b} = {c}$ and isolate the unknown",
    "so that $x = \\frac{{{c} - {b}}}{{{a}}}$ follows by subtracting ${b}$ on both sides",
    "Wait, I should check whether the remainder modulo {a} is really {b}",
    "the sum $\\sum_{{k=1}}^{{{a}}} k^2$ equals {c}, which is more than I expected",
    "we may assume without loss of generality that $n \\geq {b}$",
    "Alternatively, counting the pairs directly gives {c} of them, {b} for each choice",
    "the triangle has sides {a}, {b} and {c}, hence by the law of cosines the angle is obtuse",
    "substituting back, the left-hand side becomes {c} and the right-hand side {b}",
    "which contradicts the assumption that {a} divides {c}",
    "Therefore the number of ways is $\\binom{{{c}}}{{{b}}}$, and nothing is counted twice",
    "Hmm, that is off by {a}; the boundary at {b} was counted two times",
    "by induction on $n$, starting from $n = {a}$, where the claim is that $f({a}) = {c}$",
)

Says = Callable[[random.Random, str, Trajectory], str]
"""What a teacher (by name) writes behind a prefix."""


def reasoning(characters: int) -> Says:
    """About so many characters a step, numbered, with mathematics: every one another text."""

    def say(dice: random.Random, teacher: str, prefix: Trajectory) -> str:
        text = f"### Step {len(prefix.steps) + 1}. {teacher.capitalize()} goes on\n\n"
        while len(text) < characters:
            a, b, c = (dice.randrange(2, 999) for _ in range(3))
            text += dice.choice(_PHRASES).format(a=a, b=b, c=c) + dice.choice((". ", ", ", ".\n"))
        return text + "\n\n"

    return say


@dataclass(frozen=True, slots=True)
class Written:
    """What is to be written."""

    run_id: str
    problems: int
    search: SearchSettings
    says: Says
    teachers: Sequence[str] = ("qwq", "r1qwen", "phi4")
    correct: float = 0.75
    """Share of the problems that come out right."""
    question: Callable[[random.Random, int], str] | None = None
    name: Callable[[int], str] | None = None
    """Of the problem at a place; by default its run and its place."""


def write_run(lake: Lake, written: Written, **document: Any) -> Recipe:
    """Write its recipe, its document and its rows; `document` changes fields of the document."""
    recipe = recipe_of(written)
    save_recipe(lake, written.run_id, recipe, "/")
    fields = {
        "state": "completed",
        "ended_at": now(),
        "problems": written.problems,
        "engines": {name: f"vllm {name}-32b" for name in (*written.teachers, "meta-prover")},
    }
    made = RunDocument(run_id=written.run_id, recipe=recipe.name, fingerprint="f", created_at=now())
    save_run(lake, made.model_copy(update={**fields, **document}))
    right = 0
    for shard, start in enumerate(range(0, written.problems, SHARD)):
        places = range(start, min(written.problems, start + SHARD))
        right += _write_shard(lake, recipe, written, shard, places)
    if "state" not in document:
        counts = dict.fromkeys(("correct", "records", "rows"), right)
        counts |= {"problems": written.problems, "wrong": written.problems - right}
        counts |= dict.fromkeys(("quarantined", "duplicates", "contaminated"), 0)
        lake.store.write(f"runs/{written.run_id}/counts.json", json.dumps(counts).encode())
    return recipe


def recipe_of(written: Written) -> Recipe:
    """A recipe with these teachers and this search."""
    return Recipe.model_validate(
        {
            "name": "written",
            "problems": {"path": "problems.jsonl"},
            "teachers": [{"name": name, "model": "cord:ada"} for name in written.teachers],
            "meta_prover": {"model": "cord:meta"},
            "search": written.search.model_dump(mode="json"),
        },
        strict=False,
    )


def _write_shard(
    lake: Lake, recipe: Recipe, written: Written, shard: int, places: Sequence[int]
) -> int:
    """Says how many of its problems came out right."""
    run, verdict_key = written.run_id, verdict_keys(recipe)
    rows: dict[str, list[Row]] = {name: [] for name in SCHEMAS}
    for place in places:
        dice = random.Random(f"{run} {place}")
        problem = _problem(written, dice, place)
        key = f"{run}-{place}"
        decoding = decode(problem, written, dice)
        rows["problems"] += problem_rows(run, [problem], {problem.id: key}, {problem.id: shard})
        rows["steps"] += step_rows(run, key, decoding)
        ways = trajectory_rows(run, key, decoding, shard)
        rows["trajectories"] += ways
        best = decoding.trajectories[0]
        rows["costs"] += cost_rows(run, problem.id, key, decoding.costs, best)
        for way in ways:
            right = way["rank"] == 0 and dice.random() < written.correct
            said = f"'{way['answer']}' is {'' if right else 'not '}the reference '{problem.answer}'"
            verdict = Verdict("correct" if right else "wrong", "math-verify", said)
            rows["verdicts"].append(verdict_row(run, verdict_key(key, None), way, verdict))
    for name in ("problems", "steps", "trajectories", "costs"):
        table = pa.Table.from_pylist(rows[name], SCHEMAS[name])
        lake.tables.append_once(name, table, decode_app(run, shard))
    table = pa.Table.from_pylist(rows["verdicts"], SCHEMAS["verdicts"])
    lake.tables.append_once("verdicts", table, verify_app(run, shard))
    return sum(row["outcome"] == "correct" for row in rows["verdicts"])


def _problem(written: Written, dice: random.Random, place: int) -> Problem:
    a, b = dice.randrange(2, 999), dice.randrange(2, 999)
    question = (
        f"A shop sells {a} apples a day and {b} pears every other day. After how many days has it "
        f"sold as many apples as pears, if it began with ${a}^2 + {b}$ of each?"
        if written.question is None
        else written.question(dice, place)
    )
    name = f"{written.run_id}-{place:05d}" if written.name is None else written.name(place)
    return Problem(name, question, str(a + b), source=f"problems:{place}")


def decode(problem: Problem, written: Written, dice: random.Random) -> Decoding:
    """One search to its end: three in ten proposals of a step but the first finish it."""
    start = Trajectory(start_score=math.exp(-dice.uniform(0.5, 6)))
    strategy = open_strategy(start, written.search)
    rounds: list[Round] = []
    while growing := strategy.growing():
        drafts = list(_drafts(problem, written, dice, growing))
        costs = tuple((draft.step.teacher, draft.cost) for draft in drafts)
        candidates = [scored(draft, _score(dice, draft)) for draft in merge(drafts)]
        rounds.append(Round(len(rounds), strategy.take(candidates), costs=costs))
    return Decoding(problem, strategy.best(), tuple(rounds))


def _drafts(
    problem: Problem,
    written: Written,
    dice: random.Random,
    growing: Sequence[tuple[int, Trajectory]],
) -> Iterator[Draft]:
    for beam, prefix in growing:
        for teacher in written.teachers:
            text = written.says(dice, teacher, prefix)
            least = written.search.max_steps - 2
            ends = len(prefix.steps) >= least and dice.random() < 0.5
            tokens = max(1, len(text) // 4)
            step = Step(text, teacher, (teacher,), (), "", tokens, 0.0, 0.0)
            cost = Cost(1, tokens, 100 + prefix.tokens, None, tokens / 40)
            yield Draft(beam, prefix, step, ends, problem.answer if ends else None, cost)


def _score(dice: random.Random, draft: Draft) -> float:
    """S goes up more often than down."""
    return min(0.999999, max(1e-9, draft.prefix.score * math.exp(dice.gauss(0.25, 0.6))))
