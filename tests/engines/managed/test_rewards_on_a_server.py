"""A process reward model on a real vLLM that cord starts, against its twin in this process."""

import asyncio
import random

import pytest
from vllm_server import CONTEXT, ENVIRONMENT, FLAGS, VENV, require_vllm

from cord.engines.embedded.reward_engine import open_embedded_reward
from cord.engines.managed.reward_engine import ManagedVllmRewardEngine
from cord.engines.managed.serving import serving_of
from cord.engines.rewarding import RewardRequest
from cord.engines.vllm import forced_decoding_flags
from cord.engines.vllm.reward_engine import VllmRewardEngine
from cord.errors import ContextTooLong
from cord.recipe import Model, ServeSettings

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vllm")]

QUESTIONS = ["Start 9; +5; +8", "Zwölf Äpfel und noch einer?", "七 and <|user|> <extra_0>?"]


def asked(seed: int) -> RewardRequest:
    rng = random.Random(seed)
    steps = [f"### Step {n + 1}. {rng.random()}, so" for n in range(rng.randrange(1, 6))]
    if seed % 4 == 0:
        steps[-1] += " a <extra_0> of the teacher's own"
    return RewardRequest(rng.choice(QUESTIONS), tuple(steps))


async def test_a_served_reward_model_agrees_with_its_twin(random_reward_model, monkeypatch) -> None:
    require_vllm()
    monkeypatch.setenv("CORD_VLLM", str(VENV / "bin" / "vllm"))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    at = FLAGS.index("--max-model-len")  # `context` says it
    generating = {"--enable-prompt-tokens-details", *forced_decoding_flags.FLAGS}
    flags = [flag for flag in (*FLAGS[:at], *FLAGS[at + 2 :]) if flag not in generating]
    serve = ServeSettings(context=CONTEXT, arguments=tuple(flags))
    model = Model(model=str(random_reward_model), serve=serve)
    managed = ManagedVllmRewardEngine(serving_of(model, random_reward_model, pooling=True))
    twin = open_embedded_reward(str(random_reward_model))
    try:
        await managed.start()
        info = await managed.describe()
        assert info.scoring == "a reward at each <extra_0>" and not info.scores
        assert info.context == CONTEXT and info.identity.startswith("vllm:sha256-")
        requests = [asked(seed) for seed in range(24)]
        served = await asyncio.gather(*map(managed.step_reward, requests))
        embedded = [await twin.step_reward(request) for request in requests]
        assert served == pytest.approx(embedded, abs=1e-3)
        assert max(served) - min(served) > 0.05, "or they would agree on anything"

        running = VllmRewardEngine(managed.metered_server.where(), str(random_reward_model))
        assert await running.step_reward(requests[0]) == pytest.approx(embedded[0], abs=1e-3)
        with pytest.raises(ContextTooLong, match="do not fit into the context of reward model"):
            await running.step_reward(RewardRequest("1?", ("so " * CONTEXT,)))
        await running.close()
    finally:
        await managed.close()
        await twin.close()
