"""A whole run with problems that cannot be decoded: each costs itself alone."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from factory import STARTER, Factory
from fault_proxy import FaultProxy
from vllm_faults import Fault, kill, status
from vllm_passage import Passage

import cord.miniature
from cord.engines.vllm.engine import VllmEngine
from cord.miniature.problems import distinct

pytestmark = pytest.mark.slow

META = Path(cord.miniature.__file__).parent / "models" / "meta"
PROBLEMS = 8
QUESTIONS = [chain.question for chain in distinct("demo", PROBLEMS, seed=5)]
"""As `Factory.write_problems` writes them."""
DEADLY, REFUSED = 1, 3
FAULTS: dict[int, Fault] = {DEADLY: kill(away_s=7.0), REFUSED: status(400)}


@pytest.fixture
def proxy(vllm_server: Callable[[Path], str]) -> Iterator[FaultProxy]:
    with FaultProxy(vllm_server(META)) as between:
        yield between


def poison(proxy: FaultProxy) -> None:
    """From now on each of `FAULTS` befalls the proposals for its problem."""
    tokenizer = VllmEngine(proxy.url, META.name)._tokenizer

    async def prompts() -> dict[int, list[int]]:
        return {n: list(await tokenizer.prompt_ids(QUESTIONS[n])) for n in FAULTS}

    beginnings = asyncio.run(prompts())

    def whose(body: dict[str, Any]) -> int | None:
        prompt = body["prompt"]
        return next((n for n, ids in beginnings.items() if prompt[: len(ids)] == ids), None)

    async def befall(passage: Passage) -> None:
        number = whose(passage.body)
        assert number is not None
        await FAULTS[number](passage)

    proxy.poison = (lambda body: "seed" in body and whose(body) is not None, befall)


def test_each_costs_itself_alone_and_the_run_is_completed(
    factory: Factory, proxy: FaultProxy
) -> None:
    served = {"model": META.name, "url": proxy.url}
    factory.write_problems(PROBLEMS)
    factory.write_recipe(
        teachers=[{"name": n, "temperature": t, **served} for n, t in (("one", 0.7), ("two", 0.9))],
        meta_prover="one",
        search={"width": 2, "max_steps": 3, "max_step_tokens": 24, "max_tokens": 200},
        contract={"min_records": 0},
        run={**STARTER["run"], "shards": 2, "workers": 2, "retries": 0},
    )
    poison(proxy)
    ran = factory.run("--run-id", "poisoned")
    assert ran.code == 0, ran.err
    made = ran.json
    assert made["problems"] == PROBLEMS == made["records"] + made["wrong"] + made["quarantined"]
    aside = factory.ask("select problem_id, reason from quarantine where stage = 'decode'")
    reasons = {row["problem_id"]: row["reason"] for row in aside}
    assert set(reasons) == {f"p{number:03d}" for number in FAULTS}
    assert "also when it is asked nothing else" in reasons[f"p{DEADLY:03d}"]
    assert "refused the request (400): the proxy says no" in reasons[f"p{REFUSED:03d}"]
    decoded = factory.ask("select distinct problem_id from trajectories")
    assert len(decoded) == PROBLEMS - len(FAULTS)
