"""The students of a grid: one on each variant's data for each seed, and what each came to.

    for each variant and seed: train (unless its folder has it) ─> evaluate (unless the lake has it)

All start from the same model, read the same number of conversations, and are measured on the same
problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cord.ablation.measures import Measures
from cord.ablation.page import StudentResult
from cord.ablation.recipe import Ablation, StudentGrid
from cord.errors import CordError
from cord.intervals import Interval, mean_interval
from cord.lake import open_lake
from cord.lake.runs.run_tables import trajectories_of
from cord.recipe import find_beside
from cord.recipe_file import load_recipe
from cord.scheduler import Stopped
from cord.students.recipe import DistillRecipe, EvaluateRecipe
from flows.ablate_cells import Carried, Share
from flows.launch_students import STUDENTS
from tasks.board import ABLATION_LOG, BOARD
from tasks.distill import train_student
from tasks.evaluate import evaluate_model

Shares = dict[str, dict[str, float]]
"""By benchmark and problem, the share of right answers."""


@dataclass(frozen=True, slots=True)
class Taught:
    """One student, or one model to compare it with."""

    name: str
    """The variant whose data it read, or the model's own name."""
    records: int
    """That it read; 0 of a model that is only measured."""
    shares: Shares

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"name": self.name, "records": self.records, "shares": self.shares}


@dataclass(frozen=True, slots=True)
class Schooling:
    """How a grid's students are trained and measured: two recipes, each with the folder that its
    paths are relative to."""

    distill: DistillRecipe
    distill_folder: str
    evaluate: EvaluateRecipe
    evaluate_folder: str


def schooling_of(students: StudentGrid, folder: Path) -> Schooling:
    """Read both recipes, which stand beside the grid's own. Raises `RecipeError`."""
    distill = Path(find_beside(students.recipe, folder))
    evaluate = Path(find_beside(students.evaluate, folder))
    return Schooling(
        load_recipe(distill, kind=DistillRecipe),
        str(distill.parent),
        load_recipe(evaluate, kind=EvaluateRecipe),
        str(evaluate.parent),
    )


def teach(
    lake: str,
    ablation: Ablation,
    folder: Path,
    carried: Carried,
    share: Share,
    others: Callable[[], None] | None = None,
) -> list[dict[str, Any]]:
    """Train and measure this process's part of the students whose runs are done; then, where
    `others` waits for the other processes, whatever those have left undone.

    Failures go to `carried.missing`; returns what is known of each student. Raises `Stopped`."""
    students = ablation.students
    assert students is not None
    schooling = schooling_of(students, folder)
    wanted = [
        (variant, seed, carried.runs[f"{variant}/{seed}"])
        for seed in ablation.seeds
        for variant in students.variants
        if f"{variant}/{seed}" in carried.runs
    ]
    records = students.records or min((_finished(lake, run) for _, _, run in wanted), default=0)
    places = {pupil: place for place, pupil in enumerate(wanted, start=1)}

    def taught(pupil: tuple[str, int, str]) -> Taught | None:
        variant, seed, run = pupil
        BOARD.heading = f"student {places[pupil]} of {len(wanted)} ({variant}, seed {seed})"
        if BOARD.stop.is_set():
            raise Stopped("stopped on request")
        try:
            return _student(lake, ablation.name, schooling, variant, seed, run, records)
        except Stopped:
            raise
        except CordError as error:
            carried.missing.append(f"student on {variant}, seed {seed}: {error}")
            ABLATION_LOG.warning("%s failed: %s", BOARD.heading, error)
            return None

    mine = share.part(wanted)
    known = {pupil: taught(pupil) for pupil in mine}
    if others is None:
        return [one.to_json() for one in known.values() if one is not None]
    starts = [
        Taught(model.name, 0, _measured(lake, schooling, model.model_dump(mode="json")))
        for model in schooling.evaluate.models
    ]
    BOARD.heading = "the other processes' students"
    BOARD.begin(0)
    others()
    known |= {pupil: taught(pupil) for pupil in wanted if pupil not in known}
    in_order = [*starts, *(known[pupil] for pupil in wanted)]
    return [one.to_json() for one in in_order if one is not None]


def _finished(lake: str, run_id: str) -> int:
    """Trajectories of a run that a student may read."""
    rows = trajectories_of(open_lake(lake), run_id)
    return len({row["problem_id"] for row in rows if row["finished"]})


def _student(
    lake: str,
    grid: str,
    schooling: Schooling,
    variant: str,
    seed: int,
    run_id: str,
    records: int,
) -> Taught:
    name = f"{grid}-{variant}-{seed}"
    recipe = schooling.distill.model_dump(mode="json")
    recipe["data"] = {"run": run_id, "limit": records}
    recipe["train"]["seed"] = seed
    out = str((STUDENTS / grid / f"{variant}-{seed}").absolute())
    training = train_student(name, recipe, schooling.distill_folder, lake, out)
    model = {"name": name, "model": out, "engine": "embedded"}
    return Taught(variant, int(training["examples"]), _measured(lake, schooling, model))


def _measured(lake: str, schooling: Schooling, model: dict[str, Any]) -> Shares:
    recipe = {**schooling.evaluate.model_dump(mode="json"), "models": [model]}
    folder = schooling.evaluate_folder
    return {
        benchmark.name: evaluate_model(lake, recipe, folder, model["name"], benchmark.name)[
            "shares"
        ]
        for benchmark in schooling.evaluate.benchmarks
    }


def student_results(
    ablation: Ablation,
    taught: list[dict[str, Any]],
    measured: Mapping[tuple[str, int], Measures],
) -> list[StudentResult]:
    """What the students came to, over seeds, in the order of the recipe; first the models that are
    only compared with, as `model NAME`: a teacher has the name of a variant, often."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for one in taught:
        name = one["name"] if one["records"] else f"model {one['name']}"
        by_name.setdefault(name, []).append(one)
    return [
        StudentResult(
            name=name,
            records=round(sum(one["records"] for one in all_seeds) / len(all_seeds)),
            fidelity=_fidelity(name, measured),
            scores=dict(_scores([one["shares"] for one in all_seeds])),
        )
        for name, all_seeds in by_name.items()
    ]


def _scores(students: list[Shares]) -> Iterator[tuple[str, Interval]]:
    for benchmark in students[0]:
        problems = sorted(students[0][benchmark])
        each = [[one[benchmark][problem] for problem in problems] for one in students]
        yield (
            benchmark,
            mean_interval([sum(shares) / len(shares) for shares in zip(*each, strict=True)]),
        )


def _fidelity(variant: str, measured: Mapping[tuple[str, int], Measures]) -> float | None:
    known = [
        bool(m.faithful)
        for (name, _), measures in measured.items()
        if name == variant
        for m in measures.problems
        if m.faithful is not None
    ]
    return sum(known) / len(known) if known else None
