"""Whatever is put before a reader, it reads or refuses in words, and loses nothing.

The same properties as `python -m benchmarks.chaos --only fuzz`, on fewer cases."""

import logging
from collections.abc import Iterator

import pytest

from benchmarks.chaos.fuzz import PROPERTIES, try_out
from benchmarks.chaos.fuzz.trying import Property

CASES = 60


@pytest.fixture(autouse=True)
def _silent_libraries() -> Iterator[None]:
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("tried", PROPERTIES, ids=lambda tried: tried.reader.replace(" ", "-"))
def test_a_reader_stands_whatever_it_is_given(tried: Property) -> None:
    outcome = try_out(tried, max(20, int(CASES * tried.share)))
    assert not outcome.failure, outcome.failure
    assert outcome.cases >= 20
