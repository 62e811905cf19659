"""A student, from its data to its folder: laid down, trained, finished; once.

`distil` may be called from anywhere in a process (a flow that trains dozens of small students does)
and is safe to repeat after any end: a finished student is recognised by the fingerprint in its
`training.json`, an unfinished one goes on from its newest checkpoint.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Event
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from cord.errors import CordError, UsageError
from cord.fingerprint import fingerprint
from cord.prompts import PLAIN_INSTRUCTIONS
from cord.students.conversations import Conversations
from cord.students.curve import loss_svg
from cord.students.job import Job, Loss, Place, write_examples, write_whole
from cord.students.recipe import TrainSettings
from cord.students.start import Start

ALGORITHM = 1
"""Raised when the same settings and texts make another student."""
_CARRIED_OUT = ("precision", "gpus", "at_once", "deepspeed", "offload", "recompute")
"""How training is carried out: the same student but for rounding."""
_OF_THE_TOKENIZER = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "chat_template*",
    "generation_config.json",
    "LICENSE*",
)
"""Copied as they are: a student speaks as the model that it starts from."""
_PACKAGES = ("cord-factory", "torch", "transformers", "trl", "accelerate", "deepspeed")

Watch = Callable[[int, int, float], None]
"""Called with step, steps and the latest loss."""


class Training(BaseModel):
    """What was trained, on what, and how it went: `training.json` in the student's folder."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    fingerprint: str
    """Everything that decides the weights, but for rounding."""
    start: str
    """As the recipe names it."""
    start_identity: str
    data: str
    """`release limo@3`."""
    data_fingerprint: str
    instructions: str
    settings: TrainSettings
    available: int
    """Conversations in the source."""
    conversations: int
    """Of them, those that were drawn (`data.limit`)."""
    too_long: tuple[str, ...]
    """Ids of those that were left out for `max_tokens`."""
    examples: int
    """Those that were learnt from."""
    tokens: int
    """Of one epoch, prompts included."""
    learnt_tokens: int
    """Of one epoch, those that carry loss."""
    steps: int
    first_loss: float | None
    last_loss: float | None
    """Mean of the last tenth of the curve."""
    seconds: float
    """Of the process that finished it."""
    ended_at: AwareDatetime
    versions: dict[str, str]


def training_fingerprint(
    start: Start, data: Conversations, settings: TrainSettings, instructions: str
) -> str:
    """Names what is to be trained."""
    chosen = settings.model_dump(mode="json")
    for name in _CARRIED_OUT:
        del chosen[name]
    return fingerprint(
        {
            "algorithm": ALGORITHM,
            "start": start.identity,
            "data": data.fingerprint,
            "instructions": instructions,
            "train": chosen,
        }
    )


def finished(out: Path, wanted: str) -> Training | None:
    """The finished student in `out`, or None where it is not finished.

    Raises `UsageError` where another one is there, finished or begun, or anything else."""
    place = Place(out)
    known = _read(place.finished)
    if known is not None and known.fingerprint == wanted:
        return known
    begun = _begun(place)
    if known is not None or (begun is not None and begun != wanted):
        raise UsageError(
            f"{out} holds another student ({'finished' if known else 'begun'}): its data, settings "
            "or starting point differ; choose another --out, or remove the folder"
        )
    if begun is None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty, and holds no student; choose another --out")
    return None


