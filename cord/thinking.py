"""How a model writes its thinking down, and the one way cord does.

Inside cord a trajectory is always `### Step 1. ...</think>\\n\\n...`. Models differ in how thinking
opens and what closes it: most write `<think>` and `</think>` (their chat template may open the tag
or leave that to the model), gpt-oss writes messages on channels (the harmony format): thinking on
`analysis`, the answer on `final`. A form is read off what the chat template renders, never off the
model's name. Engines translate: what a teacher sampled into cord's words (`canonical`), and
cord's words into the model's (`pieces`) where a prefix or the answer probe is put to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cord.prompts import THINK_CLOSE, thinking_opening

_ASSISTANT = "<|start|>assistant"
_ANALYSIS = "<|channel|>analysis<|message|>"
_FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"
_CANONICAL_CLOSE = re.compile(re.escape(THINK_CLOSE) + r"\n{0,2}")
# A model may write several messages of analysis, or of commentary, before the final one.
_NEXT_MESSAGE = re.compile(
    r"<\|end\|><\|start\|>assistant<\|channel\|>(analysis|commentary|final)[^<]*<\|message\|>"
)
# A part of the change to another message; where such parts reach the end, it was cut off.
_TORN_MESSAGE = re.compile(r"<\|end\|>(?:<\|start\|>[^<]*(?:<\|channel\|>[^<]*)?)?")
_TOOL_CALL = "<|end|><|start|>assistant to="  # there are no tools
# So that a model on channels is not told to write tags, which would be mere text there.
_IN_CHANNELS = (
    ("<think> and </think>", "the analysis channel"),
    ("with </think>", "by going on to the final channel"),
    ("<think>", "the analysis channel"),
    ("</think>", "the final channel"),
)
_CLOSED_THINKING = re.compile(r"(?:<think>\s*)?</think>\s*\Z")


@dataclass(frozen=True, slots=True)
class ThinkingForm:
    """How one model opens and closes its thinking."""

    opening: str
    """What must follow the rendered chat so that the first step can begin."""
    closing: str = THINK_CLOSE
    """What stands for `</think>`; for channels, for the blank line behind it too."""

    @property
    def channels(self) -> bool:
        """Thinking and answer stand in messages of their own (gpt-oss)."""
        return self.closing != THINK_CLOSE

    @property
    def controls(self) -> frozenset[str]:
        """Special tokens that the model itself writes to go from thinking to answer."""
        return frozenset(re.findall(r"<\|\w+\|>", _FINAL)) if self.channels else frozenset()

    def worded(self, instructions: str) -> str:
        """Instructions that speak of this model's own way to open and close its thinking."""
        if self.channels:
            for tags, channel in _IN_CHANNELS:
                instructions = instructions.replace(tags, channel)
        return instructions

    def pieces(self, text: str) -> list[tuple[str, bool]]:
        """cord's `text` in this model's words: (piece, whether it is control tokens)."""
        if not self.channels:
            return [(text, False)] if text else []
        pieces: list[tuple[str, bool]] = []
        for place, part in enumerate(_CANONICAL_CLOSE.split(text)):
            if place:
                pieces.append((self.closing, True))
            if part:
                pieces.append((part, False))
        return pieces

    def native(self, text: str) -> str:
        """cord's `text` in this model's words."""
        return "".join(piece for piece, _ in self.pieces(text))

    def whole(self, written: str) -> str:
        """What the model wrote, without what is no text at its end: a change of channel that was
        cut off, or a call of a tool."""
        if not self.channels:
            return written
        whole, _, _ = written.partition(_TOOL_CALL)
        begin = end = 0
        for torn in _TORN_MESSAGE.finditer(whole):
            if torn.start() != end:
                begin = torn.start()
            end = torn.end()
        return whole[:begin] if end == len(whole) else whole

    def canonical(self, written: str) -> str:
        """What the model wrote, in cord's words."""
        if not self.channels:
            return written
        return _NEXT_MESSAGE.sub(
            lambda match: THINK_CLOSE + "\n\n" if match[1] == "final" else "\n\n",
            self.whole(written),
        )


def form_of(rendered: str) -> ThinkingForm:
    """The form of the model whose chat template rendered `rendered`, or the end of it.

    gpt-oss' template ends in `<|start|>assistant`; those of DeepSeek-R1-Distill, QwQ and
    Qwen3-Thinking in an open `<think>`; Phi-4-reasoning and hybrid Qwen3 write the tag themselves.
    """
    ends = rendered.rstrip()
    if ends.endswith(_ASSISTANT):
        return ThinkingForm(_ANALYSIS, _FINAL)
    if ends.endswith(_ASSISTANT + _ANALYSIS):
        return ThinkingForm("", _FINAL)
    return ThinkingForm(thinking_opening(rendered))


def without_closed_thinking(rendered: str) -> str:
    """A rendered chat without the empty thinking that hybrid models' templates close at once
    where thinking is switched off on the server."""
    return _CLOSED_THINKING.sub("", rendered)
