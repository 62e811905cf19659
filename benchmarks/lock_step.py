"""Beam search in lock-step, in the shape of Hugging Face's search-and-learn.

Theirs drives `vllm.LLM` and a reward model inside its own process, so it cannot be put before a
server; this is our own loop in that shape. All problems take a step together: one batch of all
prefixes, each as often as it is to be continued, sampled up to the next step; then one batch of
scores; then every problem keeps its best. Prefixes are text. A round waits for its slowest
proposal of all problems, and scoring begins when sampling has ended. (Theirs allows beam search
for one problem at a time only, `search_batch_size` 1; the many at once are their DVTS's, and the
faster of the two.)

Scores are the same predictive perplexity, read the plain way: the whole text again, with
`prompt_logprobs`.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import httpx

from benchmarks.work import STEP_HEADER, Outcome, Task, Work, probed


async def lock_step(work: Work, url: str, model: str) -> Outcome:
    """Search all tasks. Raises httpx errors."""
    limits = httpx.Limits(max_connections=None, keepalive_expiry=2.0)
    async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as client:

        async def complete(body: dict[str, Any]) -> list[dict[str, Any]]:
            common = {"model": model, "add_special_tokens": False}
            answer = (await client.post("/completions", json={**common, **body})).raise_for_status()
            choices: list[dict[str, Any]] = answer.json()["choices"]
            return sorted(choices, key=lambda choice: int(choice["index"]))

        async def score(task: Task, trajectories: list[str]) -> list[float]:
            prompts = [probed(work, task, trajectory) for trajectory in trajectories]
            body = {"prompt": prompts, "prompt_logprobs": 0, "max_tokens": 1, "temperature": 0}
            return [
                perplexity(choice["prompt_logprobs"], len(task.answer))
                for choice in await complete(body)
            ]

        begun = time.perf_counter()
        proposals = scored = 0
        beams: list[list[str]] = [[""] for _ in work.tasks]
        for index in range(work.rounds):
            opened = [
                [beam + _opening(beam, index) for beam in beams_ for _ in range(work.teachers)]
                for beams_ in beams
            ]
            sampled = iter(
                await complete(
                    {
                        "prompt": [
                            task.prompt + text
                            for task, texts in zip(work.tasks, opened, strict=True)
                            for text in texts
                        ],
                        "max_tokens": work.most_step_tokens,
                        "temperature": work.temperature,
                        "stop": [STEP_HEADER],
                    }
                )
            )
            grown = [[text + next(sampled)["text"] for text in texts] for texts in opened]
            scores = await asyncio.gather(*map(score, work.tasks, grown))
            for place, (texts, values) in enumerate(zip(grown, scores, strict=True)):
                best = sorted(zip(values, texts, strict=True), key=lambda pair: -pair[0])
                beams[place] = [text for _, text in best[: work.width]]
            proposals += sum(map(len, grown))
            scored += sum(map(len, scores))
        return Outcome(time.perf_counter() - begun, proposals, scored=scored)


def _opening(prefix: str, index: int) -> str:
    newline = "" if not prefix or prefix.endswith("\n") else "\n"
    return f"{newline}{STEP_HEADER} {index + 1}."


def perplexity(positions: list[dict[str, dict[str, float]] | None], tokens: int) -> float:
    """exp of the mean log-probability of a prompt's last `tokens` tokens."""
    values = [next(iter(p.values()))["logprob"] for p in positions[-tokens:] if p]
    return math.exp(math.fsum(values) / len(values))
