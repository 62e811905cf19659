"""Reward models on a vLLM server: what is sent, and which number of the answer counts."""

import pytest
from doubles.vllm_answers import EXTRA, VllmAnswers, status
from engines.vllm.asking import QUICK

from cord.engines.rewarding import RewardRequest
from cord.engines.vllm.reward_engine import VllmRewardEngine
from cord.errors import ContextTooLong, EngineError, EngineRefused
from cord.prompts import REWARD_INSTRUCTIONS

TWO_STEPS = RewardRequest("1+1?", ("one", "two"))
AT_MARKS = [[0.7, 0.3], [0.2, 0.8]]


@pytest.fixture
def model(server: VllmAnswers) -> VllmRewardEngine:
    return VllmRewardEngine(server.url, "m", patience=QUICK)


async def test_each_step_is_followed_by_the_mark(server, model) -> None:
    server.rewards = lambda ids: AT_MARKS
    assert await model.step_reward(TWO_STEPS) == 0.8
    (body,) = server.asked("/pooling")
    chat = f"<system>{REWARD_INSTRUCTIONS}<user>1+1?<assistant>"
    assert body["input"] == [*chat.encode(), *b"one", EXTRA, *b"two", EXTRA]
    assert body["use_activation"] is True


@pytest.mark.parametrize(
    ("rewards", "reward"),
    [
        (lambda ids: AT_MARKS, 0.8),
        (lambda ids: [[0.9, 0.1]] * (len(ids) - 1) + [[0.4, 0.6]], 0.6),
        (lambda ids: [[0.25]] * len(ids), 0.25),
        (lambda ids: [0.45], 0.45),
        (lambda ids: [0.45, 0.55], 0.55),
    ],
    ids=["at each mark", "at each token", "one number at each token", "one number", "two classes"],
)
async def test_the_last_vectors_last_number_counts(server, model, rewards, reward) -> None:
    server.rewards = rewards
    assert await model.step_reward(TWO_STEPS) == reward


async def test_a_model_without_the_mark_reads_the_whole_answer(server, model) -> None:
    server.marked, server.rewards = False, lambda ids: [0.45]
    assert (await model.describe()).scoring == "a reward of the whole"
    server.requests.clear()
    assert await model.step_reward(TWO_STEPS) == 0.45
    (rendered,) = [body for body in server.asked("/tokenize") if "messages" in body]
    assert rendered["messages"][-1] == {"role": "assistant", "content": "one\n\ntwo"}
    assert not rendered["add_generation_prompt"]


@pytest.mark.parametrize(
    ("rewards", "sentence"),
    [
        ([], "gave 0 rewards for 2 steps; start vLLM with --pooler-config"),
        ([[0.1, 0.9]] * 3, "gave 3 rewards for 2 steps"),
        ([[0.1, 0.2, 0.7]] * 2, "is no reward model that cord can read"),
        ([[-3.5]] * 2, "is no reward model that cord can read"),
        ("no", "without numbers"),
        ([["x"]], "without numbers"),
        ([[True]], "without numbers"),
    ],
)
async def test_an_answer_that_is_no_reward_is_refused(server, model, rewards, sentence) -> None:
    server.rewards = lambda ids: rewards
    with pytest.raises(EngineError, match=sentence):
        await model.step_reward(TWO_STEPS)


async def test_a_server_that_writes_text_is_no_reward_model(server, model) -> None:
    server.faulty_path = "/pooling"
    server.faults.append(status(404, "Not Found"))
    with pytest.raises(EngineError, match=r"has no /pooling"):
        await model.describe()


async def test_a_failure_that_passes_is_asked_again(server, model) -> None:
    server.faulty_path, server.rewards = "/pooling", lambda ids: AT_MARKS
    server.faults.extend([status(503), status(500)])
    assert await model.step_reward(TWO_STEPS) == 0.8


async def test_what_does_not_fit_is_not_sent(server, model) -> None:
    with pytest.raises(ContextTooLong, match=r"2048 tokens"):
        await model.step_reward(RewardRequest("1+1?", ("x" * 2048,)))
    assert not server.asked("/pooling")


async def test_a_model_that_is_not_served_is_refused(server) -> None:
    with pytest.raises(EngineRefused, match="is not served there"):
        await VllmRewardEngine(server.url, "other", patience=QUICK).describe()
