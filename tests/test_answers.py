import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.answers import extract_answer, stated_answer
from cord.prompts import ANSWER_PROBE

LATEX = st.lists(st.sampled_from([*"\\{}box 4,$\n", "\\boxed{", "\\{", "\\boxed"])).map("".join)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (f"### Step 1. 2+2=4\n{ANSWER_PROBE}4}}", "4"),
        (r"first \boxed{3}, then \boxed{ \frac{1}{2} }.", r"\frac{1}{2}"),
        (r"\boxed{\left\{1, 2\right\}}", r"\left\{1, 2\right\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed{\begin{pmatrix}1\\{2}\end{pmatrix}}", r"\begin{pmatrix}1\\{2}\end{pmatrix}"),
        (r"\boxed{5} and then it was cut: \boxed{6", "5"),
        (r"put it into \boxed{}: \boxed{7}; again \boxed{ }", "7"),
        (r"\boxed{\boxed{8}}", "8"),
        (r"an open { brace, \boxed{9}, and } more }", "9"),
        (r"\fbox{10}", "10"),
        ("no box at all: 11", None),
        (r"\boxed{", None),
        ("", None),
    ],
)
def test_the_last_whole_box_states_the_answer(text: str, answer: str | None) -> None:
    assert stated_answer(text) == answer


@settings(deadline=None, max_examples=60)
@given(
    before=LATEX,
    after=st.text(alphabet="ab {"),
    answer=st.from_regex(r"[0-9a-z+]{1,9}", fullmatch=True),
)
def test_a_box_behind_any_text_is_found(before: str, after: str, answer: str) -> None:
    assert stated_answer(before + "  \\boxed{" + answer + "}" + after) == answer


@settings(deadline=None, max_examples=60)
@given(text=LATEX)
def test_what_is_stated_stands_in_the_text(text: str) -> None:
    answer = stated_answer(text)
    assert answer is None or (answer.strip() and answer in text)


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{" * 300_000,
        "\\boxed{ " * 200_000 + "}" * 200_000,
        "\\boxed" + " " * 2_000_000,
        "\\" * 2_000_000,
        "{" * 2_000_000,
        "####" * 500_000,
    ],
    ids=lambda text: text[:8],
)
def test_hostile_texts_take_linear_time(text: str) -> None:
    begin = time.perf_counter()
    stated_answer(text)
    extract_answer(text, "gsm8k")
    assert time.perf_counter() - begin < 10  # quadratic would take hours


@pytest.mark.parametrize(
    ("text", "rule", "answer"),
    [
        ("She has 2+2=<<2+2=4>>4.\n#### 4", "gsm8k", "4"),
        ("#### 1,234", "gsm8k", "1234"),
        ("#### $1,234,567.50\n", "gsm8k", "1234567.50"),
        ("#### -12", "gsm8k", "-12"),
        ("#### (1,234)", "gsm8k", "(1,234)"),
        ("#### 1\n#### 2\nand more", "gsm8k", "2"),
        ("four", "gsm8k", None),
        ("#### ", "gsm8k", None),
        (r"so $\boxed{x^2}$.", "boxed", "x^2"),
        ("x^2", "boxed", None),
        ("  x^2 ", "as-is", "x^2"),
        (" ", "as-is", None),
    ],
)
def test_an_answer_rule_takes_the_answer_out_of_its_column(
    text: str, rule: str, answer: str | None
) -> None:
    assert extract_answer(text, rule) == answer  # type: ignore[arg-type]
