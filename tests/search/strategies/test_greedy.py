from search.strategies.trees import START, asked, candidate, texts, through

from cord.recipe import SearchSettings
from cord.search.strategies.greedy import GreedySearch

WAY_DOWN = [
    [candidate(0, "a", 0.3), candidate(0, "b", 0.6)],
    [candidate(0, "!", 0.5, end=True), candidate(0, "?", 0.4)],
]


def test_the_best_step_is_gone_on_from_and_the_end_is_the_end() -> None:
    search = GreedySearch(START, SearchSettings(strategy="greedy"))
    through(search, WAY_DOWN)
    assert asked(search) == []
    assert texts(search) == ["b!"]


def test_with_a_budget_it_begins_again_and_the_best_way_counts() -> None:
    settings = SearchSettings(strategy="greedy", max_problem_tokens=100, width=2)
    search = GreedySearch(START, settings)
    through(search, WAY_DOWN)
    assert asked(search) == [(0, "")]
    through(search, [[candidate(0, "x", 0.9, end=True)], [candidate(0, "on the way", 0.99)]])
    assert texts(search) == ["x", "b!"]


def test_where_no_proposal_can_be_used_the_way_ends() -> None:
    settings = SearchSettings(strategy="greedy", max_problem_tokens=100, max_steps=2, width=1)
    search = GreedySearch(START, settings)
    through(search, [[candidate(0, "a", 0.3)], []])
    assert asked(search) == [], "two rounds are max_steps * width"
    assert texts(search) == ["a"]


def test_a_way_that_meets_the_cap_on_tokens_ends() -> None:
    search = GreedySearch(START, SearchSettings(strategy="greedy", max_tokens=5))
    through(search, [[candidate(0, "long", 0.3, tokens=5)]])
    assert asked(search) == []
