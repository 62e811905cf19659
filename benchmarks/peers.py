"""CoRD's speed on a real vLLM server: beside plain sampling, its_hub, and lock-step search.

    python -m benchmarks.peers [--quick] [--json]

One server (`benchmarks.vllm_server`, vLLM's CPU build, its defaults of 128 sequences at once and
prefix caching, blocks of 32 tokens), one small model (`benchmarks.long_model`), one run. Each
contestant has the machine for itself, and the server is warm. The work: 64 problems with prompts
of 600 tokens; a beam search of 3 rounds, width 4, 3 teachers (the one model on this server, three
times): 3, 9 and 12 proposals a problem, each scored by predictive perplexity; steps of 128 tokens
in the mean, geometrically spread, at most 512. Each contestant has problems of its own of the same
shape, so that none finds another's prefixes in the cache.

- *CoRD*: `cord.scheduler.decode_problems` over a recipe's ensemble, as `cord run` uses it, without
  Prefect and lake; 64 problems in flight, 192 seats. Requests carry seeds.
- *plain sampling*: as many whole trajectories as CoRD's beam holds candidates, 12 for each
  problem, of 3 mean steps, `n=12` in one request a problem, all requests at once, no seeds, no
  scores. It is measured before and after CoRD, and so is CoRD; means are compared.
- *its_hub* (`benchmarks.its_hub_peer`): its beam search and client, all problems at once, our
  process reward model. Without its_hub the figure is left out, and it is said why.
- *lock-step* (`benchmarks.lock_step`): our loop in the shape of search-and-learn.

`--quick` takes 16 problems, too few to keep 128 sequences at work through the ends of the rounds:
it shows that all run, and its figures may miss the goals, which are for 64.

The same for all: server, model, number and shape of prompts, rounds, width, proposals for each
prefix, cap, temperature, the quantity that is scored. Of prompts: CoRD sends token ids and numbers
its steps; the others send text, whose tokens are here always those that were sampled (the model's
vocabulary has one spelling for each text), so text costs them no cache hits as it would elsewhere.
Of scores: both peers read them the plain way (`prompt_logprobs`), the only one that a server has
of itself; CoRD reads them as it finds best, which is printed. Time is that of the same number of
proposals; sampled tokens are printed beside it.

*Cache hits of re-submitted prefixes*: a prompt's re-submitted tokens are its longest beginning
that is a beginning of what an earlier request of the run had sent or sampled (in flight counts as
sent); all requests count, scoring included. Hits are the server's own count
(`vllm:prefix_cache_hits`). vLLM caches whole blocks only, so the last, unfinished block of each
re-submitted prefix is a miss, and counts as one.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx

from benchmarks.figures import Figure, at_least, report
from benchmarks.its_hub_peer import MISSING, its_hub, its_hub_python
from benchmarks.lock_step import lock_step
from benchmarks.long_model import chat, save_long_model, write_text
from benchmarks.vllm_server import serving
from benchmarks.work import Outcome, Task, Work
from cord.engines.vllm.server import VllmServer
from cord.ensemble import open_ensemble
from cord.prompts import ANSWER_PROBE
from cord.recipe import Recipe
from cord.scheduler import decode_problems
from cord.types import Decoding, Problem

MEAN_STEP, MOST_STEP = 128, 512
QUESTION, INSTRUCTIONS = 500, 90  # tokens
TEMPERATURE = 1.0
SEATS = 192  # half as many again as the server has sequences: one is always at hand
SERVER = ("--max-model-len", "4096", "--max-num-seqs", "128", "--block-size", "32")

Contestant = Callable[[Work, str, str], Outcome]
_Sent = list[tuple[int, Sequence[int]]]


@dataclass(frozen=True)
class Measured:
    """A contestant's outcome, and what the server says of it."""

    name: str
    seconds: float
    proposals: int
    """Trajectories, for plain sampling."""
    tokens: int
    """Sampled for them."""
    read: int
    """Prompt tokens that no cache held."""
    hits: int
    """Prompt tokens that the cache held."""

    @property
    def pace(self) -> float:
        """Sampled tokens a second."""
        return self.tokens / self.seconds

    def __str__(self) -> str:
        return (
            f"{self.name:<16}{self.seconds:9.1f}{self.proposals:11d}{self.tokens:10d}"
            f"{self.pace:11.0f}{self.read:12d}{self.hits:12d}"
        )


