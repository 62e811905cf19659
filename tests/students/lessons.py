"""Conversations of the miniature, and its smallest model as a student."""

from __future__ import annotations

import json
from pathlib import Path

from cord.miniature.problems import write_problems
from cord.students.conversations import Conversation, Conversations

STUDENT = "cord:ada"


def conversations(count: int, folder: Path, seed: int = 3) -> Conversations:
    """Questions of the miniature, each with one text of its form; that it is the same text each
    time makes it quick to learn."""
    path = folder / "lessons.jsonl"
    write_problems(path, count, seed)
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    text = "### Step 1. 1+1=2\n\n### Step 2. 2+2=4\n</think>\n\nThe final answer is \\boxed{4}"
    found = tuple(Conversation(row["id"], row["question"], text) for row in rows)
    return Conversations(found, "lessons", len(found))
