"""The paper's comparison on the miniature: single teachers, curation, random, greedy, beam.

    python -m benchmarks.miniature [--quick] [--json] [--picture miniature.svg]

200 held-out problems that neither training nor the demo has seen, the shipped small teachers, real
sampling and real scoring through cord's own engine and search; nothing is prepared. Curation
writes as many whole trajectories as the beam holds candidates a round, B * K = 12. The score S is
measured by the meta-prover for every method, also where another criterion chose.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.figures import Figure, at_least, report
from cord.ensemble import Ensemble, open_ensemble
from cord.miniature.fidelity import every_step_right
from cord.miniature.problems import benchmark_problems
from cord.recipe import Recipe
from cord.recipe_file import load_recipe
from cord.scoring import Criterion
from cord.scoring.predictive import PredictivePerplexity
from cord.scoring.simple import MaxLength, RandomChoice
from cord.search import Seat, decode
from cord.types import Problem, Trajectory
from cord.verification import verify

RECIPE = Path(__file__).parent.parent / "recipes" / "demo.yaml"
WIDTH = 4
BUDGET = 600
"""Tokens a problem, a little more than the beam of 4 samples."""


@dataclass(frozen=True)
class Answered:
    """What a method gave for one problem."""

    best: Trajectory
    tokens: int
    """Sampled in all, thrown-away ones included."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    method: str
    accuracy: float
    fidelity: float
    """Share of problems answered right with every step right: luck does not count."""
    score: float
    tokens: float
    seconds: float


Method = Callable[[Problem], Awaitable[Answered]]


async def measure(name: str, method: Method, ensemble: Ensemble, problems: list[Problem]) -> Row:
    """Run a method over all problems, many at once."""
    begun = time.perf_counter()
    in_flight = asyncio.Semaphore(64)

    async def one(problem: Problem) -> Answered:
        async with in_flight:
            return await method(problem)

    answered = await asyncio.gather(*(one(problem) for problem in problems))
    seconds = time.perf_counter() - begun
    judge = PredictivePerplexity(ensemble.meta_prover)
    scores = await asyncio.gather(
        *(judge.score(p, a.best.steps, p.id) for p, a in zip(problems, answered, strict=True))
    )
    right = [
        a.best.finished and verify("math", a.best.text, p.answer).outcome == "correct"
        for p, a in zip(problems, answered, strict=True)
    ]
    faithful = [
        ok and every_step_right(p.question, a.best.text)
        for p, a, ok in zip(problems, answered, right, strict=True)
    ]
    tokens = fmean(a.tokens for a in answered)
    return Row(name, fmean(right), fmean(faithful), fmean(scores), tokens, seconds)


def methods(recipe: Recipe, ensemble: Ensemble, seed: int) -> dict[str, Method]:
    """Every method of the table, by name."""
    settings = recipe.search
    score = PredictivePerplexity(ensemble.meta_prover)

    def search(
        criterion: Criterion, seats: Sequence[Seat] = ensemble.teachers, **changes: object
    ) -> Method:
        chosen = settings.model_copy(update={"width": WIDTH, **changes})

        async def run(problem: Problem) -> Answered:
            decoding = await decode(problem, seats, criterion, chosen, seed)
            return Answered(decoding.trajectories[0], decoding.proposed_tokens)

        return run

    table: dict[str, Method] = {
        f"{seat.name} alone": search(score, (seat,), strategy="curation", width=1)
        for seat in ensemble.teachers
    }
    table["max-length, beam 4"] = search(MaxLength(settings.max_step_tokens))
    table["random, beam 4"] = search(RandomChoice())
    table["greedy (beam 1)"] = search(score, strategy="greedy")
    table["curation of 12"] = search(score, strategy="curation")
    table["CoRD, beam 4"] = search(score)
    for strategy in ("greedy", "mcts", "beam"):
        table[f"{strategy}, {BUDGET} tokens"] = search(
            score, strategy=strategy, max_problem_tokens=BUDGET
        )
    table["CoRD, ranked by mean"] = search(score, rank_by="mean")
    table["CoRD, ranked steady"] = search(score, rank_by="steady")
    table["CoRD, chosen by mean"] = search(score, choose_by="mean")
    table["CoRD, chosen steady"] = search(score, choose_by="steady")
    return table


