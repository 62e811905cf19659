"""Red Hat's its_hub: its BeamSearch, its StepGeneration, its client, on our work.

its_hub is no dependency of cord. It runs in a process of its own, by the Python that
CORD_ITS_HUB_PYTHON names, else by this one where its_hub is installed (the extra `bench`).

Ours is only the process reward model, since it has none that reads predictive perplexity: it sends
the whole text with `prompt_logprobs`, the candidates of one call together. Its settings are the
fast ones: all problems at once (`ainfer` in one event loop), no limit to its concurrency.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import json
import math
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks.work import STEP_HEADER, Outcome, Work, probed

PYTHON = "CORD_ITS_HUB_PYTHON"
MISSING = (
    "its_hub is not installed: pip install -e '.[bench]', or pip install 'its_hub[lm]==1.2.0' into "
    f"an environment of its own and name that environment's python in {PYTHON}"
)


def its_hub_python() -> str | None:
    """The Python that has its_hub, or None where there is none."""
    if named := os.environ.get(PYTHON):
        return named
    return sys.executable if importlib.util.find_spec("its_hub") else None


def its_hub(work: Work, url: str, model: str) -> Outcome:
    """Search all tasks in a process of its own; its start does not count. Raises RuntimeError."""
    python = its_hub_python()
    if python is None:
        raise RuntimeError(MISSING)
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        [python, "-m", "benchmarks.its_hub_peer"],
        input=json.dumps({"work": work.as_dict(), "url": url, "model": model}),
        cwd=root,
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"its_hub failed: {done.stderr[-2000:]}")
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


async def _search(work: Work, url: str, model: str) -> Outcome:
    import aiohttp
    from its_hub.api import AbstractProcessRewardModel
    from its_hub.core.algorithms.beam_search import BeamSearch
    from its_hub.core.lms.openai_lm import OpenAICompatibleLanguageModel
    from its_hub.core.lms.step_generation import StepGeneration

    tasks = {task.question: task for task in work.tasks}
    counted = {"scored": 0}

    class PerplexityRewards(AbstractProcessRewardModel):  # type: ignore[misc]
        """exp of the mean log-probability of the right answer behind the steps."""

        def __init__(self, session: aiohttp.ClientSession) -> None:
            self._session = session

        def score(self, prompt_or_messages: Any, steps: list[str]) -> list[float]:
            raise NotImplementedError("its beam search scores asynchronously")

        async def ascore(self, prompt_or_messages: Any, steps: list[str]) -> list[float]:
            task = tasks[prompt_or_messages]
            body = {
                "model": model,
                "prompt": [probed(work, task, text) for text in steps],
                "add_special_tokens": False,
                "prompt_logprobs": 0,
                "max_tokens": 1,
                "temperature": 0,
            }
            async with self._session.post(url + "/completions", json=body) as response:
                response.raise_for_status()
                choices = (await response.json())["choices"]
            counted["scored"] += len(choices)
            scores = []
            for choice in sorted(choices, key=lambda choice: int(choice["index"])):
                answer = choice["prompt_logprobs"][-len(task.answer) :]
                values = [next(iter(position.values()))["logprob"] for position in answer]
                scores.append(math.exp(math.fsum(values) / len(values)))
            return scores

    lm = OpenAICompatibleLanguageModel(
        endpoint=url,
        api_key="none",
        model_name=model,
        system_prompt=work.instructions,
        max_completion_tokens=work.most_step_tokens,
    )
    steps = StepGeneration(
        max_steps=work.rounds - 1,  # it ends behind the step after these
        step_token="\n" + STEP_HEADER,
        temperature=work.temperature,
    )
    patient = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=patient, connector=aiohttp.TCPConnector(limit=0)) as s:
        search = BeamSearch(steps, PerplexityRewards(s), beam_width=work.width)
        begun = time.perf_counter()
        found = await asyncio.gather(
            *(
                search.ainfer(
                    lm, task.question, budget=work.width * work.teachers, return_response_only=False
                )
                for task in work.tasks
            )
        )
        seconds = time.perf_counter() - begun
    await lm.close()
    assert all(set(result.steps_used) == {work.rounds} for result in found)
    return Outcome(seconds, counted["scored"], scored=counted["scored"])


def main() -> None:
    """Read {work, url, model} from stdin, print the outcome; runs where its_hub is."""
    warnings.simplefilter("ignore")  # of its own deprecated calls
    asked = json.load(sys.stdin)
    work = Work.from_dict(asked["work"])
    outcome = asyncio.run(_search(work, asked["url"], asked["model"]))
    print(json.dumps(dataclasses.asdict(outcome)))


if __name__ == "__main__":
    main()
