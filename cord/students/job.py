"""One training, laid down in a folder: everything that a process needs to carry it out.

OUT/training.json          written last: what was trained, on what, with which losses
OUT/config.json, ...       the model, in Hugging Face's layout
OUT/losses.jsonl, .svg     the loss curve
OUT/training/              job.json, examples, checkpoints; accelerate.yaml where it launches
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from cord.students.examples import IGNORED, Example
from cord.students.recipe import TrainSettings

FINISHED = "training.json"


class Job(BaseModel):
    """What is to be trained, and on what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint: str
    """Everything that decides the weights."""
    start: str
    """Folder of the model that it starts from."""
    settings: TrainSettings


class Loss(BaseModel):
    """One point of the curve."""

    model_config = ConfigDict(frozen=True)

    step: int
    epoch: float
    loss: float
    """Mean over the learnt tokens of the steps since the point before, natural log."""
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where things lie in an output folder."""

    out: Path

    @property
    def finished(self) -> Path:
        """Stands when all is done."""
        return self.out / FINISHED

    @property
    def work(self) -> Path:
        """What only a training under way needs."""
        return self.out / "training"

    @property
    def job(self) -> Path:
        """The job, as a launched process reads it."""
        return self.work / "job.json"

    @property
    def examples(self) -> Path:
        """The examples, as a launched process reads them."""
        return self.work / "examples.jsonl"

    @property
    def progress(self) -> Path:
        """What a launched process has come to."""
        return self.work / "progress.json"

    @property
    def stop(self) -> Path:
        """Stands when launched processes are to stop."""
        return self.work / "stop"

    @property
    def model(self) -> Path:
        """Where the trained weights are laid before they are moved to where they belong."""
        return self.work / "model"

    @property
    def losses(self) -> Path:
        """The loss curve."""
        return self.out / "losses.jsonl"

    def checkpoint(self) -> Path | None:
        """The newest whole checkpoint. One that a kill has torn lacks its state, which is written
        last."""
        found: list[tuple[int, Path]] = []
        for folder in self.work.glob("checkpoint-*"):
            try:
                state = json.loads((folder / "trainer_state.json").read_text("utf-8"))
                found.append((int(state["global_step"]), folder))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return max(found)[1] if found else None


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody sees half of it, whatever kills this process."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def write_examples(path: Path, rows: Iterable[Example]) -> None:
    """The examples as JSON lines: ids, and how many of them are the prompt's."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        for row in rows:
            prompt = len(row.labels) - row.learnt
            file.write(json.dumps({"ids": row.ids, "prompt": prompt}) + "\n")
    os.replace(part, path)


def read_examples(path: Path) -> Iterator[Example]:
    """What `write_examples` wrote."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            ids, prompt = tuple(row["ids"]), row["prompt"]
            yield Example(ids, (*([IGNORED] * prompt), *ids[prompt:]))
