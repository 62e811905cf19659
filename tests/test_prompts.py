import pytest

from cord.prompts import messages, split_thinking, step_opening, thinking_opening


@pytest.mark.parametrize(
    ("rendered", "added"),
    [
        ("<|user|>q<|assistant|>", "<think>\n"),
        ("<|user|>q<|assistant|><think>\n", ""),
        ("<|user|>q<|assistant|><think>", "\n"),
    ],
)
def test_thinking_is_opened_once_whether_the_template_opens_it_or_not(
    rendered: str, added: str
) -> None:
    assert thinking_opening(rendered) == added


def test_the_question_stands_alone_in_the_users_turn() -> None:
    assert messages("What is 1+1?")[1] == {"role": "user", "content": "What is 1+1?"}
    assert "### Step" in messages("q")[0]["content"]


def test_steps_are_counted_from_one() -> None:
    assert step_opening(1) == "### Step 1."


def test_thinking_ends_at_the_first_closing_tag() -> None:
    assert split_thinking("a</think>b</think>c") == ("a", "b</think>c")
    assert split_thinking("a") == ("a", None)
