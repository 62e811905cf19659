"""The words around a problem: the step prompt, the opening of a step, the answer probe.

Prompt-guided segmentation (method.md, part 1): the prompt asks for `### Step n. title` sections
inside `<think>`, decoding is started with `<think>\\n### Step 1.`, and a proposal ends where the
next `### Step` would begin. The thinking tag comes from the model's own chat template where that
opens it already; otherwise it is added. Models that write their thinking in another form are
translated (`cord.thinking`).
"""

from __future__ import annotations

from collections.abc import Sequence

STEP_HEADER = "### Step"
THINK_OPEN = "<think>"
THINK_CLOSE = "</think>"

INSTRUCTIONS = (
    "Solve the problem. Think first, inside <think> and </think>, in numbered sections, each "
    "beginning on a line of its own with '### Step n.' and a short title; one idea in each. "
    "When the reasoning is complete, close it with </think> and end with the sentence "
    "'The final answer is \\boxed{...}'."
)

PLAIN_INSTRUCTIONS = (
    "Solve the problem. Think first, inside <think> and </think>. "
    "When the reasoning is complete, close it with </think> and end with the sentence "
    "'The final answer is \\boxed{...}'."
)
"""The same without sections: for steps that are cut at blank lines or reflection cues."""

ANSWER_PROBE = THINK_CLOSE + "\n\nThe final answer is \\boxed{"
"""Behind the thinking, in front of the answer that is scored; its own tokens do not count."""

JUDGEMENT_PROBE = THINK_CLOSE + "\n\nIs the last step right, yes or no?"
"""Behind the thinking, in front of the word that a judge says (`cord.scoring.binary`)."""
JUDGEMENTS = (" yes", " no")
"""With the space in front, as tokenizers learn a word in running text; a probe that ended in the
space would leave the judge a rare word."""

STEP_REWARD_TOKEN = "<extra_0>"  # noqa: S105 (a separator, no secret)
"""Stands behind each step where a process reward model gives its reward (Qwen2.5-Math-PRM)."""

REWARD_INSTRUCTIONS = "Please reason step by step, and put your final answer within \\boxed{}."
"""The system message that Qwen2.5-Math-PRM was trained behind."""

_SOLVE = "Solve the problem. "
_MERGE = (
    "You are given a problem and several solutions to it, of which some may be wrong. Merge them "
    "into one right solution: take what is right in each, and repeat no mistake. "
)


def merging_instructions(instructions: str) -> str:
    """What the integrator is told (method.md, part 4: integration), where the teachers are told
    `instructions`."""
    return _MERGE + instructions.removeprefix(_SOLVE)


MERGING_INSTRUCTIONS = merging_instructions(INSTRUCTIONS)
"""The integrator's words where the teachers have the usual ones."""


def merging_question(question: str, solutions: Sequence[str]) -> str:
    """A problem with whole solutions behind it, for the integrator to merge into one."""
    told = (f"\n\nSolution {n}:\n{text}" for n, text in enumerate(solutions, start=1))
    return question + "".join(told)


def messages(question: str, instructions: str = INSTRUCTIONS) -> list[dict[str, str]]:
    """The chat that a model's template renders: instructions as system, question as user."""
    return [
        {"role": "system", "content": instructions},
        {"role": "user", "content": question},
    ]


def one_message(question: str, instructions: str = INSTRUCTIONS) -> list[dict[str, str]]:
    """The same chat for models that take no system message, or put their own in its place."""
    content = f"{instructions}\n\n{question}" if instructions else question
    return [{"role": "user", "content": content}]


def stands_in(text: str, rendered: str) -> bool:
    """Whether a rendered prompt really contains `text`; white space may differ (templates strip,
    tokenizers clean up)."""
    return "".join(text.split()) in "".join(rendered.split())


def knows_words(text: str, tokens: int) -> bool:
    """Whether a tokenizer that spells `text` in so many tokens knows its words. One that goes
    letter by letter belongs to a model that never read such text (cord's miniature ones): its
    template may leave the instructions out."""
    return 2 * tokens <= len(text.encode("utf-8", "replace"))


def thinking_opening(rendered_prompt: str) -> str:
    """What must follow a rendered prompt so that the first step can begin.

    Reasoning models' templates often end with an open `<think>` already (DeepSeek-R1-Distill,
    QwQ); then nothing but a missing newline is added.
    """
    if rendered_prompt.rstrip().endswith(THINK_OPEN):
        return "" if rendered_prompt.endswith("\n") else "\n"
    return THINK_OPEN + "\n"


def step_opening(number: int) -> str:
    """The header that a step is made to begin with; `number` counts from 1."""
    return f"{STEP_HEADER} {number}."


def split_thinking(text: str) -> tuple[str, str | None]:
    """Split at the first `</think>`: (thinking, closing); closing is None while it is open."""
    thinking, tag, closing = text.partition(THINK_CLOSE)
    return thinking, (closing if tag else None)
