from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.engines import EngineInfo
from cord.engines.rewarding import RewardRequest
from cord.scoring.process_reward import ProcessReward, whole_steps
from cord.types import Problem, Step

PROBLEM = Problem("p", "q", "1")


def step(text: str, complete: bool = True) -> Step:
    made = Step(text, "ada", ("ada",), (1, 2), "m", 2, 0.5, 0.0)
    return replace(made, complete=complete)


class Rewards:
    """A reward model that likes some steps, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[RewardRequest] = []

    async def describe(self) -> EngineInfo:
        return EngineInfo("r", "r", 100, "scripted", True, False)

    async def step_reward(self, request: RewardRequest) -> float:
        self.asked.append(request)
        return 0.9 if "good" in request.steps[-1] else 0.2

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("steps", "texts"),
    [
        ([step("### Step 1. a\n"), step("### Step 2. b")], ("### Step 1. a", "### Step 2. b")),
        ([step("a cut ", complete=False), step("step\n"), step("b")], ("a cut step", "b")),
        ([step("a"), step("b\n</think>\n\n1")], ("a", "b")),
        ([step("a"), step("</think>\n\n1")], ("a",)),
        ([step("a"), step("\n\n"), step("b")], ("a", "b")),
    ],
    ids=["plain", "cut by the cap", "closes its thinking", "only closes it", "white space"],
)
def test_the_steps_are_what_a_reward_model_reads(steps: list[Step], texts: tuple[str, ...]) -> None:
    assert whole_steps(tuple(steps)) == texts


@given(st.lists(st.tuples(st.text(max_size=6), st.booleans()), max_size=6))
def test_no_text_is_lost_but_white_space(pieces: list[tuple[str, bool]]) -> None:
    texts = whole_steps(tuple(step(text, complete) for text, complete in pieces))
    assert all(text and text == text.strip() for text in texts)
    thinking = "".join(text for text, _ in pieces).partition("</think>")[0]
    assert "".join("".join(texts).split()) == "".join(thinking.split())


async def test_the_last_steps_reward_is_the_score() -> None:
    model = Rewards()
    criterion = ProcessReward(model)
    assert await criterion.score(PROBLEM, (step("bad"), step("good\n")), "k") == 0.9
    assert await criterion.score(PROBLEM, (step("good"), step("bad")), "k") == 0.2
    assert [request.steps for request in model.asked] == [("bad", "good"), ("good", "bad")]
    assert model.asked[0].urgency == 2


async def test_nothing_is_wrong_before_the_first_step_and_nobody_is_asked() -> None:
    model = Rewards()
    assert await ProcessReward(model).score(PROBLEM, (), "k") == 1
    assert model.asked == []
