"""Conversations of the miniature, and its smallest model as a student."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from cord.miniature.problems import write_problems
from cord.students.conversations import Conversation, Conversations
from cord.students.distil import distil
from cord.students.recipe import TrainSettings
from cord.students.start import find_start

START = find_start("cord:ada", Path())
SETTINGS = TrainSettings(epochs=3, batch=4, learning_rate=2e-3, gpus=0, seed=5)
"""Three epochs of three steps over twelve conversations."""


def conversations(count: int, folder: Path, seed: int = 3) -> Conversations:
    """Questions of the miniature, each with one text of its form; that it is the same text each
    time makes it quick to learn."""
    path = folder / "lessons.jsonl"
    write_problems(path, count, seed)
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    text = "### Step 1. 1+1=2\n\n### Step 2. 2+2=4\n</think>\n\nThe final answer is \\boxed{4}"
    found = tuple(Conversation(row["id"], row["question"], text) for row in rows)
    return Conversations(found, "lessons", len(found))


def die_at_step_7(data: Conversations, out: Path) -> None:
    """Train, and be killed within the third epoch."""

    def watch(step: int, steps: int, loss: float) -> None:
        if step == 7:
            os.kill(os.getpid(), signal.SIGKILL)

    distil(START, data, out, SETTINGS, watch=watch)
