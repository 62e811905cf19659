"""Yes, no, maybe; the letter of an option."""

import gzip
import json
from pathlib import Path

import pytest

from cord.verification import verify

PUBMEDQA = Path(__file__).parents[3] / "shared" / "data" / "pubmedqa_labelled.jsonl.gz"
WORDS = ("yes", "no", "maybe")


@pytest.mark.parametrize(
    ("response", "reference", "outcome"),
    [
        (r"<think>\n...</think>\n\nThe final answer is \boxed{yes}", "yes", "correct"),
        (r"\boxed{\text{Yes}}", "yes", "correct"),
        (r"\boxed{\textbf{Maybe.}}", "maybe", "correct"),
        ("Reasons.\n\nAnswer: No, the groups did not differ.", "no", "correct"),
        ("The answer is (B) the liver", "B", "correct"),
        ("B.", "B", "correct"),
        ("(b)", "B", "correct"),
        (r"\boxed{B) 12}", "B", "correct"),
        (r"\boxed{no}", "yes", "wrong"),
        (r"\boxed{not yes}", "yes", "wrong"),
        (r"\boxed{nothing}", "no", "wrong"),
        (r"\boxed{no evidence}", "no", "wrong"),
        (r"\boxed{both}", "B", "wrong"),
        ("<think>\nyes, it must be yes", "yes", "wrong"),
        ("", "yes", "wrong"),
        ("yes", "", "undecided"),
    ],
)
def test_a_choice_is_stated_alone_or_in_front_of_its_reasons(response, reference, outcome):
    verdict = verify("choice", response.replace("\\n", "\n"), reference)
    assert verdict.outcome == outcome, verdict


def test_one_of_several_references_is_enough():
    assert verify("choice", r"\boxed{maybe}", ["yes", "maybe"]).outcome == "correct"
    assert verify("choice", r"\boxed{maybe}", ["yes", "no"]).outcome == "wrong"


@pytest.mark.parametrize(
    ("answer", "reference", "outcome"),
    [
        ("Yes.", "yes", "correct"),
        ("MAYBE, in adults only", "maybe", "correct"),
        ("no", "yes", "wrong"),
        ("unclear", "maybe", "wrong"),
        ("yes", "probably", "undecided"),
    ],
)
def test_a_question_of_yes_and_no_has_three_answers(answer, reference, outcome):
    assert verify("yes-no-maybe", rf"\boxed{{{answer}}}", reference).outcome == outcome


@pytest.mark.skipif(not PUBMEDQA.exists(), reason="the real data are not here")
def test_every_decision_of_pubmedqa_is_right_by_itself_and_wrong_for_the_two_others():
    with gzip.open(PUBMEDQA, "rt", encoding="utf-8") as lines:
        decisions = [json.loads(line)["final_decision"] for line in lines]
    assert len(decisions) == 900
    for decision in decisions:
        said = {word: f"<think>\nHm.\n</think>\n\n\\boxed{{{word.title()}}}" for word in WORDS}
        outcomes = {w: verify("yes-no-maybe", text, decision).outcome for w, text in said.items()}
        assert outcomes == {w: "correct" if w == decision else "wrong" for w in WORDS}