HEAD = "contestant        seconds  proposals    tokens   tokens/s  read anew  from cache"


def new_work(problems: int, series: int) -> Work:
    """Work of the same shape for each `series`, with texts of its own."""
    instructions = write_text(INSTRUCTIONS, 0)
    draw = random.Random(series)
    questions = [write_text(QUESTION, 1_000_000 * series + i) for i in range(1, problems + 1)]
    return Work(
        tasks=tuple(
            Task(question, f"{draw.randrange(10_000):04d}", chat(instructions, question))
            for question in questions
        ),
        instructions=instructions,
        probe=ANSWER_PROBE,
        width=4,
        teachers=3,
        rounds=3,
        most_step_tokens=MOST_STEP,
        temperature=TEMPERATURE,
    )


def recipe_of(work: Work, url: str, model: str) -> Recipe:
    """As a user would write it."""
    place = {"model": model, "url": url, "temperature": work.temperature, "seats": SEATS}
    return Recipe.model_validate(
        {
            "name": "peers",
            "problems": {"path": "none"},
            "teachers": [{"name": f"teacher-{i}", **place} for i in range(1, work.teachers + 1)],
            "meta_prover": "teacher-1",
            "search": {
                "width": work.width,
                "max_steps": work.rounds,
                "max_step_tokens": work.most_step_tokens,
                "instructions": work.instructions,
            },
        }
    )


async def cord(work: Work, url: str, model: str) -> Outcome:
    """Decode all tasks. Raises `CordError`."""
    recipe = recipe_of(work, url, model)
    ensemble = open_ensemble(recipe, Path())
    problems = [Problem(f"p{i}", t.question, t.answer) for i, t in enumerate(work.tasks)]
    begun = time.perf_counter()
    decodings = [
        done
        async for done in decode_problems(
            problems, ensemble.teachers, ensemble.criterion, recipe.search, 7, len(problems)
        )
    ]
    seconds = time.perf_counter() - begun
    await ensemble.meta_prover.close()
    proposals = tokens = 0
    for done in decodings:
        assert isinstance(done, Decoding), done.reason
        assert len(done.rounds) == work.rounds
        proposals += sum(cost.proposals for cost in done.costs.values())
        tokens += done.proposed_tokens
    return Outcome(seconds, proposals, tokens)


async def scoring_way(work: Work, url: str, model: str) -> str:
    """How CoRD reads log-probabilities of this server."""
    ensemble = open_ensemble(recipe_of(work, url, model), Path())
    return (await ensemble.meta_prover.describe()).scoring


async def plain_sampling(work: Work, url: str, model: str) -> Outcome:
    """Whole trajectories, `width` * `teachers` for each task."""
    count = work.width * work.teachers
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as client:

        async def sample(task: Task) -> int:
            body = {
                "model": model,
                "prompt": task.prompt,
                "add_special_tokens": False,
                "n": count,
                "max_tokens": work.rounds * (MEAN_STEP + 1),
                "temperature": work.temperature,
            }
            answer = (await client.post("/completions", json=body)).raise_for_status().json()
            return int(answer["usage"]["completion_tokens"])

        begun = time.perf_counter()
        tokens = sum(await asyncio.gather(*map(sample, work.tasks)))
        return Outcome(time.perf_counter() - begun, count * len(work.tasks), tokens)


def counters(url: str) -> dict[str, float]:
    """The server's counters, summed over labels."""
    text = httpx.get(url.removesuffix("/v1") + "/metrics", trust_env=False).text
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("vllm:"):
            name, value = line.partition("{")[0].removeprefix("vllm:"), line.rpartition(" ")[2]
            found[name] = found.get(name, 0.0) + float(value)
    return found


