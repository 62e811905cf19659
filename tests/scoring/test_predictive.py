import math

import pytest
from doubles.scripted_engine import ScriptedEngine
from hypothesis import given
from hypothesis import strategies as st

from cord.errors import EngineError
from cord.scoring.predictive import PredictivePerplexity, open_thinking, predictive_perplexity
from cord.types import Problem, Step


def step(text: str) -> Step:
    return Step(text, "ada", ("ada",), (1, 2), "m", 2, 0.5, 0.0)


def test_it_is_the_exponential_of_the_mean_log_probability() -> None:
    """By hand: (log .5 + log .125) / 2 = log .25."""
    assert predictive_perplexity([math.log(0.5), math.log(0.125)]) == pytest.approx(0.25)


@pytest.mark.parametrize("logprobs", [[], [float("nan")], [0.5], [-1.0, float("nan")]])
def test_what_is_no_log_probability_is_refused(logprobs: list[float]) -> None:
    with pytest.raises(EngineError, match="log-probabilities"):
        predictive_perplexity(logprobs)


@given(st.lists(st.floats(-50, 0), min_size=1, max_size=30))
def test_it_lies_between_its_least_and_its_greatest_probability(logprobs: list[float]) -> None:
    score = predictive_perplexity(logprobs)
    assert math.exp(min(logprobs)) * 0.999 <= score <= math.exp(max(logprobs)) * 1.001
    assert 0 <= score <= 1


@given(st.lists(st.text(max_size=8), max_size=5), st.lists(st.text(max_size=8), max_size=3))
def test_the_thinking_is_cut_where_it_is_closed_wherever_the_steps_are_cut(
    before: list[str], after: list[str]
) -> None:
    texts = [*before, "x</th", "ink>y", *after]
    shown = "".join(s.text for s in open_thinking(tuple(map(step, texts))))
    assert shown == "".join(texts).partition("</think>")[0]


def test_a_shortened_step_gives_up_its_ids() -> None:
    (cut,) = open_thinking((step("a\n</think>\n\nThe final answer is \\boxed{1}"),))
    assert (cut.text, cut.token_ids) == ("a\n", ())


async def test_the_empty_prefix_is_scored_too() -> None:
    engine = ScriptedEngine(judge=lambda thinking, answer: (math.log(0.1),))
    score = await PredictivePerplexity(engine).score(Problem("p", "q", "1"), (), "k")
    assert score == pytest.approx(0.1)
    assert engine.scored[0].thinking == ()
