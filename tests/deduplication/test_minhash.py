import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.deduplication.minhash import PERMUTATIONS, REACH, Near, Sketches, band_count

WORDS = [f"word{n}" for n in range(400)]


def near_duplicates(
    texts: list[list[str]], near: float, groups: list[int] | None = None, settled: int = 0
) -> dict[int, Near]:
    with Sketches(near, len(texts)) as sketches:
        sketches.add(
            np.arange(len(texts)),
            np.array(groups or [1] * len(texts), np.uint64),
            [tuple(text) for text in texts],
        )
        return {found.number: found for found in sketches.near_duplicates(settled)}


def variants(seed: int, number: int) -> list[list[str]]:
    """Texts of 40 words, most of them changed copies of each other."""
    rng = random.Random(seed)
    texts = [rng.sample(WORDS, 40)]
    while len(texts) < number:
        text = list(rng.choice(texts))
        for _ in range(rng.randint(0, 4)):
            text[rng.randrange(len(text))] = rng.choice(WORDS)
        texts.append(text if rng.random() < 0.8 else rng.sample(WORDS, 40))
    return texts


def by_comparing_all(texts: list[list[str]], near: float) -> dict[int, float]:
    """What goes, and how similar it is to the nearest that stays."""
    sets = [set(zip(text, text[1:], text[2:], strict=False)) for text in texts]
    gone: dict[int, float] = {}
    for place, own in enumerate(sets):
        stay = [sets[other] for other in range(place) if other not in gone]
        best = max((len(own & other) / len(own | other) for other in stay), default=0.0)
        if best >= near:
            gone[place] = best
    return gone


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), near=st.sampled_from([0.5, 0.7, 0.8, 0.9, 1.0]))
def test_it_finds_what_comparing_all_with_all_finds(seed: int, near: float) -> None:
    texts = variants(seed, 40)
    found = near_duplicates(texts, near)
    assert {place: why.similarity for place, why in found.items()} == by_comparing_all(texts, near)


def test_of_two_equally_near_the_better_one_is_named_whichever_was_read_first() -> None:
    text = tuple(WORDS[:40])
    texts = [("other", *text[1:]), (*text[:-1], "other"), text]
    for order in itertools.permutations(range(3)):
        with Sketches(0.92, 3) as sketches:
            for n in order:
                sketches.add(np.array([n]), np.ones(1, np.uint64), [texts[n]])
            (found,) = sketches.near_duplicates()
        assert (found.number, found.of) == (2, 0)


def test_texts_of_two_groups_are_never_compared() -> None:
    text = WORDS[:20]
    assert near_duplicates([text, text, text], 0.8, groups=[1, 2, 1]) == {2: Near(2, 0, 1.0)}


def test_the_settled_stay_and_others_may_be_near_to_them() -> None:
    text = WORDS[:20]
    assert near_duplicates([text, text, text], 0.8, settled=2) == {2: Near(2, 0, 1.0)}


def test_many_that_are_alike_but_not_near_are_compared_with_so_many_only() -> None:
    """Each shares half of its triples with all others: one in 16 bands, so each band is crowded."""
    shared = WORDS[:30]
    texts = [[*shared, *(f"own{n}-{m}" for m in range(12))] for n in range(10 * REACH)]
    texts.append(texts[-1])
    assert near_duplicates(texts, 0.8) == {10 * REACH: Near(10 * REACH, 10 * REACH - 1, 1.0)}


@pytest.mark.parametrize("near", [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_a_pair_at_the_threshold_is_missed_once_in_ten_thousand_at_most(near: float) -> None:
    bands = band_count(near)
    assert (1 - near ** (PERMUTATIONS // bands)) ** bands <= 1e-4
