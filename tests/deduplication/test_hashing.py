import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cord.deduplication.hashing import WordHashes, digest, mix, triples

WORDS = st.lists(st.sampled_from("abcd"), max_size=6)


@given(texts=st.lists(WORDS, max_size=6))
def test_two_triples_have_one_number_if_they_are_the_same_words(texts: list[list[str]]) -> None:
    hashes = WordHashes().of(word for text in texts for word in text)
    found, ends = triples(hashes, np.cumsum([len(text) for text in texts], dtype=np.int64))
    true = [tuple(text[n : n + 3]) for text in texts for n in range(len(text) - 2)]
    assert len(found) == len(true)
    assert len(set(zip(found.tolist(), true, strict=True))) == len(set(true)) == len(set(found))
    assert np.diff(ends, prepend=0).tolist() == [max(0, len(text) - 2) for text in texts]


def test_numbers_are_those_of_every_machine_and_run() -> None:
    assert digest(("a", "b"), 8).hex() == "f84c4d669fe0d410"
    words = WordHashes().of(["one", "two", "three"])
    found, _ = triples(words, np.array([3]))
    assert found.tolist() == [17055751922966038118]


def test_mixing_loses_nothing() -> None:
    values = np.arange(100_000, dtype=np.uint64)
    assert len(np.unique(mix(values))) == len(values)


def test_remembered_words_are_bounded_and_keep_their_number() -> None:
    words = WordHashes()
    words.REMEMBERED = 10  # type: ignore[misc]
    first = words["a"]
    words.of(str(n) for n in range(100))
    assert len(words) <= 10
    assert words["a"] == first
