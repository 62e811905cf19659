"""Numbers with a tolerance and a scale."""

import gzip
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.verification import Rules, verify
from cord.verification.numeric import judge

GSM8K = Path(__file__).parents[3] / "shared" / "data" / "gsm8k_model_solutions.jsonl.gz"
AUTHORS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


@pytest.mark.parametrize(
    ("answer", "reference", "outcome"),
    [
        ("18", "18", "correct"),
        ("$18.00", "18", "correct"),
        ("18 dollars a day", "18", "correct"),
        (r"x = 18 \text{ eggs}", "18", "correct"),
        (r"\frac{1}{4}", "0.25", "correct"),
        ("1/3", "0.33", "correct"),
        (r"1.5 \times 10^{6}", "1.5 million", "correct"),
        ("2e3", "2,000", "correct"),
        ("23.42%", "0.2342", "correct"),
        ("57 thousand and 73 thousand", "73 thousand; 57 thousand", "correct"),
        ("19", "18", "wrong"),
        ("1.5", "1.5 million", "wrong"),
        ("18 and 19", "18", "wrong"),
        ("at least 18", "18", "wrong"),
        ("not 18", "18", "wrong"),
        ("eighteen", "18", "wrong"),
        ("18", "many", "undecided"),
        ("18", "", "undecided"),
        (None, "18", "wrong"),
    ],
)
def test_a_number_counts_with_its_scale(answer, reference, outcome):
    assert judge(answer, reference).outcome == outcome


def test_a_tolerance_is_a_share_of_the_references_value():
    rules = Rules(tolerance=0.01)
    assert judge("1008", "1000", rules).outcome == "correct"
    assert judge("-1008", "-1000", rules).outcome == "correct"
    assert judge("1011", "1000", rules).outcome == "wrong"
    assert judge("1008", "1000").outcome == "wrong"


def test_a_scale_may_be_left_out_only_where_the_recipe_says_so():
    rules = Rules(scale="optional")
    assert judge("1.5", "1.5 million", rules).outcome == "correct"
    assert judge("1.5 thousand", "1.5 million", rules).outcome == "wrong"
    assert judge("1500000", "1.5 million", rules).outcome == "wrong"


@given(st.text(max_size=200), st.text(max_size=40))
def test_it_judges_whatever_is_written(answer, reference):
    assert judge(answer, reference).outcome in ("correct", "wrong", "undecided")


@pytest.mark.parametrize("hostile", ["9" * 9_000, "1" + " " * 9_000, "(" * 9_000, "1/" * 4_000])
def test_a_hostile_answer_costs_little(hostile):
    begun = time.process_time()
    assert judge(hostile, "4").outcome == "wrong"
    assert time.process_time() - begun < 1


@pytest.mark.skipif(not GSM8K.exists(), reason="the real data are not here")
def test_four_models_solutions_to_gsm8k_are_judged_as_their_publishers_did():
    with gzip.open(GSM8K, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    assert len(rows) == 1_119
    for row in rows:
        reference = row["ground_truth"].rpartition("A:")[2].strip()
        for author in AUTHORS:
            verdict = verify("numeric", row[author]["solution"], reference)
            assert (verdict.outcome == "correct") == row[author]["is_correct"], verdict