@contextmanager
def recorded() -> Iterator[_Sent]:
    """What cord sends and gets, in order: (number of the request, ids), first the prompt's ids,
    later the sampled ones. Nothing is looked into while it lasts."""
    record: _Sent = []
    post = VllmServer.post

    async def recording(self: VllmServer, path: str, body: Any, *rest: Any) -> Any:
        if path != "/v1/completions":
            return await post(self, path, body, *rest)
        number = len(record)
        record.append((number, body["prompt"]))
        answer = await post(self, path, body, *rest)
        record.append((number, answer["choices"][0].get("token_ids") or ()))
        return answer

    VllmServer.post = recording  # type: ignore[method-assign, assignment]
    try:
        yield record
    finally:
        VllmServer.post = post  # type: ignore[method-assign]


def resubmitted(record: _Sent) -> int:
    """Prompt tokens that were the beginning of what was sent or sampled before."""
    root: dict[int, Any] = {}
    ends: dict[int, dict[int, Any]] = {}
    total = 0
    for number, ids in record:
        node, is_prompt = ends.get(number, root), number not in ends
        known = is_prompt
        for token in ids:
            known = known and token in node
            total += known
            node = node.setdefault(token, {})
        ends[number] = node
    return total


class Match:
    """One server, and who has run on it."""

    def __init__(self, url: str, model: str, problems: int) -> None:
        self.url, self.model, self.problems = url, model, problems
        self._series = 0

    def work(self, problems: int | None = None) -> Work:
        """The next contestant's."""
        self._series += 1
        return new_work(problems or self.problems, self._series)

    def run(self, name: str, contestant: Contestant) -> Measured:
        """Let a contestant run, and say what the server counted meanwhile."""
        work, before = self.work(), counters(self.url)
        outcome = contestant(work, self.url, self.model)
        after = counters(self.url)
        spent = {key: round(value - before.get(key, 0.0)) for key, value in after.items()}
        measured = Measured(
            name,
            outcome.seconds,
            outcome.proposals,
            outcome.tokens or spent["generation_tokens_total"] - outcome.scored,
            spent["prompt_tokens_total"] - spent["prompt_tokens_cached_total"],
            spent["prompt_tokens_cached_total"],
        )
        print(measured, flush=True)
        return measured


def in_loop(contestant: Callable[[Work, str, str], Coroutine[Any, Any, Outcome]]) -> Contestant:
    """A contestant of this process, in an event loop of its own."""
    return lambda work, url, model: asyncio.run(contestant(work, url, model))


def hold_match(match: Match) -> list[Figure]:
    """Let all run, one after another."""
    for warm_up in (cord, plain_sampling):
        asyncio.run(warm_up(match.work(2), match.url, match.model))
    way = asyncio.run(scoring_way(match.work(1), match.url, match.model))
    print(f"{match.problems} problems; CoRD scores by {way}")
    print(HEAD)
    plain = [match.run("plain sampling", in_loop(plain_sampling))]
    with recorded() as record:
        ours = [match.run("CoRD", in_loop(cord))]
    share = ours[0].hits / resubmitted(record)
    peers = {}
    if its_hub_python() is None:
        print(f"its_hub: not measured: {MISSING}")
    else:
        peers["its_hub"] = match.run("its_hub", its_hub)
    peers["lock-step"] = match.run("lock-step", in_loop(lock_step))
    ours.append(match.run("CoRD again", in_loop(cord)))
    plain.append(match.run("plain again", in_loop(plain_sampling)))
    seconds = fmean(m.seconds for m in ours)
    pace = fmean(m.pace for m in ours) / fmean(m.pace for m in plain)
    return [
        at_least("cache hits of re-submitted prefixes", share, 0.95, "share of their tokens"),
        at_least("CoRD beside plain sampling", pace, 0.85, "of its tokens a second"),
        *(
            at_least(f"CoRD against {name}", peer.seconds / seconds, 2.0, "times as fast")
            for name, peer in peers.items()
        ),
    ]


def main() -> None:
    """Print the table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="16 problems instead of 64")
    parser.add_argument("--json", action="store_true", help="figures as JSON on the last line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = save_long_model(Path(scratch) / "long", MEAN_STEP)
        with serving(model, *SERVER, cache_gib=2) as url:
            figures = hold_match(Match(url, model.name, 16 if options.quick else 64))
    report(figures, options.json)


if __name__ == "__main__":
    main()
