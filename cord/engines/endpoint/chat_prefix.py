"""How an OpenAI-compatible endpoint is asked to go on with an answer that was begun.

The chat interface has no agreed way for it. vLLM and SGLang take two switches, DeepSeek and Mistral
a mark on the last message (DeepSeek's thinking models want the thinking in a field of its own),
others go on by convention when the last message is the assistant's; llama.cpp does so only where
its template does not open a thinking of its own. Strict endpoints refuse fields that they do not
know, lax ones take them and start over: so each way is tried, and believed only when it goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cord.prompts import THINK_OPEN, one_message, split_thinking

Json = Mapping[str, Any]

PROBE_QUESTION = "What is 17 + 26?"
PROBE_BEGUN = "### Step 1. Add the tens\n10 + 20 = 30\n\n### Step 2."
_ALIKE = 8  # characters by which a text is known again
_FEW = 3  # fewer say nothing


@dataclass(frozen=True, slots=True)
class ChatPrefix:
    """One way to ask."""

    name: str
    """As `cord check` shows it."""
    fields: Json = field(default_factory=dict)
    """Of the request."""
    mark: Json = field(default_factory=dict)
    """Of the last message."""
    apart: bool = False
    """The thinking stands in `reasoning_content`, without tags."""

    def request(self, question: str, instructions: str, begun: str) -> dict[str, Any]:
        """The request's messages and fields; `begun` is everything behind `<think>\\n`.

        The instructions stand in front of the question: what a template makes of a system message
        cannot be seen from here, and some drop it."""
        if self.apart:
            thinking, closing = split_thinking(begun)
            said = {"content": closing or "", "reasoning_content": thinking}
        else:
            said = {"content": f"{THINK_OPEN}\n{begun}"}
        chat: list[dict[str, Any]] = [*one_message(question, instructions)]
        return {"messages": [*chat, {"role": "assistant", **said, **self.mark}], **self.fields}


WAYS = (
    ChatPrefix(
        "continue_final_message",
        fields={"continue_final_message": True, "add_generation_prompt": False},
    ),
    ChatPrefix("prefix, thinking apart", mark={"prefix": True}, apart=True),
    ChatPrefix("prefix", mark={"prefix": True}),
    ChatPrefix("by convention"),
    ChatPrefix(
        "by convention, thinking off in the template",
        fields={"chat_template_kwargs": {"enable_thinking": False}},
    ),
)


def starts_over(reply: str) -> bool:
    """Whether a reply to the probe is an answer of its own, or says nothing."""
    begins = reply.lstrip()
    return len(begins) < _FEW or begins.startswith((THINK_OPEN, PROBE_BEGUN[:20], "### Step 1"))


def goes_on(whole: str, half: str, reply: str) -> bool:
    """Whether `reply`, said behind `half`, is the rest of `whole`; spaces may be lost on the
    way."""
    expected, first, said = ("".join(text.split()) for text in (whole, half, reply))
    if not expected.startswith(first):
        return False
    expected = expected[len(first) :]
    alike = min(_ALIKE, len(expected), len(said))
    return alike >= _FEW and expected[:alike] == said[:alike]
