"""Spans and lists of them: exact match, and F1 where the recipe asks for it."""

import json
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.verification import Rules, Verifier
from cord.verification.span import f1_of, judge
from cord.verification.tatqa import written_reference

TATQA = Path(__file__).parents[3] / "shared" / "data" / "tatqa_dev.jsonl"


@pytest.mark.parametrize(
    ("answer", "reference", "f1"),
    [
        ("The Automotive segment.", "automotive segment", 1),
        ("fixed-price, cost-plus and in-kind type", "cost-plus; in-kind type; fixed-price", 1),
        ('["cost-plus", "fixed-price"]', "fixed-price; cost-plus", 1),
        ("cost-plus", "fixed-price; cost-plus", 0.5),
        ("the automotive segment of the company", "automotive segment", 2 * 2 / (2 + 4)),
        ("in 2018", "2019", 0),
        ("revenue in 2018", "revenue in 2019", 0),
        ("Sensors", "Automotive", 0),
    ],
)  # fmt: skip
def test_f1_is_of_words_and_the_mean_over_the_longer_list(answer, reference, f1):
    assert f1_of(answer, reference) == pytest.approx(f1)


def test_only_an_exact_match_is_correct_and_the_reason_tells_the_f1():
    verdict = judge("the automotive segment of the company", "automotive segment")
    assert (verdict.outcome, verdict.method) == ("wrong", "span")
    assert "(F1 0.667)" in verdict.reason


def test_from_a_recipes_least_f1_on_an_answer_is_correct():
    with Verifier(rules=Rules(least_f1=0.6)) as verifier:
        partly = verifier.verify(
            "span", r"\boxed{automotive segment of the firm}", "automotive segment"
        )
        hardly = verifier.verify("span", r"\boxed{a segment of the firm}", "automotive segment")
    assert partly.outcome == "correct", partly
    assert "at least 0.6" in partly.reason
    assert hardly.outcome == "wrong"


def test_numbers_in_spans_keep_their_point():
    assert judge("5.2", "2.5").outcome == "wrong"
    assert judge("1,000 shares", "1000 shares").outcome == "correct"


def test_what_cannot_be_compared_says_why():
    assert judge(None, "a").reason == "no answer was stated"
    assert judge("a", " ").outcome == "undecided"


@given(st.text(max_size=200), st.text(max_size=80))
def test_f1_lies_between_0_and_1_and_is_1_for_the_text_itself(answer, reference):
    assert 0 <= f1_of(answer, reference) <= 1
    if any(letter.isalnum() for letter in reference):
        assert judge(reference, reference).outcome == "correct"


@pytest.mark.parametrize("hostile", ["a;" * 5_000, "a, " * 3_000, "[" * 9_000, "a" * 9_000])
def test_a_hostile_answer_costs_little(hostile):
    begun = time.process_time()
    judge(hostile, "a; b; c")
    assert time.process_time() - begun < 1


@pytest.mark.skipif(not TATQA.exists(), reason="the real data are not here")
def test_every_span_of_tatqa_is_itself_in_another_order_and_not_its_neighbour():
    listed = [
        [question["answer"]] if isinstance(question["answer"], str) else question["answer"]
        for line in TATQA.read_text("utf-8").splitlines()
        for question in json.loads(line)["questions"]
        if question["answer_type"] in ("span", "multi-span")
    ]
    assert len(listed) > 600
    for answers, others in pairwise(listed):
        reference = written_reference(answers, "")
        turned = "; ".join(reversed(answers)).upper()
        assert judge(turned, reference).outcome == "correct", reference
        assert f1_of(turned, reference) == 1, reference
        another = "; ".join(others)
        if another.lower() != reference.lower():
            assert judge(another, reference).outcome == "wrong", reference
