"""A real vLLM used as any OpenAI-compatible endpoint: text in, text out."""

from collections.abc import Callable
from pathlib import Path

import pytest
from engines.asking import asking as asking_usually

import cord.miniature
from cord.engines import ProposalRequest
from cord.engines.embedded.engine import open_embedded
from cord.engines.endpoint.engine import OpenAIEngine
from cord.engines.vllm.engine import VllmEngine
from cord.miniature.problems import distinct
from cord.recipe import SearchSettings
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat
from cord.search.decode import decode
from cord.types import Problem, Step

pytestmark = pytest.mark.slow

MODEL = Path(cord.miniature.__file__).parent / "models" / "ada"
QUESTION = "Start 9; +5; +8; *9; rev"


@pytest.fixture
def engine(vllm_server: Callable[[Path], str]) -> OpenAIEngine:
    # What goes to an endpoint is text, and the miniature's models read no English.
    return OpenAIEngine(vllm_server(MODEL), MODEL.name, instructions="")


def asking(**changes: object) -> ProposalRequest:
    usual = {"question": QUESTION, "max_tokens": 40, "temperature": 0.0}
    return asking_usually(**(usual | changes))


async def test_vllm_goes_on_by_its_switches(engine):
    info = await engine.describe()
    assert info.engine == "openai (continue_final_message)"
    assert (info.context, info.scores) == (2048, False)


async def test_text_goes_on_as_token_ids_do(engine, vllm_server):
    """With no randomness, step for step, what the vLLM engine gets from the same server."""
    by_ids = VllmEngine(vllm_server(MODEL), MODEL.name)
    steps: tuple[Step, ...] = ()
    for number in range(1, 6):
        request = asking(steps=steps, opening=f"### Step {number}.")
        proposal, expected = await engine.propose(request), await by_ids.propose(request)
        assert (proposal.text, proposal.finish) == (expected.text, expected.finish)
        assert abs(proposal.prompt_tokens - expected.prompt_tokens) <= 2
        assert proposal.tokens > 0 and proposal.token_ids == ()
        steps += (Step(proposal.text, "a", ("a",), (), proposal.model, 1, 0.5, 0.0),)
        if proposal.finish == "end":
            break
    assert "</think>" in steps[-1].text


async def test_the_same_seed_gives_the_same_step(engine):
    request = asking(temperature=0.9, seed=11)
    assert (await engine.propose(request)).text == (await engine.propose(request)).text


async def test_a_whole_search_runs_with_an_endpoint_as_teacher(engine):
    chain = distinct("demo", 1, seed=5)[0]
    settings = SearchSettings(
        width=2, max_steps=10, max_step_tokens=48, max_tokens=300, instructions=""
    )
    meta_prover = open_embedded("cord:meta", instructions="")
    decoding = await decode(
        Problem("p", chain.question, chain.answer),
        [Seat("ada", engine, 0.6), Seat("ada-hot", engine, 0.9)],
        PredictivePerplexity(meta_prover),
        settings,
        seed=7,
    )
    await meta_prover.close()
    assert any(trajectory.finished for trajectory in decoding.trajectories)
    assert decoding.costs["ada"].tokens > 0 and decoding.costs["ada"].prompt_tokens > 0
