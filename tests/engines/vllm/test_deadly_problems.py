"""A problem that its server dies of, on a real vLLM behind a proxy that plays the deaths."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import FaultProxy
from vllm_faults import kill
from vllm_passage import Passage

import cord.miniature
from cord.engines.suspects import DEATHS_ALONE
from cord.engines.vllm.engine import VllmEngine
from cord.engines.vllm.server import Patience
from cord.errors import EngineUnreachable
from cord.miniature.problems import distinct
from cord.recipe import SearchSettings
from cord.scheduler import decode_problems
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat
from cord.types import Decoding, Problem, Quarantined

pytestmark = pytest.mark.slow

META = Path(cord.miniature.__file__).parent / "models" / "meta"
PROBLEMS = [
    Problem(f"p{n}", chain.question, chain.answer)
    for n, chain in enumerate(distinct("demo", 6, seed=5))
]
DEADLY = PROBLEMS[2]
AWAY_S, DEATH_S = 0.4, 0.2
Ended = dict[str, Decoding | Quarantined]


@pytest.fixture
def proxy(vllm_server: Callable[[Path], str]) -> Iterator[FaultProxy]:
    with FaultProxy(vllm_server(META)) as between:
        yield between


def engine_behind(proxy: FaultProxy, total_s: float = 60.0) -> VllmEngine:
    return VllmEngine(
        proxy.url,
        META.name,
        patience=Patience(
            total_s, first_wait_s=0.02, longest_wait_s=0.1, death_s=DEATH_S, answer_s=20.0
        ),
    )


async def decode_all(
    problems: list[Problem], engine: VllmEngine, continues: bool = False, second: Any = None
) -> Ended:
    teachers = [Seat("one", engine, 0.7), Seat("two", second or engine, 0.9)]
    ended = decode_problems(
        problems, teachers, PredictivePerplexity(second or engine),
        SearchSettings(width=2, max_steps=3, max_step_tokens=24, max_tokens=200), 7, 6,
        go_on_without_lost=continues,
    )  # fmt: skip
    done = [one async for one in ended]
    return {one.problem.id if isinstance(one, Decoding) else one.problem_id: one for one in done}


async def deadly_prompt(engine: VllmEngine) -> list[int]:
    """The beginning of whatever is asked for the deadly problem."""
    return list(await engine._tokenizer.prompt_ids(DEADLY.question))


def begins_with(body: dict[str, Any], ids: list[int]) -> bool:
    prompt = body["prompt"]
    prompts = prompt if isinstance(prompt[0], list) else [prompt]
    return any(one[: len(ids)] == ids for one in prompts)


async def test_one_that_is_deadly_to_score_is_set_aside_with_the_reason_and_the_rest_goes_on(
    proxy: FaultProxy,
) -> None:
    engine = engine_behind(proxy)
    await engine.describe()
    ids = await deadly_prompt(engine)
    quiet = await decode_all([p for p in PROBLEMS if p is not DEADLY], engine)
    proxy.poison = (
        lambda body: "seed" not in body and begins_with(body, ids),
        kill(AWAY_S),
    )
    ended = await decode_all(PROBLEMS, engine)
    aside = ended.pop(DEADLY.id)
    assert isinstance(aside, Quarantined)
    assert aside.reason.startswith(
        f"could not be decoded: model 'meta' on the vLLM server {proxy.url}"
    )
    assert "dies of what this problem asks of it, also when it is asked nothing else" in (
        aside.reason
    )
    assert ended == quiet, "the others' trajectories are what they are without it"
    assert proxy.counts["killed"] >= DEATHS_ALONE


async def test_shards_in_several_threads_are_all_freed(proxy: FaultProxy) -> None:
    engine = engine_behind(proxy)
    await engine.describe()
    ids = await deadly_prompt(engine)
    proxy.poison = (lambda body: begins_with(body, ids), kill(AWAY_S))
    ended: Ended = {}
    threads = [
        threading.Thread(target=lambda s=s: ended.update(asyncio.run(decode_all(s, engine))))
        for s in (PROBLEMS[:3], PROBLEMS[3:])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert len(ended) == len(PROBLEMS)
    assert [id for id, one in ended.items() if isinstance(one, Quarantined)] == [DEADLY.id]


async def test_where_a_lost_teacher_is_gone_on_without_it_costs_itself_at_most(
    proxy: FaultProxy, vllm_server: Callable[[Path], str]
) -> None:
    second = VllmEngine(vllm_server(META), META.name)
    engine = engine_behind(proxy, total_s=0.3)  # each death is a loss
    await engine.describe()
    ids = await deadly_prompt(engine)
    proxy.poison = (lambda body: begins_with(body, ids), kill(0.6))
    ended = await decode_all(PROBLEMS, engine, continues=True, second=second)
    aside = ended.pop(DEADLY.id)
    assert isinstance(aside, Quarantined) or aside.missing == ("one",)
    assert all(isinstance(one, Decoding) for one in ended.values())


async def test_a_shard_that_fails_for_it_finds_it_when_it_is_tried_again(proxy: FaultProxy) -> None:
    engine = engine_behind(proxy, total_s=0.3)
    await engine.describe()
    ids = await deadly_prompt(engine)
    proxy.poison = (lambda body: begins_with(body, ids), kill(0.6))
    for _ in range(6):
        try:
            ended = await decode_all([DEADLY], engine)
            break
        except EngineUnreachable:
            await asyncio.sleep(1.0)
    assert isinstance(ended[DEADLY.id], Quarantined)


async def test_a_server_that_goes_by_itself_is_held_against_nobody(proxy: FaultProxy) -> None:
    engine = engine_behind(proxy)
    await engine.describe()
    quiet = await decode_all(PROBLEMS, engine)

    def restart_after_some_answers(passage: Passage) -> None:
        if proxy.counts["passed"] >= restarts[-1] + 25 and proxy.listens:
            restarts.append(proxy.counts["passed"])
            proxy.cut_from_within()
            mending.append(asyncio.ensure_future(mend()))

    async def mend() -> None:
        await asyncio.sleep(AWAY_S)
        await proxy.mend_from_within()

    restarts, mending = [proxy.counts["passed"]], list[asyncio.Future[None]]()
    proxy.before = restart_after_some_answers
    assert await decode_all(PROBLEMS, engine) == quiet
    assert len(restarts) > 2
