"""Train a student: its data out of the lake or a file, its model into a folder."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from prefect import task

from cord.lake import open_lake
from cord.students.conversations import read_conversations
from cord.students.distil import Training, distil
from cord.students.recipe import DistillRecipe
from cord.students.start import find_start
from tasks import artifacts
from tasks.board import BOARD, DASHBOARD_LOG
from tasks.policy import OPTIONS

SHOW_EVERY_S = 2.0


@task(name="train", task_run_name="train {name}", **{**OPTIONS, "retries": 0})
def train_student(
    name: str, recipe: dict[str, Any], folder: str, lake_uri: str | None, out: str
) -> dict[str, Any]:
    """Train what the recipe says, from the newest checkpoint in `out` where there is one.

    Not tried again by itself: what makes a training fail (no memory, say) does so again, and the
    same command goes on from the last checkpoint. Returns what `training.json` holds."""
    wanted = DistillRecipe.model_validate_json(json.dumps(recipe))
    settings = wanted.train
    BOARD.enter("reading the data")
    lake = open_lake(lake_uri) if lake_uri is not None else None
    data = read_conversations(wanted.data, Path(folder), lake, settings.seed)
    start = find_start(wanted.student, Path(folder), wanted.revision)
    progress = artifacts.Progress(name, "steps of training")
    shown = time.monotonic()

    def watch(step: int, steps: int, loss: float) -> None:
        nonlocal shown
        if BOARD.total != steps:
            BOARD.begin(steps, "steps")
        BOARD.reached(step)
        BOARD.enter("training", "" if math.isnan(loss) else f"loss {loss:.4f}")
        if time.monotonic() - shown > SHOW_EVERY_S:
            shown = time.monotonic()
            progress.show(step / steps)

    BOARD.enter("preparing the training")
    training = distil(
        start, data, Path(out), settings, wanted.instructions, watch, BOARD.stop, _tell
    )
    progress.show(1.0)
    artifacts.page(name, "training", _page(name, training), f"What {name} was trained on, and how")
    return training.model_dump(mode="json")


def _tell(sentence: str) -> None:
    DASHBOARD_LOG.warning("%s", sentence)


def _page(name: str, training: Training) -> str:
    rows = {
        "starts from": training.start,
        "data": training.data,
        "conversations": training.conversations,
        "longer than max_tokens, left out": len(training.too_long),
        "tokens learnt, of one epoch": training.learnt_tokens,
        "steps": training.steps,
        "first loss": training.first_loss,
        "last loss": training.last_loss,
        **training.settings.model_dump(mode="json", exclude_none=True),
    }
    lines = [f"# {name}", "", "| | |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in rows.items()]
    return "\n".join(lines) + "\n"