def distil(
    start: Start,
    data: Conversations,
    out: Path,
    settings: TrainSettings,
    instructions: str = PLAIN_INSTRUCTIONS,
    watch: Watch = lambda *_: None,
    stop: Event | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Training:
    """Train a student into the folder `out`, or go on with it; a finished one is only read.

    Raises `UsageError` for what is in the way or cannot be used, `CordError` when training fails,
    `Stopped` once `stop` is set; the same call then goes on."""
    wanted = training_fingerprint(start, data, settings, instructions)
    known = finished(out, wanted)
    if known is not None:
        return known
    begun = time.monotonic()
    apart = runs_apart(settings)
    with _alone(out):
        folder = start.fetched()
        examples = _examples(data, folder, instructions, settings.max_tokens)
        if examples.too_long:
            first = ", ".join(examples.too_long[:3])
            say(
                f"{len(examples.too_long)} conversations are longer than {settings.max_tokens} "
                f"tokens and left out ({first}{', ...' if len(examples.too_long) > 3 else ''})"
            )
        place = Place(out)
        job = Job(fingerprint=wanted, start=str(folder), settings=settings)
        _lay_down(place, job)
        losses = _carry_out(job, place, examples.rows, watch, stop, apart)
        training = Training(
            fingerprint=wanted,
            start=start.name,
            start_identity=start.identity,
            data=data.source,
            data_fingerprint=data.fingerprint,
            instructions=instructions,
            settings=settings,
            available=data.available,
            conversations=len(data.rows),
            too_long=examples.too_long,
            examples=len(examples.rows),
            tokens=examples.tokens,
            learnt_tokens=examples.learnt,
            steps=losses[-1].step if losses else 0,
            first_loss=losses[0].loss if losses else None,
            last_loss=_last_loss(losses),
            seconds=round(time.monotonic() - begun, 3),
            ended_at=datetime.now(UTC).replace(microsecond=0),
            versions=_versions(),
        )
        _finish(place, folder, training, losses)
    return training


def losses_of(out: Path) -> list[Loss]:
    """The loss curve of a finished student."""
    lines = Place(out).losses.read_text("utf-8").splitlines()
    return [Loss.model_validate_json(line) for line in lines]


def _examples(data: Conversations, folder: Path, instructions: str, max_tokens: int) -> Any:
    # Imported here: transformers takes seconds, and a finished student never needs it.
    from cord.engines.embedded.chat_tokenizer import ChatTokenizer
    from cord.students.examples import examples

    return examples(data.rows, ChatTokenizer.from_folder(folder, instructions), max_tokens)


def runs_apart(settings: TrainSettings) -> bool:
    """Whether a training runs outside this process. All that it needs is here, or it is said.

    Raises `UsageError` naming what is missing."""
    from cord.students import launch

    if not _has_trl():
        raise UsageError(
            "the package trl is missing, which trains students; run "
            "pip install 'cord-factory[train]'"
        )
    if not settings.launched and (settings.gpus == 0 or _visible_gpus() <= 1):
        return False
    launch.require(settings)
    _check_gpus(settings)
    return True


def _carry_out(
    job: Job, place: Place, rows: Any, watch: Watch, stop: Event | None, apart: bool
) -> list[Loss]:
    if apart:
        from cord.students.launch import launch

        write_examples(place.examples, rows)
        return launch(job.settings, place, watch, stop)
    from cord.students.train import train

    return train(job, place, rows, watch, stop.is_set if stop is not None else lambda: False)


def _has_trl() -> bool:
    try:
        version("trl")
    except PackageNotFoundError:
        return False
    return True


def _visible_gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _check_gpus(settings: TrainSettings) -> None:
    found = _visible_gpus()
    if found < settings.devices:
        raise UsageError(
            f"train.gpus is {settings.devices}, and {found or 'none'} can be seen here; train on a "
            "host that has them, or give fewer"
        )


def _lay_down(place: Place, job: Job) -> None:
    try:
        place.work.mkdir(parents=True, exist_ok=True)
        write_whole(place.job, job.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise CordError(f"{place.out} cannot be written: {error.strerror or error}") from None


def _finish(place: Place, folder: Path, training: Training, losses: list[Loss]) -> None:
    """Move the model to where it belongs; `training.json`, the last, makes it a student."""
    for path in sorted(place.model.iterdir()):
        if path.suffix == ".safetensors" or path.name in (
            "config.json",
            "model.safetensors.index.json",
        ):
            os.replace(path, place.out / path.name)
    for pattern in _OF_THE_TOKENIZER:
        for path in folder.glob(pattern):
            if path.is_file():
                shutil.copyfile(path, place.out / path.name)
    write_whole(place.losses, "".join(loss.model_dump_json() + "\n" for loss in losses))
    title = f"{training.start} on {training.data}: loss"
    write_whole(place.out / "losses.svg", loss_svg(losses, title))
    write_whole(place.finished, training.model_dump_json(indent=2) + "\n")
    for left in (place.model, *place.work.glob("checkpoint-*")):
        shutil.rmtree(left, ignore_errors=True)
    for name in (place.examples, place.progress):
        name.unlink(missing_ok=True)


def _last_loss(losses: list[Loss]) -> float | None:
    last = [point.loss for point in losses[-max(1, len(losses) // 10) :]]
    return sum(last) / len(last) if last else None


def _read(path: Path) -> Training | None:
    try:
        return Training.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None


def _begun(place: Place) -> str | None:
    """The fingerprint of the training that was begun there."""
    try:
        return str(json.loads(place.job.read_text("utf-8"))["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """One process trains into a folder; the lock is gone with it. Raises `CordError`."""
    try:
        (out / "training").mkdir(parents=True, exist_ok=True)
        lock = (out / "training" / ".lock").open("w")
    except OSError as error:
        raise CordError(f"{out} cannot be written: {error.strerror or error}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CordError(f"another process trains the student in {out}; wait for it") from None
        yield


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
