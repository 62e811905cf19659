"""A grid of variants and seeds: each cell a run of `flows.refresh`, then one report.

    for each cell: run (unless the lake has it) ─> measure         flows.ablate_cells
    students (where asked for)                                     flows.ablate_students
    report

Every cell is a run like any other, so that whatever interrupts a grid, the same command goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow

from cord.ablation.cells import base_of, cells_of
from cord.ablation.measures import Measures, load_measures
from cord.ablation.page import StudentResult
from cord.ablation.recipe import Ablation
from cord.lake import Lake, open_lake
from flows.ablate_cells import Share, carry_out_cells, key_of
from flows.ablate_companions import companions
from flows.ablate_students import student_results, teach
from flows.at_work import in_its_own_thread
from flows.heartbeats import beating
from flows.launch import run_id_of
from tasks.board import BOARD


@dataclass(frozen=True)
class Grid:
    """What a grid came to."""

    lake: Lake
    measured: Mapping[tuple[str, int], Measures]
    """By variant and seed."""
    missing: list[str]
    """Cells that failed or are not done, each with its reason."""
    students: list[StudentResult]


@flow(
    name="ablate",
    flow_run_name="{name}",
    persist_result=False,
    result_serializer="json",
    log_prints=False,
)
def ablate(lake: str, name: str, ablation: dict[str, Any], folder: str) -> dict[str, Any]:
    """Carry out what is missing of the grid; returns {"runs": {"VARIANT/SEED": run}, "missing",
    "students"}.

    `ablation` is the recipe in plain JSON types, `folder` where its paths are relative to. A cell
    that fails is named under `missing` and the others are carried out all the same. Raises
    `Stopped` when the user asks to stop."""
    with beating():
        asked = Ablation.model_validate(ablation, strict=False)
        return in_its_own_thread(lambda: _carry_out(lake, asked, Path(folder)))


def _carry_out(lake: str, ablation: Ablation, folder: Path) -> dict[str, Any]:
    share = Share(0, ablation.at_once)
    with companions(lake, ablation, folder) as others:
        carried = carry_out_cells(lake, ablation, folder, share)
        students = []
        if ablation.students is not None:
            students = teach(lake, ablation, folder, carried, share, others.finish)
    BOARD.heading = ""
    return {"runs": carried.runs, "missing": carried.missing, "students": students}


def carry_out_grid(ablation: Ablation, folder: Path, lake_uri: str) -> Grid:
    """Carry out what the lake lacks of a grid. Raises `Stopped`, and `LakeError`."""
    from flows.prefect_server import prefect_server

    lake = open_lake(lake_uri, create=True)
    BOARD.enter("starting Prefect")
    with prefect_server():
        asked = ablation.model_dump(mode="json")
        done = ablate(lake.uri, ablation.name, asked, str(folder), return_state=True).result()
    assert isinstance(done, dict)
    keep_students(lake, ablation, done["students"])
    return _grid(lake, ablation, done["runs"], done["missing"])


def known_grid(ablation: Ablation, folder: Path, lake_uri: str) -> Grid:
    """What the lake has of a grid: nothing is run. Raises `LakeError`."""
    lake, base = open_lake(lake_uri), base_of(ablation, folder)
    runs: dict[str, str] = {}
    missing: list[str] = []
    for cell in cells_of(ablation):
        run_id = run_id_of(base, lake_uri, cell.changes)
        if load_measures(lake, run_id) is None:
            missing.append(f"{cell.title}: not done")
        else:
            runs[key_of(cell)] = run_id
    return _grid(lake, ablation, runs, missing)


def _grid(lake: Lake, ablation: Ablation, runs: Mapping[str, str], missing: list[str]) -> Grid:
    of_cell = {
        (c.variant, c.seed): runs[key_of(c)] for c in cells_of(ablation) if key_of(c) in runs
    }
    measured = {cell: load_measures(lake, run_id) for cell, run_id in of_cell.items()}
    known = {cell: measures for cell, measures in measured.items() if measures is not None}
    students = student_results(ablation, known_students(lake, ablation), known)
    return Grid(lake, known, missing, students)


def keep_students(lake: Lake, ablation: Ablation, students: list[dict[str, Any]]) -> None:
    """Keep what the students came to, for `known_grid`; what they answered is in the lake too."""
    if ablation.students is not None:
        content = json.dumps(students, indent=2) + "\n"
        lake.store.write(_students_key(ablation), content.encode())


def known_students(lake: Lake, ablation: Ablation) -> list[dict[str, Any]]:
    """What was kept."""
    content = lake.store.read(_students_key(ablation)) if ablation.students else None
    return [] if content is None else list(json.loads(content))


def _students_key(ablation: Ablation) -> str:
    return f"ablations/{ablation.name}/students.json"
