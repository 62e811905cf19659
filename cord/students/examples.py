"""From conversations to token ids, and which of them are learnt.

    <|user|>What is 2+3?<|assistant|><think>\\n### Step 1. ...</think>\\n\\n...\\boxed{5}<|eos|>
    └────────────── not learnt ──────────────┘└───────────────── learnt ─────────────────┘

The prompt is the very one that the engines put to a model (`ChatTokenizer`: chat template,
instructions, opened thinking), so that a student is asked as it was taught. It is rendered by
itself: the templates of reasoning models (R1, QwQ) delete the thinking of an assistant message.
What a question or a text holds that looks like a special token stays plain text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cord.errors import EngineError, UsageError
from cord.students.conversations import Conversation

if TYPE_CHECKING:
    from cord.engines.embedded.chat_tokenizer import ChatTokenizer

IGNORED = -100
"""The label that the loss leaves out."""


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation in ids; the two run in parallel."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    """The ids again, `IGNORED` over the prompt."""

    @property
    def learnt(self) -> int:
        """How many tokens carry loss."""
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True, slots=True)
class Examples:
    """All that fits, and what does not."""

    rows: tuple[Example, ...]
    too_long: tuple[str, ...]
    """Ids of conversations of more than `max_tokens`: left out, never cut."""

    @property
    def tokens(self) -> int:
        """Of one epoch."""
        return sum(len(row.ids) for row in self.rows)

    @property
    def learnt(self) -> int:
        """Tokens of one epoch that carry loss."""
        return sum(row.learnt for row in self.rows)


def example(conversation: Conversation, tokenizer: ChatTokenizer) -> Example:
    """One conversation in a student's ids, the end of its turn behind it. Raises `EngineError`."""
    end = tokenizer.end_id
    if end is None:
        raise EngineError(
            "the student's tokenizer names no end-of-sequence token (eos_token), so it cannot be "
            "taught to stop; add it to tokenizer_config.json"
        )
    prompt = tokenizer.prompt_ids(conversation.question)
    learnt = (*tokenizer.text_ids(conversation.text), end)
    return Example((*prompt, *learnt), (*([IGNORED] * len(prompt)), *learnt))


def examples(
    conversations: Iterable[Conversation], tokenizer: ChatTokenizer, max_tokens: int
) -> Examples:
    """All conversations in a student's ids; the long ones are named instead.

    Raises `UsageError` where all are too long, `EngineError`."""
    rows: list[Example] = []
    too_long: list[str] = []
    shortest = 0
    for conversation in conversations:
        made = example(conversation, tokenizer)
        if len(made.ids) <= max_tokens:
            rows.append(made)
        else:
            too_long.append(conversation.id)
            shortest = min(shortest or len(made.ids), len(made.ids))
    if too_long and not rows:
        raise UsageError(
            f"all {len(too_long)} conversations are longer than train.max_tokens ({max_tokens}); "
            f"the shortest has {shortest}"
        )
    return Examples(tuple(rows), tuple(too_long))
