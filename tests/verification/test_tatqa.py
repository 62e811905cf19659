"""TAT-QA's answers, on the data set itself and on what models write."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.verification import verify
from cord.verification.tatqa import written_reference

DEV = Path(__file__).parents[3] / "shared" / "data" / "tatqa_dev.jsonl"


@pytest.mark.parametrize(
    ("answer", "reference", "outcome"),
    [
        # A number counts with its scale, in whatever form both are written.
        (r"\$1,496.5 \text{ million}", "$1,496.5 million", "correct"),
        ("1496500000", "$1,496.5 million", "correct"),
        ("1.4965 billion", "1,496.5 million", "correct"),
        ("1496.5", "$1,496.5 million", "wrong"),
        ("1,496.5 thousand", "$1,496.5 million", "wrong"),
        (r"-22.22\%", "-22.22 percent", "correct"),
        ("-22.22 percent", "-22.22 percent", "correct"),
        ("-0.2222", "-22.22 percent", "correct"),
        ("−22.22%", "-22.22 percent", "correct"),
        ("(22.22)%", "-22.22 percent", "correct"),
        ("22.22%", "-22.22 percent", "wrong"),
        ("22.2%", "22.22 percent", "wrong"),
        ("22.2222%", "22.22 percent", "correct"),
        (r"3{,}728 \text{ (in thousands)}", "3728 thousand", "correct"),
        ("0.87", "0.87", "correct"),
        ("0.8731", "0.87", "correct"),
        ("0.88", "0.87", "wrong"),
        ("4", "4", "correct"),
        ("2019 and 2018", "2019", "wrong"),
        ("an increase of 5% over 2018", "5 percent", "wrong"),
        # Several numbers come in any order; one scale behind them is all of theirs.
        ("57,768 thousand; 73,260 thousand", "73,260 thousand; 57,768 thousand", "correct"),
        ("73,260 and 57,768 thousand", "73,260 thousand; 57,768 thousand", "correct"),
        ("73,260 thousand", "73,260 thousand; 57,768 thousand", "wrong"),
        # Spans by their words.
        ("The Automotive segment", "automotive segment", "correct"),
        (
            "time-and-material type, fixed-price type and cost-plus type",
            "fixed-price type; cost-plus type; time-and-material type",
            "correct",
        ),
        ("cost-plus type", "fixed-price type; cost-plus type", "wrong"),
        ("Sensors", "Automotive", "wrong"),
    ],
)
def test_numbers_with_their_scale_and_spans_by_their_words(answer, reference, outcome):
    verdict = verify("tatqa", f"...</think>\n\nThe final answer is \\boxed{{{answer}}}", reference)
    assert verdict.outcome == outcome, verdict


def test_what_states_nothing_is_wrong_and_what_has_no_reference_undecided():
    assert verify("tatqa", "<think>\nlet me see", "4").outcome == "wrong"
    assert verify("tatqa", "4", " ").outcome == "undecided"
    assert verify("tatqa", r"\boxed{" + "9" * 20_000 + "}", "4").outcome == "wrong"


@given(st.text(max_size=300), st.text(max_size=60))
def test_it_judges_whatever_is_written(response, reference):
    assert verify("tatqa", response, reference).outcome in ("correct", "wrong", "undecided")


@pytest.mark.skipif(not DEV.exists(), reason="the real data are not here")
def test_every_answer_of_the_real_data_set_is_right_by_itself_and_wrong_for_its_neighbour():
    references = [
        written_reference(
            [str(a) for a in (q["answer"] if isinstance(q["answer"], list) else [q["answer"]])],
            q["scale"],
        )
        for line in DEV.read_text("utf-8").splitlines()
        for q in json.loads(line)["questions"]
    ]
    assert len(references) > 1_400
    own = [verify("tatqa", rf"\boxed{{{ref}}}", ref).outcome for ref in references]
    assert own.count("correct") == len(references), references[own.index("wrong")]
    shifted = [
        verify("tatqa", rf"\boxed{{{a}}}", b).outcome for a, b in pairwise(references) if a != b
    ]
    assert shifted.count("correct") < 0.02 * len(shifted)
