"""Yes, no, maybe; the letter of an option."""

import pytest

from cord.verification import verify
from cord.verification.choice import judge


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
    verdict = judge(response.replace("\\n", "\n"), reference)
    assert verdict.outcome == outcome, verdict
    assert verify("choice", response.replace("\\n", "\n"), reference) == verdict


def test_one_of_several_references_is_enough():
    assert verify("choice", r"\boxed{maybe}", ["yes", "maybe"]).outcome == "correct"
    assert verify("choice", r"\boxed{maybe}", ["yes", "no"]).outcome == "wrong"
