"""The failure list, on a real vLLM behind a proxy that breaks what passes."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import vllm_faults
from fault_proxy import FaultProxy
from vllm_faults import hang, status
from vllm_passage import Passage

import cord.miniature
from benchmarks.storm import Storm
from cord.engines import AnswerRequest, Proposal, ProposalRequest
from cord.engines.vllm.engine import VllmEngine
from cord.engines.vllm.server import Patience
from cord.errors import EngineError, EngineRefused, EngineUnreachable
from cord.prompts import ANSWER_PROBE

pytestmark = pytest.mark.slow

META = Path(cord.miniature.__file__).parent / "models" / "meta"
BATCH = 24
Results = tuple[list[Proposal], list[list[tuple[float, ...]]]]


def asking(number: int) -> ProposalRequest:
    return ProposalRequest(
        question="Start 9; +5; +8; *9; rev" + f"; +{number}" * (number % 5),
        steps=(),
        opening="### Step 1.",
        stop=("### Step",),
        max_tokens=40,
        temperature=0.9,
        seed=1000 + number,
    )


async def ask_all(engine: VllmEngine) -> Results:
    """Seeded proposals and scores, all at once."""
    scoring = [
        AnswerRequest(asking(n).question, (), ANSWER_PROBE, (str(n), "7")) for n in range(BATCH)
    ]
    proposals, scores = await asyncio.gather(
        asyncio.gather(*(engine.propose(asking(n)) for n in range(BATCH))),
        asyncio.gather(*map(engine.answer_logprobs, scoring)),
    )
    return proposals, [list(values) for values in scores]


@pytest.fixture(scope="module")
def quiet(vllm_server: Callable[[Path], str]) -> Results:
    """What the server answers when nothing goes wrong."""
    return asyncio.run(ask_all(VllmEngine(vllm_server(META), META.name)))


@pytest.fixture
def proxy(vllm_server: Callable[[Path], str]) -> Iterator[FaultProxy]:
    with FaultProxy(vllm_server(META), hang_s=60) as between:
        yield between


def engine_behind(proxy: FaultProxy, **patience: float) -> VllmEngine:
    waits = {"total_s": 60.0, "first_wait_s": 0.02, "longest_wait_s": 0.2, "answer_s": 20.0}
    return VllmEngine(proxy.url, META.name, patience=Patience(**(waits | patience)))  # type: ignore[arg-type]


def is_score(passage: Passage) -> bool:
    return any(name in passage.body for name in ("logprobs", "prompt_logprobs"))


async def test_a_storm_changes_no_byte_and_counts_nothing_twice(proxy, quiet):
    engine = engine_behind(proxy, answer_s=3.0, look_s=3.0, tries=100, unusable_tries=20)
    await engine.describe()
    proxy.storm = Storm(7, 0.3, vllm_faults.PASSING)
    assert await ask_all(engine) == quiet
    # An answer that came whole, but too late for who had asked, passed and is not counted.
    assert sum(proposal.tokens for proposal in quiet[0]) <= proxy.tokens
    met = set(proxy.counts) - {"passed"}
    assert len(met) > len(vllm_faults.PASSING) / 2, "hardly a storm"


@pytest.mark.parametrize("fault", vllm_faults.PASSING, ids=lambda fault: fault.__name__)
async def test_each_fault_alone_is_survived(proxy, quiet, fault):
    slow = fault in (hang, vllm_faults.drip_for_ever)
    engine = engine_behind(proxy, answer_s=2.0 if slow else 20.0)
    await engine.describe()
    scores = fault in (vllm_faults.nan_logprobs, vllm_faults.no_logprobs)
    proxy.aim = is_score if scores else proxy.aim
    times = 1 if fault is vllm_faults.drip else 2  # which is no fault to who waits
    proxy.faults.extend([fault] * times)
    if scores:
        request = AnswerRequest(asking(3).question, (), ANSWER_PROBE, ("3", "7"))
        assert list(await engine.answer_logprobs(request)) == quiet[1][3]
    else:
        proposal = await engine.propose(asking(3))
        assert proposal == quiet[0][3]
        assert proposal.tokens == proxy.tokens
    assert not proxy.faults and proxy.counts[fault.__name__] == times


async def test_a_request_that_always_fails_fails_alone(proxy, quiet):
    engine = engine_behind(proxy, tries=4)
    await engine.describe()
    proxy.poison = (lambda body: body.get("seed") == 1003, status(500))
    answers = await asyncio.gather(
        *(engine.propose(asking(n)) for n in range(BATCH)), return_exceptions=True
    )
    assert [a for n, a in enumerate(answers) if n != 3] == [
        p for n, p in enumerate(quiet[0]) if n != 3
    ]
    assert isinstance(answers[3], EngineError) and not isinstance(answers[3], EngineUnreachable)
    assert "4 tries" in str(answers[3]) and "500: the proxy says no" in str(answers[3])
    assert proxy.counts["status_500"] == 4


async def test_a_server_that_fails_at_everything_is_away_and_its_requests_are_not_at_fault(
    proxy, quiet
):
    engine = engine_behind(proxy, total_s=1.0, tries=3)
    await engine.describe()
    proxy.storm = Storm(1, 1.0, [status(500)])
    with pytest.raises(EngineUnreachable, match="500: the proxy says no"):
        await engine.propose(asking(3))
    proxy.storm = None
    await asyncio.sleep(0.4)
    assert await engine.propose(asking(3)) == quiet[0][3]


async def test_while_a_server_is_away_one_looks_and_all_others_wait(proxy, quiet):
    engine = engine_behind(proxy, first_wait_s=0.1)
    await engine.describe()
    proxy.storm = Storm(1, 1.0, [status(503)])
    under_way = [asyncio.create_task(engine.propose(asking(n))) for n in range(BATCH)]
    await asyncio.sleep(2.0)
    # Each was sent once at most; looks are 0.05 s or more apart.
    assert 3 < proxy.counts["status_503"] <= BATCH + 40
    proxy.storm = None
    assert await asyncio.gather(*under_way) == quiet[0]


async def test_a_server_torn_away_and_back_in_time_is_waited_for(proxy, quiet):
    engine = engine_behind(proxy)
    await engine.describe()
    midst = threading.Event()
    proxy.before = lambda passage: midst.set() if proxy.counts["passed"] >= 40 else None
    under_way = [asyncio.create_task(engine.propose(asking(n))) for n in range(BATCH)]
    await asyncio.to_thread(midst.wait, 60)
    proxy.cut()
    assert not all(task.done() for task in under_way)
    await asyncio.sleep(1.0)
    proxy.mend()
    assert await asyncio.gather(*under_way) == quiet[0]


async def test_a_lost_server_fails_all_at_once_and_is_used_again_when_it_is_back(proxy, quiet):
    engine = engine_behind(proxy, total_s=1.0)
    await engine.describe()
    proxy.cut()
    began = time.monotonic()
    for _ in range(5):  # rounds: only the first one waits
        lost = await asyncio.gather(
            *(engine.propose(asking(n)) for n in range(BATCH)), return_exceptions=True
        )
        assert all(isinstance(error, EngineUnreachable) for error in lost)
    assert 0.9 < time.monotonic() - began < 4
    assert "'meta' on the vLLM server" in str(lost[0]) and "run or resume" in str(lost[0])
    proxy.mend()
    await asyncio.sleep(0.4)  # the next look is due
    assert await engine.propose(asking(3)) == quiet[0][3]


async def test_a_server_that_falls_silent_is_noticed_long_before_an_answer_is_overdue(proxy, quiet):
    engine = engine_behind(proxy, total_s=1.0, silence_s=0.5, look_s=0.5, answer_s=600.0)
    await engine.describe()
    proxy.storm = Storm(1, 1.0, [hang])
    began = time.monotonic()
    with pytest.raises(EngineUnreachable, match="cannot be reached"):
        await engine.propose(asking(3))
    assert time.monotonic() - began < 20


async def test_a_long_answer_is_no_silence(proxy, quiet):
    async def late(passage: Passage) -> None:
        await asyncio.sleep(1.5)
        await vllm_faults.pass_on(passage)

    engine = engine_behind(proxy, total_s=0.5, silence_s=0.2, look_s=20.0, answer_s=600.0)
    await engine.describe()
    proxy.faults.append(late)
    assert await engine.propose(asking(3)) == quiet[0][3]
    assert proxy.tokens == quiet[0][3].tokens


async def test_a_key_that_is_taken_back_ends_it_in_one_sentence(proxy, monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", "sesame-42")
    proxy.key = "sesame-42"
    engine = VllmEngine(proxy.url, META.name, "TEACHER_KEY")
    await engine.propose(asking(3))
    proxy.key = "another"
    with pytest.raises(EngineRefused, match=r"\(401\): wrong or missing key; set .* TEACHER_KEY"):
        await engine.propose(asking(4))
    assert proxy.counts["wrong key"] == 1, "not asked again"
