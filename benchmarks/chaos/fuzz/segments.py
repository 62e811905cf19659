"""Whatever a model wrote: cut into steps that join to the same text, or a reason why it is none."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import get_args

from hypothesis import strategies as st

from benchmarks.chaos.fuzz.mutation import HOSTILE_TEXTS, texts
from benchmarks.chaos.fuzz.trying import Property
from cord.answers import extract_answer, stated_answer
from cord.engines import FinishReason, Proposal
from cord.prompts import THINK_CLOSE
from cord.search.beam import Draft
from cord.search.reading import ends_in_a_loop, read_proposal
from cord.segmentation import CUES, Segmentation, segment
from cord.thinking import ThinkingForm, form_of, without_closed_thinking
from cord.types import Step, Trajectory

WAYS = get_args(Segmentation)
WORDS = (
    *CUES,
    *HOSTILE_TEXTS,
    *("### Step", "### Step 2. ", "\n### Step 1.", "#### Step", "### Steps", "\n", "\n\n", "\r"),
    *("</think>", "</think", "<think>", "\n \n", "\t", ". ", "? ", "**", "*", '"', "(", "$", "…"),
    *("\\boxed{", "\\boxed{4}", "{", "}", "\\{", "\\", "#### 7", "1,234", " ", "x"),
    *("<|end|>", "<|start|>assistant", "<|channel|>analysis<|message|>", "<|channel|>final"),
    *("<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>", " to=f", "<"),
)
CHANNELS = form_of("<|start|>assistant")
FORMS = (ThinkingForm("<think>\n"), CHANNELS)

written = st.lists(st.sampled_from(WORDS) | texts, max_size=25).map("".join)


def the_pieces_are_the_text(text: str) -> None:
    """In each way to cut it."""
    for how in WAYS:
        pieces = segment(text, how)
        assert "".join(pieces) == text
        assert all(pieces)
        assert not any(THINK_CLOSE in piece[1:] for piece in pieces)


@dataclass(frozen=True)
class Writing:
    """What a teacher wrote behind a prefix."""

    prefix: str
    text: str
    finish: FinishReason


writings = st.builds(
    Writing,
    st.just("") | written,
    written | written.map(lambda text: "### Step 1." + text),
    st.sampled_from(get_args(FinishReason)),
)


def a_draft_or_a_reason(writing: Writing) -> None:
    """`read_proposal`, and the forms of thinking in front of it."""
    for form in FORMS:
        form.native(writing.text)
        form.canonical(writing.text)
        assert writing.text.startswith(form.whole(writing.text))
        assert "".join(p for p, _ in form.pieces(writing.text)) == form.native(writing.text)
    assert FORMS[0].native(writing.text) == FORMS[0].canonical(writing.text) == writing.text
    form_of(writing.text)
    assert writing.text.startswith(without_closed_thinking(writing.text))
    for rule in ("as-is", "gsm8k", "boxed"):
        answer = extract_answer(writing.text, rule)
        assert answer is None or (answer and answer == answer.strip())
    steps: tuple[Step, ...] = ()
    if writing.prefix:
        steps = (Step(writing.prefix, "a", ("a",), (), "m", 1, 0.5, 0.1),)
    proposal = Proposal(writing.text, (1, 2), "m", 2, writing.finish)
    read = read_proposal(0, Trajectory(steps), "a", "### Step 1.", proposal)
    if isinstance(read, Draft):
        assert writing.text.startswith(read.step.text)
        assert read.step.text.strip()
        assert read.finished == (read.answer is not None)
    else:
        assert read
        assert read.isprintable()


@dataclass(frozen=True)
class Long:
    """A few pieces, over and over."""

    unit: str
    end: str


def long_texts_take_linear_time(long: Long) -> None:
    """200,000 characters in a second: quadratic would take a hundred."""
    text = long.unit * (200_000 // len(long.unit)) + long.end
    begun = time.process_time()
    for how in WAYS:
        segment(text, how)
    for form in FORMS:
        form.canonical(text)
        form.native(text)
    stated_answer(text)
    extract_answer(text, "gsm8k")
    ends_in_a_loop(text)
    without_closed_thinking(text)
    assert time.process_time() - begun < 5


PROPERTIES = (
    Property("segmenter", "the pieces joined are the text", written, the_pieces_are_the_text),
    Property("step reader", "a draft or a reason", writings, a_draft_or_a_reason),
    Property(
        "segmenter, long texts",
        "linear time",
        st.builds(
            Long,
            st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map("".join).filter(bool),
            written,
        ),
        long_texts_take_linear_time,
        share=0.02,
    ),
)
