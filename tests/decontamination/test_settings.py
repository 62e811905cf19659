"""What a recipe may say about evaluation sets."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from cord.recipe.decontaminate import DecontaminateSettings, sets_alone


def read(written: object) -> DecontaminateSettings:
    return TypeAdapter(DecontaminateSettings).validate_python(sets_alone(written))


def test_a_list_of_sets_is_the_whole_section() -> None:
    assert read(["aime24", "mine.jsonl"]) == read({"against": ["aime24", "mine.jsonl"]})
    assert read([]) == DecontaminateSettings()


def test_the_length_and_where_to_look_can_be_chosen() -> None:
    settings = read({"against": ["amc"], "words": 8, "within": ["question"]})
    assert (settings.words, settings.within) == (8, ("question",))


@pytest.mark.parametrize(
    "written", [{"words": 5}, {"within": []}, {"within": ["answer"]}, {"set": ["amc"]}, "amc"]
)
def test_anything_else_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        read(written)
