import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from cord.engines.embedded.chat_tokenizer import ChatTokenizer
from cord.engines.embedded.writing import Writing

END = 0


@pytest.fixture(scope="module")
def tokenizer(random_tokenizer: PreTrainedTokenizerFast) -> ChatTokenizer:
    return ChatTokenizer(random_tokenizer, "")


def written(
    tokenizer: ChatTokenizer, ids: list[int], stop: tuple[str, ...] = (), limit: int = 1000
) -> tuple[Writing, str | None]:
    writing = Writing(tokenizer.backend, [5, 6], stop, frozenset({END}), limit)
    finish = None
    for token in ids:
        finish = writing.add(token)
        if finish is not None:
            break
    return writing, finish


def letters(tokenizer: ChatTokenizer, text: str) -> list[int]:
    """The text byte by byte, as a model may well spell it."""
    return [id_ for letter in text for id_ in tokenizer.backend.encode(letter).ids]


def test_a_stop_string_is_found_across_tokens_and_cut_away(tokenizer: ChatTokenizer) -> None:
    writing, finish = written(tokenizer, letters(tokenizer, "so 7\n### Step 2"), ("### Step",))
    assert finish == "stop"
    assert writing.text == "so 7\n"
    assert len(writing.sampled) == len("so 7\n### Step")


def test_a_cut_inside_a_token_is_spelled_anew(tokenizer: ChatTokenizer) -> None:
    whole = tokenizer.text_ids("first we add the numbers")
    assert len(whole) < len("first we add the numbers")
    writing, finish = written(tokenizer, list(whole), ("dd",))
    ids = writing.ids(tokenizer.text_ids)
    assert finish == "stop"
    assert writing.text == tokenizer.spell(ids) == "first we a"


def test_the_earliest_stop_string_counts(tokenizer: ChatTokenizer) -> None:
    writing, _ = written(tokenizer, list(tokenizer.text_ids("first we add")), ("add", "rst w"))
    assert (writing.text, writing.stopped_at) == ("fi", "rst w")


def test_the_end_token_ends_the_turn_and_is_not_text(tokenizer: ChatTokenizer) -> None:
    writing, finish = written(tokenizer, [*letters(tokenizer, "ab"), END, 99])
    assert (finish, writing.text, len(writing.sampled)) == ("end", "ab", 3)
    assert tokenizer.spell(writing.ids(tokenizer.text_ids)) == "ab"


def test_a_character_that_is_never_completed_is_dropped(tokenizer: ChatTokenizer) -> None:
    ids = letters(tokenizer, "a九")
    assert len(ids) == 4
    writing, finish = written(tokenizer, ids[:3], limit=3)
    assert (finish, writing.text) == ("length", "a")
    assert writing.ids(tokenizer.text_ids) == ids[:1]
    writing, _ = written(tokenizer, ids)
    assert (writing.text, writing.ids(tokenizer.text_ids)) == ("a九", ids)


@given(
    ids=st.lists(st.integers(4, 330), min_size=1, max_size=40),
    stop=st.lists(st.sampled_from(["e", "st", "\n", "###", "ä", "�"]), max_size=3),
    limit=st.integers(1, 40),
)
def test_ids_always_spell_the_text(
    tokenizer: ChatTokenizer, ids: list[int], stop: list[str], limit: int
) -> None:
    writing, finish = written(tokenizer, ids, tuple(stop), limit)
    spelled = tokenizer.spell(writing.ids(tokenizer.text_ids))
    whole = tokenizer.spell(writing.sampled)
    assert spelled == writing.text
    assert whole.startswith(writing.text)
    if finish == "stop":
        assert any(whole[len(spelled) :].startswith(string) for string in stop)
    assert not any(string in writing.text for string in stop)
