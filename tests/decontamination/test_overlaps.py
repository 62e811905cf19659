"""Overlaps: what shares words in a row with an evaluation item is found, and nothing else."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.decontamination import (
    OVERLAPS,
    EvaluationSet,
    EvaluationSets,
    find_overlaps,
    ngrams,
)

AIME = (
    "Every morning Aya goes for a $9$-kilometer-long walk and stops at a coffee shop afterwards. "
    "When she walks at a constant speed of $s$ kilometers per hour, the walk takes her 4 hours."
)


def sets(*items: str, name: str = "aime24") -> EvaluationSets:
    ids = tuple(str(number) for number in range(1, len(items) + 1))
    return EvaluationSets((EvaluationSet(name, "a file", ids, items),))


def batch(*records: tuple[str, str], first: int = 0) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "problem_id": [f"p{place:03}" for place in range(first, first + len(records))],
            "rank": pa.array([0] * len(records), pa.int32()),
            "question": [question for question, _ in records],
            "text": [text for _, text in records],
        }
    )


def found(
    records: Sequence[tuple[str, str]], against: EvaluationSets, words: int = 13
) -> list[dict[str, object]]:
    return find_overlaps([batch(*records)], against, words).to_pylist()


def numbered(first: int, last: int) -> str:
    return " ".join(f"w{number}" for number in range(first, last))


def test_an_overlap_is_followed_to_both_sides_and_shown_as_it_stands() -> None:
    text = "I recall: «EVERY morning,\n Aya goes for a 9 kilometer long walk, and stops AT»; fine."
    assert found([("What is 1+1?", text)], sets("Other.", AIME)) == [
        {
            "problem_id": "p000",
            "rank": 0,
            "where": "response",
            "set": "aime24",
            "item": "2",
            "words": 13,
            "matched": "EVERY morning,\n Aya goes for a 9 kilometer long walk, and stops AT",
        }
    ]


def test_a_response_is_looked_at_only_where_asked() -> None:
    records = [(AIME, AIME)]
    both = find_overlaps([batch(*records)], sets(AIME))
    assert both["where"].to_pylist() == ["question", "response"]
    question = find_overlaps([batch(*records)], sets(AIME), within=("question",))
    assert question["where"].to_pylist() == ["question"]


@pytest.mark.parametrize("words", [8, 13])
def test_as_many_words_in_a_row_are_found_and_one_fewer_are_not(words: int) -> None:
    item = numbered(0, 40)
    for begin in range(0, 40 - words):
        (hit,) = found([("", f"a {numbered(begin, begin + words)} b")], sets(item), words)
        assert (hit["words"], hit["matched"]) == (words, numbered(begin, begin + words))
        assert not found([("", f"a {numbered(begin, begin + words - 1)} b")], sets(item), words)


def test_words_of_two_records_or_of_two_items_are_not_in_a_row() -> None:
    halves = (numbered(0, 7), numbered(7, 14))
    assert not found([("", half) for half in halves], sets(numbered(0, 14)))
    assert not found([("", numbered(0, 14))], sets(*(f"{half} end of it" for half in halves)))


def test_a_short_item_counts_only_whole() -> None:
    item = "What is the degree measure of that acute angle?"  # nine words
    assert found([("", f"Now, {item.upper()} It is 45.")], sets(item))[0]["words"] == 9
    assert not found([("", item.replace("acute", "right"))], sets(item))
    assert not found([("", "What is the degree measure of that acute one")], sets(item))


def test_an_item_of_few_words_counts_only_as_a_whole_question() -> None:
    item = r"Evaluate $\log_2 (4^2)$."
    assert not found([(f"{item} Then add 1.", f"We evaluate log 2 4 2: {item}")], sets(item))
    (hit,) = found([("evaluate  \\log_{2}(4^{2})", "")], sets(item))
    assert (hit["where"], hit["words"], hit["matched"]) == (
        "question",
        5,
        "evaluate  \\log_{2}(4^{2",
    )


def test_an_item_whose_punctuation_was_taken_out_is_found() -> None:
    item = "Josh's house costs $80,000 and he puts in $50,000; it's 150% more, isn't it, today?"
    removed = item.translate(str.maketrans("", "", string.punctuation))
    assert found([(removed, "")], sets(item))[0]["words"] == 20
    assert found([(item, "")], sets(removed))[0]["words"] == 15
    spaced = item.translate(str.maketrans(string.punctuation, " " * len(string.punctuation)))
    assert found([(spaced, "")], sets(item))[0]["words"] == 20


def test_the_longest_overlap_with_each_set_is_listed() -> None:
    first = sets(numbered(0, 14), numbered(0, 20), numbered(0, 20), name="one").sets
    second = sets(numbered(3, 30), name="two").sets
    hits = found([("", numbered(0, 30))], EvaluationSets(first + second))
    assert [(hit["set"], hit["item"], hit["words"]) for hit in hits] == [
        ("one", "2", 20),
        ("two", "1", 27),
    ]


def test_a_phrase_of_every_item_is_found_though_not_all_are_compared() -> None:
    items = [f"{numbered(0, 13)} item {number}" for number in range(200)]
    hits = found([("", numbered(0, 13))], sets(*items))
    assert [(hit["item"], hit["words"]) for hit in hits] == [("1", 13)]


def test_a_text_that_says_one_thing_for_ever_costs_little() -> None:
    zeros = "0 " * 200_000
    (hit,) = found([("", zeros)], sets("(0, 0), " * 20))
    assert hit["words"] == 40


def test_a_collision_of_hashes_drops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "_add", lambda hashes, letters: hashes * 0)
    assert not found([(numbered(100, 140), numbered(200, 240))], sets(numbered(0, 13)))
    assert found([(numbered(0, 13), "")], sets(numbered(0, 13)))


def test_a_row_ends_where_words_end() -> None:
    item = f"{numbered(0, 12)} 4"
    assert found([("", f"{item} more")], sets(item))
    assert not found([("", f"{item}5 more")], sets(item))
    assert not found([("", f"1{item}")], sets(item))


def test_no_sets_find_nothing_and_few_words_are_refused() -> None:
    assert find_overlaps([batch((AIME, AIME))], EvaluationSets()).schema == OVERLAPS
    with pytest.raises(ValueError, match="8 or more"):
        find_overlaps([], sets(AIME), 7)


# None begins another one: what stands between letters does not count, so "ab" would be "a b" too.
WORD = st.sampled_from(["a", "bc", "bd", "1"])
ROW = st.lists(WORD, max_size=24).map(" ".join)
MARKS = (" ", "\n", ", ", " $", "} {", "—", "…\t")


@settings(max_examples=50)
@given(st.lists(st.tuples(ROW, ROW), max_size=6), st.lists(ROW, min_size=1, max_size=4))
def test_a_record_is_found_just_when_it_shares_eight_words(
    records: list[tuple[str, str]], items: list[str]
) -> None:
    def rows(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[place : place + 8]) for place in range(len(words) - 7)}

    wanted = set().union(*map(rows, items))
    whole = {item for item in items if 0 < len(item.split()) < 8}
    expected = {
        (f"p{place:03}", where)
        for place, record in enumerate(records)
        for where, text in zip(("question", "response"), record, strict=True)
        if rows(text) & wanted or (where == "question" and text in whole)
    }
    hits = found(records, sets(*items), 8)
    assert {(hit["problem_id"], hit["where"]) for hit in hits} == expected
    for hit in hits:  # and what is shown stands in both
        text = f" {records[int(str(hit['problem_id'])[1:])][hit['where'] == 'response']} "
        matched, item = f" {hit['matched']} ", f" {items[int(str(hit['item'])) - 1]} "
        assert matched in text and matched in item
        assert len(str(hit["matched"]).split()) == hit["words"]


@settings(max_examples=50)
@given(st.randoms(use_true_random=False), st.integers(0, 9))
def test_case_punctuation_and_white_space_hide_nothing(rng: random.Random, begin: int) -> None:
    words = r"Josh's $9$-kilometer-long é 80,000.50 \frac{1}{2}x + 3y, isn't 'it' a.b.c?"
    pieces = words.split()
    item = " ".join([*pieces[begin:], *pieces[:begin]])
    # Every mark is another one, white space, or not there at all; every letter small or great.
    changed = re.sub(r"[^\w\s]+", lambda _: rng.choice([*MARKS, "", ""]), item)
    changed = re.sub(r"\s+", lambda _: rng.choice(MARKS), changed)
    planted = "".join(rng.choice([sign.upper(), sign.lower()]) for sign in changed)
    (hit,) = found([("", f"Well, {planted} that is it.")], sets(item))
    assert hit["words"] == 20


@settings(max_examples=50)
@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_neither_order_nor_batches_show(rng: random.Random, size: int) -> None:
    records = [(numbered(n, n + 10 + n), f"é {numbered(30 - n, 50)}") for n in range(8)]
    against = EvaluationSets(
        sets(numbered(0, 25), name="one").sets + sets(numbered(10, 60), name="two").sets
    )
    expected = found(records, against)
    batches = [batch(record, first=place) for place, record in enumerate(records)]
    rng.shuffle(batches)
    whole = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
    pieces = [whole.slice(place, size) for place in range(0, len(records), size)]
    assert find_overlaps(pieces, against).to_pylist() == expected
