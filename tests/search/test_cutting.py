"""Live, a text is cut where `cord.segmentation` would cut it when it is finished."""

import math
from typing import get_args

import pytest
from doubles.scripted_engine import ScriptedEngine
from hypothesis import given
from hypothesis import strategies as st

from cord.engines import ProposalRequest
from cord.errors import RecipeError
from cord.prompts import INSTRUCTIONS
from cord.recipe import SearchSettings
from cord.recipe_file import parse_recipe
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat, decode
from cord.segmentation import Segmentation, segment
from cord.types import Decoding, Problem

PROBLEM = Problem("p1", "What is 2+2?", "4")
END = "</think>\n\nThe final answer is \\boxed{4}"
TRACE = (
    "### Step 1. Read\nLet x be 2.\n\nSome say 5. Wait, is it? Hmm, no.\n"
    "### Step 2. Add\n2+2=4.\n\nBut then, So be it.\n" + END
)


def writes(whole: str) -> ScriptedEngine:
    """A teacher that has one text in mind, and goes on with it from wherever the prefix ends."""

    def say(request: ProposalRequest) -> str:
        begun = "".join(step.text for step in request.steps) + request.opening
        assert whole.startswith(begun), (begun, whole)
        return whole[len(begun) :]

    return ScriptedEngine(say, judge=lambda thinking, answer: (math.log(0.5),))


async def cut(whole: str, how: Segmentation, most: int = 10_000) -> Decoding:
    engine = writes(whole)
    settings = SearchSettings(
        segmentation=how, width=1, max_step_tokens=most, max_tokens=10_000, max_steps=200
    )
    seats = [Seat("ada", engine, 0.6)]
    return await decode(PROBLEM, seats, PredictivePerplexity(engine), settings, seed=7)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("prompt-guided", [TRACE[: TRACE.index("### Step 2")], TRACE[TRACE.index("### Step 2") :]]),
        (
            "line-break",
            [
                "### Step 1. Read\nLet x be 2.",
                "\n\nSome say 5. Wait, is it? Hmm, no.\n### Step 2. Add\n2+2=4.",
                "\n\nBut then, So be it.\n</think>",
                "\n\nThe final answer is \\boxed{4}",
            ],
        ),
        (
            "reflection-cue",
            [
                "### Step 1. Read\nLet x be 2.\n\nSome say 5.",
                " Wait, is it?",
                " Hmm, no.\n### Step 2. Add\n2+2=4.\n",
                "\nBut then,",
                " So be it.\n" + END,
            ],
        ),
    ],
)
async def test_a_text_is_cut_in_this_way(how: Segmentation, expected: list[str]) -> None:
    decoding = await cut(TRACE, how)
    best = decoding.trajectories[0]
    assert [step.text for step in best.steps] == expected
    assert best.finished and best.answer == "4" and best.text == TRACE


@given(
    st.lists(st.sampled_from(["Wait, ", "Some ", "So ", "a.", " ", "\n", "\n\n", "1+1=2", "But."])),
    st.sampled_from(get_args(Segmentation)),
    st.sampled_from([1, 3, 10_000]),
)
async def test_whatever_the_cap_the_steps_joined_are_the_text(
    parts: list[str], how: Segmentation, most: int
) -> None:
    whole = "### Step 1. x" + "".join(parts) + ".\n" + END
    decoding = await cut(whole, how, most)
    best = decoding.trajectories[0]
    rejected = [reason for decided in decoding.rounds for _, reason in decided.rejected]
    if not rejected:  # else a blank proposal ended the only way
        assert best.text == whole and best.finished
    else:
        assert set(rejected) == {"an empty step"} and whole.startswith(best.text)


@pytest.mark.parametrize("how", get_args(Segmentation))
async def test_live_a_text_is_cut_as_it_would_be_when_it_is_finished(how: Segmentation) -> None:
    """But for white space, which stands behind a finished piece and before a live one, and for
    `So` inside a sentence: live, a cue behind a space is one."""
    whole = TRACE.replace(", So be", ", so be")
    thinking, _ = whole.split("</think>")
    best = (await cut(whole, how)).trajectories[0]
    live = [step.text.partition("</think>")[0].strip() for step in best.steps]
    pieces = [piece.strip() for piece in segment(thinking, how)]
    assert len(pieces) > 1 and live[: len(pieces)] == pieces


def test_where_steps_are_cut_otherwise_no_sections_are_asked_for() -> None:
    assert SearchSettings().worded == INSTRUCTIONS
    assert "### Step" not in SearchSettings(segmentation="line-break").worded
    own = SearchSettings(segmentation="line-break", instructions="As I say.")
    assert own.worded == "As I say."


def test_an_endpoint_that_takes_four_stop_strings_cannot_cut_at_cues() -> None:
    recipe = """
name: r
problems: {path: p.jsonl}
teachers: [{name: a, model: m, url: "http://h/v1", engine: openai}]
meta_prover: {model: "cord:meta"}
search: {segmentation: reflection-cue}
"""
    with pytest.raises(RecipeError, match="no more than four stop"):
        parse_recipe(recipe)
    parse_recipe(recipe.replace("reflection-cue", "line-break"))
