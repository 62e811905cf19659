"""Proposals come out as a tree: each under the prefix that it continues."""

import random
from itertools import pairwise
from typing import Any

import pytest

from benchmarks.service.written_run import Written, decode, reasoning
from cord.lake.tables.rows import step_rows, trajectory_rows
from cord.recipe import SearchSettings
from cord.report.trees import KEPT, ROOT, UNKNOWN, told
from cord.types import Decoding, Problem

PROBLEM = Problem("p", "What is 1+1?", "2")
NAMES = {"qwq": 0, "r1qwen": 1, "phi4": 2}
SEARCHES: dict[str, dict[str, Any]] = {
    "beam": {"width": 3},
    "greedy, again and again": {"strategy": "greedy", "width": 2, "max_problem_tokens": 500},
    "mcts": {"strategy": "mcts", "width": 2},
    "curation": {"strategy": "curation", "width": 3},
    "integration": {"strategy": "integration", "width": 2},
}


def searched(settings: SearchSettings) -> Decoding:
    written = Written("run", 1, settings, reasoning(40))
    return decode(PROBLEM, written, random.Random(3))


def head_of(decoding: Decoding, **changes: Any) -> dict[str, Any]:
    ways = [
        {
            **row,
            "start": row["start_score"],
            "proposed": row["proposed_tokens"],
            "outcome": "correct",
            "method": "exact",
            "reason": "so",
            **changes,
        }
        for row in trajectory_rows("run", "key", decoding)
    ]
    told_of = {"problem_id": "p", "question": "q", "answer": "2", "made_by": "run", "ways": ways}
    return {
        **told_of,
        **dict.fromkeys(("alternatives", "source", "domain", "drops", "asides")),
    }


@pytest.mark.parametrize("search", SEARCHES)
def test_every_proposal_hangs_under_its_prefix_and_the_best_way_is_the_path(search: str) -> None:
    settings = SearchSettings(max_steps=4, **SEARCHES[search])
    decoding = searched(settings)
    rows = step_rows("run", "key", decoding)
    problem, _ = told(head_of(decoding), rows, NAMES, lambda _: settings, whole=True)
    nodes = problem["nodes"]
    assert len(nodes["text"]) == len(rows)
    assert UNKNOWN not in nodes["parent"]
    path = problem["path"]
    assert "".join(nodes["text"][at] for at in path) == decoding.trajectories[0].text
    assert nodes["parent"][path[0]] == ROOT
    assert all(nodes["parent"][after] == at for at, after in pairwise(path))
    assert all(nodes["marks"][at] & KEPT for at in path)
    texts = {trajectory.text for trajectory in decoding.trajectories}
    whole = ["".join(nodes["text"][one] for one in _up(nodes, at)) for at in range(len(rows))]
    assert texts <= set(whole)


def _up(nodes: dict[str, Any], at: int) -> list[int]:
    path = []
    while at != ROOT:
        path.append(at)
        at = nodes["parent"][at]
    return path[::-1]


def test_without_the_recipe_rounds_stay_rounds_and_the_path_is_still_known() -> None:
    decoding = searched(SearchSettings(width=3, max_steps=4))
    rows = step_rows("run", "key", decoding)
    problem, _ = told(head_of(decoding), rows, NAMES, lambda _: None, whole=True)
    nodes, path = problem["nodes"], problem["path"]
    assert "".join(nodes["text"][at] for at in path) == decoding.trajectories[0].text
    joined = [at for at, parent in enumerate(nodes["parent"]) if parent != UNKNOWN]
    assert sorted(joined) == sorted(path)


def test_with_the_settings_of_another_search_no_tree_is_made_up() -> None:
    decoding = searched(SearchSettings(width=3, max_steps=4))
    rows = step_rows("run", "key", decoding)
    other = SearchSettings(width=1, max_steps=4)
    problem, _ = told(head_of(decoding), rows, NAMES, lambda _: other, whole=True)
    assert problem["nodes"]["parent"].count(UNKNOWN) == len(rows) - len(problem["path"])


def test_of_a_problem_that_is_not_whole_there_is_the_path_alone() -> None:
    settings = SearchSettings(width=3, max_steps=4)
    decoding = searched(settings)
    rows = step_rows("run", "key", decoding)
    problem, size = told(head_of(decoding), rows, NAMES, lambda _: settings, whole=False)
    assert problem["nodes"]["text"] == [step.text for step in decoding.trajectories[0].steps]
    assert problem["nodes"]["parent"] == [-1, *range(len(problem["path"]) - 1)]
    assert size < 5_000


def test_older_rows_without_scores_give_the_text_as_one() -> None:
    decoding = searched(SearchSettings(width=3, max_steps=4))
    head = head_of(decoding, scores=None)
    problem, _ = told(head, step_rows("run", "key", decoding), NAMES, lambda _: None, whole=False)
    assert problem["text"] == decoding.trajectories[0].text
    assert problem["nodes"]["text"] == []