def figures_of(rows: dict[str, Row]) -> list[Figure]:
    """The paper's order, and the aims of the miniature."""
    accuracy = {name: row.accuracy for name, row in rows.items()}
    cord, curation = accuracy["CoRD, beam 4"], accuracy["curation of 12"]
    best_single = max(value for name, value in accuracy.items() if name.endswith("alone"))
    points = "points of accuracy"
    return [
        at_least("CoRD accuracy", cord, 0.93, "share correct"),
        at_least("CoRD over curation", 100 * (cord - curation), 8.0, points),
        at_least("curation over best single", 100 * (curation - best_single), 0.0, points),
        at_least("beam over greedy", 100 * (cord - accuracy["greedy (beam 1)"]), 0.0, points),
        at_least("beam over random", 100 * (cord - accuracy["random, beam 4"]), 0.0, points),
        at_least(
            "CoRD mean S over curation's",
            rows["CoRD, beam 4"].score - rows["curation of 12"].score,
            0.0,
            "S",
        ),
    ]


def draw(rows: list[Row], path: Path) -> None:
    """Accuracy by method as bars, each with what it cost."""
    import altair

    values = [
        {
            "method": row.method,
            "accuracy": row.accuracy,
            "label": f"{row.accuracy:.0%}  ·  {row.tokens:.0f} tokens a problem",
            "cord": row.method.startswith("CoRD"),
        }
        for row in rows
    ]
    base = altair.Chart(altair.InlineData(values=values)).encode(
        x=altair.X("accuracy:Q", scale=altair.Scale(domain=[0, 1.25]), axis=None),
        y=altair.Y("method:N", sort=None, title=None, axis=altair.Axis(ticks=False, domain=False)),
    )
    colour = altair.condition("datum.cord", altair.value("#2563eb"), altair.value("#b6c2d1"))
    chart = (
        base.mark_bar(height=18).encode(color=colour)
        + base.mark_text(align="left", dx=6, fontSize=12).encode(text="label:N")
    ).properties(
        width=620,
        title="Right answers on 200 held-out problems of the miniature",
        background="white",
    )
    chart.configure_view(stroke=None).configure_axis(labelFontSize=13).save(path)


async def run_all(count: int, seed: int) -> dict[str, Row]:
    """Measure every method on `count` held-out problems."""
    recipe = load_recipe(RECIPE)
    ensemble = open_ensemble(recipe, RECIPE.parent)
    problems = [
        Problem(f"benchmark-{i:04d}", puzzle.question, puzzle.answer)
        for i, puzzle in enumerate(benchmark_problems(count))
    ]
    print(f"{'method':<22} accuracy  all steps right  mean S  tokens a problem  seconds")
    rows: dict[str, Row] = {}
    for name, method in methods(recipe, ensemble, seed).items():
        row = rows[name] = await measure(name, method, ensemble, problems)
        print(
            f"{name:<22} {row.accuracy:8.3f} {row.fidelity:16.3f} {row.score:7.3f} "
            f"{row.tokens:17.1f} {row.seconds:8.1f}",
            flush=True,
        )
    return rows


def main() -> None:
    """Print the table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="40 problems instead of 200")
    parser.add_argument("--json", action="store_true", help="figures as JSON on the last line")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--picture", type=Path, help="draw the table into this .svg or .png")
    options = parser.parse_args()
    rows = asyncio.run(run_all(40 if options.quick else 200, options.seed))
    if options.picture is not None:
        draw(list(rows.values()), options.picture)
    report(figures_of(rows), options.json)


if __name__ == "__main__":
    main()
