"""What the lake remembers of a run, and what it says when that was damaged."""

import pytest

from cord.errors import LakeError, UsageError
from cord.lake import Lake
from cord.lake.runs import check_run_id, load_recipe_of, load_run


@pytest.mark.parametrize("name", ["", "../x", "a\n", "a/b", "é", "-a", "a" * 101, "a'b"])
def test_a_name_that_could_leave_the_lake_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a run"):
        check_run_id(name)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"recipe": {}, "folder": ""}'])
def test_a_damaged_recipe_is_one_sentence(folder_lake: Lake, content: bytes) -> None:
    folder_lake.store.write("runs/r/recipe.json", content)
    with pytest.raises(LakeError, match=r"runs/r/recipe\.json .* run the recipe's file again"):
        load_recipe_of(folder_lake, "r")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}"])
def test_a_damaged_document_is_one_sentence(folder_lake: Lake, content: bytes) -> None:
    folder_lake.store.write("runs/r/run.json", content)
    with pytest.raises(LakeError, match=r"runs/r/run\.json"):
        load_run(folder_lake, "r")
