"""A student of cord's smallest size, trained for real: it learns, it stops, it goes on."""

from __future__ import annotations

import json
import multiprocessing
import signal
import threading
import time
from pathlib import Path

import pytest
from students.lessons import SETTINGS, START, conversations, die_at_step_7

from cord.engines import ProposalRequest
from cord.engines.embedded.engine import open_embedded
from cord.engines.model_identity import identity_of
from cord.errors import CordError, UsageError
from cord.prompts import PLAIN_INSTRUCTIONS
from cord.scheduler import Stopped
from cord.students.conversations import Conversation, Conversations
from cord.students.distil import Training, distil, finished, losses_of, training_fingerprint
from cord.students.job import Place
from cord.students.recipe import TrainSettings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Conversations:
    return conversations(12, tmp_path_factory.mktemp("lessons"))


@pytest.fixture(scope="module")
def undisturbed(data: Conversations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student trained in peace."""
    out = tmp_path_factory.mktemp("students") / "undisturbed"
    distil(START, data, out, SETTINGS)
    return out


async def test_it_learns_what_it_reads_and_speaks_as_any_other_model(undisturbed, data):
    losses = losses_of(undisturbed)
    assert [point.step for point in losses] == list(range(1, 10)), "three epochs of three steps"
    assert losses[-1].loss < 0.5 * losses[0].loss
    assert losses[0].learning_rate > losses[-1].learning_rate, "a cosine to zero"
    training = Training.model_validate_json((undisturbed / "training.json").read_text())
    assert (training.examples, training.steps, training.too_long) == (12, 9, ())
    assert training.first_loss == losses[0].loss and training.learnt_tokens < training.tokens
    assert "trl" in training.versions and (undisturbed / "losses.svg").read_text().count("polyline")
    assert not list(undisturbed.rglob("checkpoint-*")) and not list(undisturbed.rglob("*.md"))

    engine = open_embedded(str(undisturbed), PLAIN_INSTRUCTIONS)
    assert (await engine.describe()).identity != START.identity
    asked = ProposalRequest(data.rows[0].question, (), "", (), 120, 0.0, 0)
    said = await engine.propose(asked)
    await engine.close()
    assert said.finish == "end" and said.text.startswith("### Step 1.")
    assert "</think>\n\nThe final answer is \\boxed{" in said.text


def test_a_finished_student_is_not_trained_again_and_another_never_overwrites_it(
    undisturbed, data, tmp_path
):
    before = identity_of(undisturbed)
    begun, steps = time.monotonic(), list[int]()
    distil(START, data, undisturbed, SETTINGS, watch=lambda step, *_: steps.append(step))
    assert not steps and time.monotonic() - begun < 10 and identity_of(undisturbed) == before
    # How it is carried out makes no other student; what it reads or how it learns does.
    same = SETTINGS.model_copy(update={"at_once": 2, "recompute": True})
    assert finished(undisturbed, training_fingerprint(START, data, same, PLAIN_INSTRUCTIONS))
    for settings, rows in (
        (SETTINGS.model_copy(update={"epochs": 4}), data.rows),
        (SETTINGS, data.rows[1:]),
    ):
        with pytest.raises(UsageError, match="holds another student"):
            distil(START, Conversations(rows, "x", 12), undisturbed, settings)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty, and holds no student"):
        distil(START, data, tmp_path, SETTINGS)


def test_a_stop_keeps_the_step_and_the_same_call_gives_what_an_undisturbed_one_gives(
    undisturbed, data, tmp_path
):
    stop, seen = threading.Event(), []

    def watch(step: int, steps: int, loss: float) -> None:
        seen.append(step)
        if step == 5:
            stop.set()

    out = tmp_path / "stopped"
    with pytest.raises(Stopped):
        distil(START, data, out, SETTINGS, watch=watch, stop=stop)
    assert seen[-1] == 5 and not (out / "training.json").exists()
    distil(START, data, out, SETTINGS, watch=lambda step, *_: seen.append(step))
    assert seen == [*range(1, 6), *range(6, 10)], "no step twice"
    assert losses_of(out)[-1].loss == pytest.approx(losses_of(undisturbed)[-1].loss, rel=1e-5)
    assert identity_of(out) == identity_of(undisturbed), "to the last byte"


def test_kill_9_costs_the_steps_since_the_last_epoch(undisturbed, data, tmp_path):
    out = tmp_path / "killed"
    victim = multiprocessing.get_context("spawn").Process(target=die_at_step_7, args=(data, out))
    victim.start()
    victim.join(300)
    assert victim.exitcode == -signal.SIGKILL
    whole = Place(out).checkpoint()
    assert whole is not None and whole.name == "checkpoint-6"
    torn = out / "training" / "checkpoint-9"  # as a kill within a checkpoint leaves it
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    seen: list[int] = []
    distil(START, data, out, SETTINGS, watch=lambda step, *_: seen.append(step))
    assert seen == [7, 8, 9]
    assert identity_of(out) == identity_of(undisturbed)


def test_two_processes_do_not_train_into_one_folder(data, tmp_path):
    out = tmp_path / "shared"
    refused: list[str] = []

    def watch(step: int, steps: int, loss: float) -> None:
        if step == 1:
            try:
                distil(START, data, out, SETTINGS)
            except CordError as error:
                refused.append(str(error))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distil(START, data, out, SETTINGS, watch=watch)
    assert refused == [f"another process trains the student in {out}; wait for it"]


def test_what_is_too_long_is_said_and_left_out(data, tmp_path):
    long = Conversation("long", data.rows[0].question, "1" * 400)
    said: list[str] = []
    brief = SETTINGS.model_copy(update={"epochs": 1, "max_tokens": 150})
    rows = Conversations((*data.rows[:4], long), "x", 5)
    training = distil(START, rows, tmp_path / "s", brief, say=said.append)
    assert training.too_long == ("long",) and training.examples == 4
    assert said == ["1 conversations are longer than 150 tokens and left out (long)"]


def test_accelerate_trains_in_processes_of_its_own(data, tmp_path):
    """The road of several GPUs; where there is none, its processes train on the CPU."""
    from cord.engines.embedded.chat_tokenizer import ChatTokenizer
    from cord.students.examples import examples
    from cord.students.job import Job, write_examples
    from cord.students.launch import launch

    place = Place(tmp_path / "out")
    place.work.mkdir(parents=True)
    assert START.folder is not None
    made = examples(data.rows, ChatTokenizer.from_folder(START.folder, ""), 200)
    settings = TrainSettings(epochs=2, batch=4, learning_rate=2e-3, gpus=2, precision="float32")
    job = Job(fingerprint="f", start=str(START.folder), settings=settings)
    place.job.write_text(job.model_dump_json())
    write_examples(place.examples, made.rows)
    seen: list[tuple[int, int]] = []
    losses = launch(settings, place, lambda step, steps, _: seen.append((step, steps)))
    assert [point.step for point in losses] == [1, 2, 3, 4, 5, 6]
    assert losses[-1].loss < losses[0].loss
    assert (place.model / "model.safetensors").is_file() and seen[-1][1] == 6
    assert json.loads((place.model / "config.json").read_text())["hidden_size"] == 96
