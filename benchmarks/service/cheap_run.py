"""A run whose models answer at once: `python -m benchmarks.service.cheap_run HOW RECIPE LAKE RUN`.

A process of its own. `flow` carries the run out as `cord run` does, through Prefect; `direct` calls
the very same task bodies, in as many threads, without it (all but the summary). The last line is
JSON: seconds by the clock and of this process's CPU.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import yaml

from cord import ensemble
from cord.engines import AnswerRequest, EngineInfo, Proposal, ProposalRequest

STEPS = 3
_IDS = tuple(range(1000, 1020))
_CLOSING = "\n</think>\n\nThe final answer is \\boxed{42}"


class Quick:
    """Takes no time: a step of its own for each seed, made-up log-probabilities."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._scored = 0

    async def describe(self) -> EngineInfo:
        """Its name."""
        return EngineInfo(self._name, self._name, 1 << 20, "at once", True, True)

    async def propose(self, request: ProposalRequest) -> Proposal:
        """A step; the last one states the answer."""
        last = len(request.steps) == STEPS - 1
        text = f"{request.opening} By way {request.seed} of this.{_CLOSING if last else chr(10)}"
        return Proposal(text, _IDS, self._name, len(_IDS), "end" if last else "stop")

    async def answer_logprobs(self, request: AnswerRequest) -> Sequence[tuple[float, ...]]:
        """Another value each time, spread over (-1, 0)."""
        self._scored += 1
        return [(-((self._scored * 0.6180339887) % 1.0),) for _ in request.answers]

    async def prompt_tokens(self, question: str) -> int:
        """As many as words."""
        return len(question.split())

    async def close(self) -> None:
        """It holds nothing."""


def _open_engine(model: Any, *_: object) -> Any:
    return Quick(model.model)


def not_shown(*_: object, **__: object) -> None:
    """Of what a task shows on the dashboard, outside a flow."""


def answer_at_once() -> None:
    """From now on this process's models do."""
    setattr(ensemble, "open_engine", _open_engine)  # noqa: B010 (of other types on purpose)


def lay_down(folder: Path, shards: int, problems: int = 1) -> None:
    """A recipe of so many shards of so many problems, no two alike."""
    folder.mkdir(parents=True)
    drawn = random.Random(1)
    words = ["".join(drawn.choices("abcdefghilmnoprstu", k=6)) for _ in range(5000)]
    lines = [
        {"id": f"p{i:06d}", "question": f"What of {' '.join(drawn.choices(words, k=9))}, {i}?"}
        for i in range(shards * problems)
    ]
    content = "".join(json.dumps({**line, "answer": "42"}) + "\n" for line in lines)
    (folder / "problems.jsonl").write_text(content)
    recipe = {
        "name": "many",
        "problems": {"path": "problems.jsonl"},
        "teachers": [{"name": n, "model": f"cord:{n}", "temperature": 0.6} for n in ("ada", "ben")],
        "meta_prover": {"model": "cord:meta"},
        "search": {"width": 2, "max_steps": 6, "max_step_tokens": 48, "max_tokens": 400},
        "run": {"shards": shards, "workers": 4, "seed": 7},
        "verify": "numeric",
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))


def main(how: str, recipe: str, lake: str, run_id: str) -> None:
    """Lay the run down, and carry it out."""
    answer_at_once()
    from flows.launch import prepare
    from flows.prefect_server import prefect_server
    from flows.refresh import refresh

    launch = prepare(Path(recipe), lake, run_id, {})
    assert launch.hold is not None
    with closing(launch.hold), prefect_server() if how == "flow" else nullcontext():
        wall, cpu = time.perf_counter(), time.process_time()
        if how == "flow":
            refresh(lake, run_id)
        else:
            _directly(lake, run_id, launch.recipe.run.workers)
        told = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    print(json.dumps(told), flush=True)


def _directly(lake: str, run_id: str, workers: int) -> None:
    from tasks import artifacts
    from tasks.batch import carry_out_batch, in_batches, shards_together
    from tasks.check import check_contract
    from tasks.decontaminate import decontaminate
    from tasks.deduplicate import deduplicate
    from tasks.publish import publish_release
    from tasks.select import select_records
    from tasks.shard import shard_problems

    artifacts.table = artifacts.page = not_shown
    plan = shard_problems.fn(lake, run_id)
    shards = plan["shards"]
    together = shards_together(len(shards), plan["to_decode"])
    batches = in_batches(shards, together)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda one: carry_out_batch.fn(lake, run_id, one), batches))
    selected = select_records.fn(lake, run_id)
    deduplicate.fn(lake, run_id)
    counts = decontaminate.fn(lake, run_id, selected)
    check_contract.fn(lake, run_id, counts)
    publish_release.fn(lake, run_id, counts)


if __name__ == "__main__":
    main(*sys.argv[1:])
