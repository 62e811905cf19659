"""Counters of a vLLM server: read strictly, added up over restarts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.engines.vllm.metrics import Counters, MeteredServer, Reading, Tally, parse

NAMES = ("prompt_tokens", "generation_tokens", "prefix_cache_queries", "prefix_cache_hits")


def page(values: tuple[float, ...] = (12, 3, 10, 8), engine: int = 0, born: float = 1.7e9) -> str:
    """Four counters as vLLM 0.32 writes them."""
    labels = f'{{engine="{engine}",model_name="meta"}}'
    return "".join(
        f"# HELP vllm:{name}_total Number.\n# TYPE vllm:{name}_total counter\n"
        f"vllm:{name}_total{labels} {value}\n"
        f"# HELP vllm:{name}_created Number.\n# TYPE vllm:{name}_created gauge\n"
        f"vllm:{name}_created{labels} {born}\n"
        for name, value in zip(NAMES, values, strict=True)
    )


def test_a_page_is_read() -> None:
    assert parse(page((12.0, 3, 1e3, 8))) == Reading(Counters(12, 3, 1000, 8), 1.7e9)


def test_the_engines_behind_a_server_are_added_up() -> None:
    found = parse(page() + page((1, 1, 1, 1), engine=1))
    assert found is not None and found.counters == Counters(13, 4, 11, 9)


@pytest.mark.parametrize(
    "other",
    [
        "",
        "<html>no such page</html>",
        '{"detail": "Not Found"}',
        page().replace("prefix_cache_hits", "prefix_cache_misses"),
        page().replace(" 12\n", " NaN\n"),
        page().replace(" 12\n", " +Inf\n"),
        page().replace(" 12\n", " many\n"),
        page().replace('model_name="meta"}', "model_name="),
        page() + "torn{",
        "\x00\xff",
    ],
)
def test_a_page_that_does_not_say_is_not_known(other: str) -> None:
    assert parse(other) is None


@given(st.text())
def test_no_page_is_an_error(text: str) -> None:
    parse(text)
    parse(page() + text)


def test_a_server_that_is_away_is_not_known() -> None:
    for url in ("http://127.0.0.1:1/v1", "nonsense", "http://[", "http://\x00"):
        assert MeteredServer("s", url.strip).read() is None


grown = st.tuples(*[st.integers(0, 10**9)] * 4).map(lambda four: Counters(*four))


@given(st.lists(st.tuples(grown, st.booleans()), max_size=8), st.booleans())
def test_what_is_counted_is_all_that_grew_whatever_was_started_anew(
    readings: list[tuple[Counters, bool]], tells_when_made: bool
) -> None:
    tally, shown, born = Tally(), Counters(7, 7, 7, 7), 1.0
    tally.begin(Reading(shown, born))
    total = Counters()
    for more, anew in readings:
        if anew:
            born += tells_when_made
            before, shown = shown, Counters()
        shown += more
        if anew and not tells_when_made and (shown - before).all_grown:
            return  # grown beyond what it was: nothing shows that it was started anew
        total += more
        tally.note(Reading(shown, born))
        assert tally.counted == total
        assert tally.counted.all_grown


def test_a_server_is_counted_from_where_it_stands_each_time_counting_begins() -> None:
    tally = Tally()
    tally.note(Reading(Counters(5, 5, 5, 5)))
    assert tally.counted == Counters()
    tally.begin(Reading(Counters(9, 9, 9, 9)))
    tally.note(Reading(Counters(10, 9, 9, 9)))
    assert tally.counted == Counters(1, 0, 0, 0)
