"""Pass@1 of real models: the miniature's in this process, and one behind a real vLLM."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from doubles.scripted_engine import ScriptedEngine

import cord.miniature
from cord.engines.embedded.engine import open_embedded
from cord.engines.vllm.engine import VllmEngine
from cord.errors import ContextTooLong, EngineError, LakeError
from cord.lake import Lake, open_lake
from cord.lake.evaluations import EVALUATIONS, Series, all_rows
from cord.lake.tables.query import query
from cord.miniature.problems import write_problems
from cord.prompts import PLAIN_INSTRUCTIONS
from cord.scheduler import Stopped
from cord.students.benchmarks import read_benchmark
from cord.students.evaluate import evaluate, series_key
from cord.students.recipe import Benchmark
from cord.types import Problem

ADA = Path(cord.miniature.__file__).parent / "models" / "ada"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"), create=True)


@pytest.fixture
def problems(tmp_path: Path) -> tuple[Problem, ...]:
    write_problems(tmp_path / "p.jsonl", 6, seed=2)
    return read_benchmark(asked(), tmp_path).problems


def asked(**changes: object) -> Benchmark:
    return Benchmark.model_validate(
        {
            **{"name": "miniature", "problems": {"path": "p.jsonl"}, "samples": 2},
            **{"temperature": 0.8, "max_tokens": 160, **changes},
        }
    )


def answering(of: dict[str, Callable[[int], str]]) -> ScriptedEngine:
    """Answers each question by what `of` says to the n-th time it is asked."""
    times: dict[str, int] = {}

    def say(request):
        time = times[request.question] = times.get(request.question, 0) + 1
        return of[request.question](time)

    return ScriptedEngine(say)


def boxed(answer: object) -> str:
    return f"### Step 1. so\n</think>\n\nThe final answer is \\boxed{{{answer}}}"


PAIR = (Problem("a", "1+1?", "2"), Problem("b", "2+2?", "4"))


async def test_pass_at_1_is_the_mean_over_samples_then_over_problems():
    engine = answering({"1+1?": lambda n: boxed(2 if n > 1 else 3), "2+2?": lambda n: boxed(4)})
    done = await evaluate(engine, "m", asked(samples=4), PAIR)
    result = done.result
    assert result.pass_at_1 == pytest.approx((3 / 4 + 1) / 2)
    assert (result.problems, result.samples, result.sampled) == (2, 4, 8)
    assert result.low <= result.pass_at_1 <= result.high
    assert [sum(samples) for samples in done.correct()] == [3, 4]
    assert {request.temperature for request in engine.requests} == {0.8}
    seeds = [request.seed for request in engine.requests]
    assert len(set(seeds)) == 8, "each sample has a seed of its own"
    again = answering({"1+1?": lambda n: boxed(2), "2+2?": lambda n: boxed(4)})
    await evaluate(again, "m", asked(samples=4), PAIR[::-1], in_flight=1)
    assert sorted(r.seed for r in again.requests) == sorted(seeds), "whatever the order of work"


async def test_what_did_not_end_stated_nothing_or_could_not_be_asked_is_counted():
    def too_long(n: int) -> str:
        raise ContextTooLong("the question is longer than the context")

    problems = (*PAIR, Problem("c", "3+3?", "6"), Problem("d", "4+4?", "8"))
    words = {
        "1+1?": lambda n: boxed(2) + " and" * 300,
        "2+2?": lambda n: "I do not know.\n\nReally.",
        "3+3?": lambda n: boxed(6),
        "4+4?": too_long,
    }
    result = (await evaluate(answering(words), "m", asked(samples=1), problems)).result
    assert result.pass_at_1 == 0.25
    assert (result.cut, result.unanswered, result.undecided) == (1, 2, 1)
    hopeless = answering({"1+1?": too_long, "2+2?": too_long})
    with pytest.raises(EngineError, match="2 of 2 answers failed: the question is longer"):
        await evaluate(hopeless, "m", asked(samples=1), PAIR)


async def test_the_lake_keeps_every_answer_and_only_what_is_missing_is_sampled(lake):
    engine = answering({"1+1?": lambda n: boxed(2), "2+2?": lambda n: boxed(n)})
    first = await evaluate(engine, "m", asked(samples=2), PAIR, lake=lake)
    assert first.result.sampled == 4 and first.result.pass_at_1 == 0.5
    again = await evaluate(engine, "m", asked(samples=2), PAIR, lake=lake)
    assert len(engine.requests) == 4 and again.rows == first.rows
    assert again.result.sampled == 0 and again.result.pass_at_1 == 0.5

    third = Problem("c", "2+2?", "4")  # the same words, another problem
    more = await evaluate(engine, "m", asked(samples=4), (*PAIR, third), lake=lake)
    assert more.result.sampled == 2 * 2 + 4
    assert {r["sample"] for r in more.rows} == {0, 1, 2, 3}
    for changes in ({"temperature": 0.7}, {"max_tokens": 161}, {"rule": "choice"}):
        other = await evaluate(engine, "m", asked(samples=2, **changes), PAIR, lake=lake)
        assert other.result.sampled == 4, changes
    assert (await evaluate(engine, "m", asked(), PAIR, seed=1, lake=lake)).result.sampled == 4

    rows = all_rows(lake)
    assert rows.schema == EVALUATIONS and rows.num_rows == 12 + 3 * 4 + 4
    assert set(rows["model"].to_pylist()) == {"m"}
    asked_for = "select benchmark, avg(correct::int) p from evaluations group by all"
    assert query(lake, asked_for).to_pylist()[0]["benchmark"] == "miniature"


async def test_an_evaluation_that_is_stopped_or_killed_goes_on_where_it_was(lake, monkeypatch):
    problems = tuple(Problem(f"p{n}", f"{n}+1?", str(n + 1)) for n in range(40))
    engine = ScriptedEngine(lambda request: boxed(1), jitter=True)
    stop = threading.Event()
    seen: list[int] = []

    def watch(tokens: int) -> None:
        seen.append(tokens)
        if len(seen) == 20:
            stop.set()

    how = {"lake": lake, "in_flight": 4, "watch": watch}
    with pytest.raises(Stopped):
        await evaluate(engine, "m", asked(samples=1), problems, stop=stop, **how)
    kept = all_rows(lake).num_rows
    assert 20 <= kept <= 24, "whatever was answered is in the lake"
    done = await evaluate(engine, "m", asked(samples=1), problems, **how)
    assert done.result.sampled == 40 - kept and all_rows(lake).num_rows == 40

    # An answer that takes for ever is not waited for.
    stop.clear()
    for_ever = ScriptedEngine()
    monkeypatch.setattr(for_ever, "propose", lambda request: asyncio.sleep(3600))
    asyncio.get_running_loop().call_later(0.2, stop.set)
    with pytest.raises(Stopped):
        await asyncio.wait_for(
            evaluate(for_ever, "o", asked(samples=1), problems, 8, stop=stop, lake=lake), 20
        )

    # A kill leaves what was written before it: within seconds of its answer, not only at the end.
    slow = ScriptedEngine(lambda request: boxed(1))
    gate = asyncio.Event()

    async def propose(request):
        if len(slow.requests) >= 3:
            await gate.wait()
        return await ScriptedEngine.propose(slow, request)

    monkeypatch.setattr(slow, "propose", propose)
    going = asyncio.create_task(evaluate(slow, "n", asked(samples=1), problems, seed=9, **how))
    await asyncio.sleep(1.5)
    assert all_rows(lake).num_rows == 43 and not going.done()
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)


async def test_a_lake_that_takes_nothing_ends_the_sampling(lake, monkeypatch):
    def refuse(self, rows):
        raise LakeError("the disk is full")

    monkeypatch.setattr(Series, "write", refuse)
    gate = asyncio.Event()
    engine = ScriptedEngine(lambda request: boxed(1))

    async def propose(request):
        if engine.requests:
            await gate.wait()
        return await ScriptedEngine.propose(engine, request)

    monkeypatch.setattr(engine, "propose", propose)
    with pytest.raises(LakeError, match="the disk is full"):
        await asyncio.wait_for(evaluate(engine, "m", asked(), PAIR, lake=lake), 20)


def test_rows_that_are_no_rows_are_named(lake):
    key = series_key("i", "", asked(), 0)
    lake.store.write(f"evaluations/{key}/1.jsonl", json.dumps({"model": "m"}).encode())
    with pytest.raises(LakeError, match="something else than an evaluation's rows"):
        Series(lake, key).rows()


@pytest.mark.slow
async def test_the_miniature_in_this_process(problems, lake):
    engine = open_embedded("cord:ada", PLAIN_INSTRUCTIONS)
    done = await evaluate(engine, "ada", asked(), problems, seed=4, lake=lake)
    alone = await evaluate(engine, "ada", asked(), problems[:2], seed=4, in_flight=1)
    await engine.close()
    assert done.result.problems == 6 and 0 <= done.result.pass_at_1 <= 1
    assert all(row["text"].startswith("### Step 1.") for row in done.rows)
    assert done.result.mean_tokens > 10
    for ours, theirs in zip(alone.rows, done.rows, strict=False):
        assert ours["text"] == theirs["text"], "the same seed, the same answer"


@pytest.mark.slow
async def test_a_model_behind_a_real_vllm_gives_whole_answers(problems, lake, vllm_server):
    url = await asyncio.to_thread(vllm_server, ADA)
    engine = VllmEngine(url, ADA.name, instructions=PLAIN_INSTRUCTIONS)
    greedy = asked(temperature=0, top_p=1, samples=1)
    done = await evaluate(engine, "ada", greedy, problems, lake=lake)
    again = await evaluate(engine, "ada", greedy, problems, lake=lake)
    assert done.result.sampled == 6 and again.result.sampled == 0
    embedded = open_embedded("cord:ada", PLAIN_INSTRUCTIONS)
    here = await evaluate(embedded, "ada", greedy, problems)
    await embedded.close()
    await engine.close()
    agree = [a["text"] == b["text"] for a, b in zip(done.rows, here.rows, strict=True)]
    assert sum(agree) >= 5, "greedy answers, but for a tie that rounding breaks"
