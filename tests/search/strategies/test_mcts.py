import math

from hypothesis import given
from hypothesis import strategies as st
from search.strategies.trees import START, asked, candidate, texts, through

from cord.recipe import SearchSettings
from cord.search.strategies.mcts import TreeSearch

SETTINGS = SearchSettings(strategy="mcts", width=2, max_steps=3, exploration=0.1)


def test_the_leaf_with_the_largest_bound_is_expanded_next() -> None:
    tree = TreeSearch(START, SETTINGS)
    assert asked(tree) == [(0, "")]
    tree.take([candidate(0, "a", 0.3), candidate(0, "b", 0.8), candidate(0, "c", 0.5)])
    assert asked(tree) == [(2, "b")]


def test_what_is_found_below_is_backed_up_to_all_above() -> None:
    """By hand, C = 0.1: b's mean falls to (.8 + .1 + .1) / 3 = .33, and c with .5 is next."""
    tree = TreeSearch(START, SETTINGS)
    through(
        tree,
        [
            [candidate(0, "a", 0.3), candidate(0, "b", 0.8), candidate(0, "c", 0.5)],
            [candidate(2, "d", 0.1), candidate(2, "e", 0.1)],
        ],
    )
    assert asked(tree) == [(3, "c")]


def test_exploration_visits_what_was_seldom_visited() -> None:
    rounds = [
        [candidate(0, "a", 0.6), candidate(0, "b", 0.8)],
        [candidate(2, "c", 0.8), candidate(2, "d", 0.8)],
    ]
    for exploration, expected in ((0.0, "bc"), (1.0, "a")):
        chosen = SETTINGS.model_copy(update={"exploration": exploration})
        tree = TreeSearch(START, chosen)
        through(tree, rounds)
        # 1.0: a's bound is .6 + sqrt(ln 4 / 1), b's .8 + sqrt(ln 4 / 3).
        assert asked(tree)[0][1] == expected
    assert 0.6 + math.sqrt(math.log(4)) > 0.8 + math.sqrt(math.log(4) / 3)


def test_a_branch_where_all_is_finished_is_not_gone_into_again() -> None:
    tree = TreeSearch(START, SETTINGS)
    through(
        tree,
        [
            [candidate(0, "a", 0.3), candidate(0, "b", 0.9)],
            [candidate(2, "!", 1.0, end=True)],
        ],
    )
    assert asked(tree) == [(1, "a")]
    tree.take([])  # nothing could be used
    assert asked(tree) == []
    assert texts(tree) == ["b!", "a"]


def test_it_ends_after_as_many_rounds_as_the_beam_continues_prefixes() -> None:
    tree = TreeSearch(START, SETTINGS)
    for done in range(SETTINGS.width * SETTINGS.max_steps):
        ((place, prefix),) = tree.growing()
        assert len(prefix.steps) < SETTINGS.max_steps, done
        tree.take([candidate(place, f"{x}", 0.5) for x in "abc"])
    assert not tree.growing()


@given(st.lists(st.lists(st.floats(1e-6, 1.0), max_size=4), max_size=8), st.data())
def test_whatever_the_scores_only_open_leaves_are_asked_and_the_best_leaf_comes_first(
    rounds: list[list[float]], data: st.DataObject
) -> None:
    tree = TreeSearch(START, SETTINGS)
    leaves, number = {"": 0.2}, 0
    finished: dict[str, float] = {}
    for scores in rounds:
        if not (growing := tree.growing()):
            break
        ((place, prefix),) = growing
        assert prefix.text in leaves
        made = []
        for score in scores:
            end = data.draw(st.booleans())
            made.append(candidate(place, f"{number};", score, end))
            (finished if end else leaves)[f"{prefix.text}{number};"] = score
            number += 1
        if scores:
            del leaves[prefix.text]
        tree.take(made)
    best = tree.best()[0]
    among = finished or leaves
    assert best.finished is bool(finished)
    assert best.score == max(among.values())
