import string

from hypothesis import given, settings
from hypothesis import strategies as st

from cord.deduplication import is_prose, signature, tokens
from cord.deduplication.normal_form import _ASCII_TOKEN, _TOKEN

PIECES = st.sampled_from(
    [" ", "\n", "12", "ab", "\\le", "\\dfrac", "\\left", *"xé中ß1,½²-−×≤\\{}()$!':^"]
)


@settings(deadline=None)
@given(text=st.lists(PIECES, max_size=12).map("".join) | st.text())
def test_any_text_has_tokens_and_their_signature_is_some_of_them_in_order(text: str) -> None:
    words = tokens(text)
    assert all(word.strip() for word in words)
    rest = iter(words)
    assert all(word in rest for word in signature(words))


@given(text=st.text(string.printable).map(str.lower))
def test_an_ascii_text_has_the_same_tokens_on_the_short_way(text: str) -> None:
    assert _ASCII_TOKEN.findall(text) == _TOKEN.findall(text)


def test_numbers_signs_variables_and_weighty_words_make_the_signature() -> None:
    words = tokens("A farmer has not 12 but 3.5 times $x^2$ cows; what is the largest n?")
    assert signature(words) == ("not", "12", "3.5", "x", "^", "2", "largest", "n")


def test_prose_has_words_enough_and_more_words_than_signs() -> None:
    assert is_prose(tokens("so many words as this sentence has are quite enough to be prose"))
    assert not is_prose(tokens("these are too few words"))
    assert not is_prose(tokens("add 1 " * 20 + "+ 2 " * 20))
