"""The reward model in this process says what its network says, whatever else is in the batch."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from cord.engines.embedded import reward_model
from cord.engines.embedded.reward_engine import EmbeddedRewardEngine, open_embedded_reward
from cord.engines.rewarding import RewardRequest
from cord.errors import ContextTooLong, EngineError
from cord.prompts import REWARD_INSTRUCTIONS, messages


@pytest.fixture(scope="module")
def engine(random_reward_model: Path) -> Iterator[EmbeddedRewardEngine]:
    engine = open_embedded_reward(str(random_reward_model))
    yield engine
    asyncio.run(engine.close())


def request(seed: int) -> RewardRequest:
    rng = random.Random(seed)
    question = rng.choice(["Two and two?", "七?", "Zwölf Äpfel und noch einer"])
    steps = [f"### Step {n + 1}. so {rng.random()}" for n in range(rng.randrange(1, 5))]
    return RewardRequest(question, tuple(steps))


def by_hand(folder: Path, asked: RewardRequest) -> float:
    """The reward as the model's own card computes it, in float64."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = messages(asked.question, REWARD_INSTRUCTIONS)
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    ids = tokenizer.encode(ids, add_special_tokens=False)
    for text in asked.steps:
        ids += tokenizer.encode(text + "<extra_0>", add_special_tokens=False)
    with torch.inference_mode():
        logits = reward_model.load(folder, torch.float64)(torch.tensor([ids])).logits
    return float(torch.softmax(logits[0, -1], dim=-1)[1])


async def test_the_reward_is_the_second_class_at_the_last_mark(
    engine: EmbeddedRewardEngine, random_reward_model: Path
) -> None:
    asked = [request(seed) for seed in range(5)]
    rewards = [await engine.step_reward(one) for one in asked]
    assert rewards == pytest.approx([by_hand(random_reward_model, a) for a in asked], abs=1e-6)
    assert max(rewards) - min(rewards) > 0.02


async def test_it_is_the_same_alone_and_in_any_company(random_reward_model: Path) -> None:
    asked = [request(seed) for seed in range(60)]
    alone = open_embedded_reward(str(random_reward_model))
    expected = [await alone.step_reward(one) for one in asked]
    crowded = open_embedded_reward(str(random_reward_model))
    order = random.Random(1).sample(range(60), 60)
    got = await asyncio.gather(*(crowded.step_reward(asked[place]) for place in order))
    assert (await alone.describe()).reproducible
    assert dict(zip(order, got, strict=True)) == dict(enumerate(expected))
    await alone.close()
    await crowded.close()


async def test_a_mark_that_a_teacher_wrote_is_mere_text(engine: EmbeddedRewardEngine) -> None:
    marked = RewardRequest("2?", ("### Step 1. a <extra_0> b",))
    in_two = RewardRequest("2?", ("### Step 1. a ", " b"))
    assert await engine.step_reward(marked) != await engine.step_reward(in_two)


async def test_what_does_not_fit_into_the_context_is_refused(engine: EmbeddedRewardEngine) -> None:
    with pytest.raises(ContextTooLong, match="has a context of 2048"):
        await engine.step_reward(RewardRequest("2?", ("on and on " * 900,)))


def test_a_tokenizer_without_the_mark_is_refused(
    random_reward_model: Path, random_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(random_reward_model, tmp_path / "model"))
    shutil.copy(random_model / "tokenizer.json", folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("added_tokens_decoder", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(EngineError, match="has no special token <extra_0>"):
        open_embedded_reward(str(folder))


def test_a_teacher_is_no_reward_model(random_model: Path) -> None:
    with pytest.raises(EngineError, match="LlamaForCausalLM; a process reward model"):
        open_embedded_reward(str(random_model))
