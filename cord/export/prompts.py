"""What stands in front of a chosen and a rejected text, as one string.

Pairs are strings, not conversations: a chat template closes an assistant's message, so that no
message can be half a trajectory, and those of R1 and QwQ delete the thinking of every message.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from cord.errors import UsageError
from cord.prompts import THINK_OPEN

Prompt = Callable[[str, str], str]
"""(question, prefix) to the prompt; the prefix is what stands behind `<think>\\n`."""


def plain(question: str, prefix: str) -> str:
    """For any tokenizer: the question, a blank line, the opened thinking, the prefix."""
    return f"{question}\n\n{THINK_OPEN}\n{prefix}"


def worded(tokenizer: str | None, instructions: str) -> Prompt:
    """How prompts are worded: plainly, or as the student of this name or folder is asked, with its
    own chat template and these instructions.

    The file's trainer adds a beginning-of-sequence token itself where the tokenizer does; then it
    is left out here. Raises `UsageError` for a tokenizer that cannot be had or used."""
    if tokenizer is None:
        return plain
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    from cord.engines.embedded.chat_tokenizer import ChatTokenizer

    place = tokenizer
    if tokenizer.startswith("cord:"):
        shipped = Path(str(files("cord.miniature"))) / "models" / tokenizer.removeprefix("cord:")
        place = str(shipped)
    try:
        loaded = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    except Exception as error:  # transformers and the hub's library raise of many kinds
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"--tokenizer {tokenizer}: it cannot be loaded ({first[:200]}); name a model's folder, "
            "or its name on the hub"
        ) from None
    if not isinstance(loaded, PreTrainedTokenizerFast) or not loaded.chat_template:
        raise UsageError(
            f"--tokenizer {tokenizer}: it is no fast tokenizer with a chat template; leave it out, "
            "and prompts are worded plainly"
        )
    student = ChatTokenizer(loaded, instructions)
    if student.form.channels:
        raise UsageError(
            f"--tokenizer {tokenizer}: this model writes its thinking on channels, not behind "
            f"{THINK_OPEN}; leave it out, and prompts are worded plainly"
        )
    begin = loaded.bos_token or ""
    added = bool(begin) and loaded("").input_ids[:1] == [loaded.bos_token_id]

    def as_asked(question: str, prefix: str) -> str:
        text = student.prompt_text(question)
        return (text.removeprefix(begin) if added else text) + prefix

    return as_asked
