import pytest

from cord.prompts import (
    knows_words,
    messages,
    one_message,
    split_thinking,
    stands_in,
    step_opening,
    thinking_opening,
)


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


def test_instructions_can_stand_in_front_of_the_question() -> None:
    assert one_message("q", "be brief") == [{"role": "user", "content": "be brief\n\nq"}]
    assert one_message("q", "") == [{"role": "user", "content": "q"}]


def test_a_text_is_found_in_a_prompt_whatever_became_of_its_spaces() -> None:
    assert stands_in(" be\n brief ", "<|system|>be brief<|user|>")
    assert not stands_in("be brief", "<|system|>You are Phi<|user|>")


@pytest.mark.parametrize(("tokens", "known"), [(10, True), (35, False)])
def test_a_tokenizer_that_spells_letter_by_letter_knows_no_words(tokens: int, known: bool) -> None:
    assert knows_words("Think in numbered sections, please.", tokens) is known
