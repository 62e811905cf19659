"""Bad input: one clear sentence that names file, line or field, and the right exit code."""

from pathlib import Path

import pytest
from factory import Factory

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"serch": {}}, "did you mean 'search'?"),
        ({"search": {"widht": 4}}, "recipe.yaml:"),
        ({"search": {"width": "four"}}, "search.width"),
        ({"problems": None}, "problems: this key is missing"),
        ({"problems": {"path": "nowhere.jsonl"}}, "nowhere.jsonl"),
        ({"problems": {"path": "problems.jsonl", "question": "qestion"}}, "qestion"),
        ({"meta_prover": "nobody"}, "none of the teachers"),
        ({"meta_prover": {"model": "cord:nobody"}}, "nobody"),
        ({"name": "../../etc"}, "name"),
    ],
)
def test_a_wrong_recipe_is_one_sentence(
    factory: Factory, changes: dict[str, object], said: str
) -> None:
    factory.write_recipe(**changes)
    ran = factory.run()
    assert ran.code in (1, 2)
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert not (Path(factory.lake) / "releases").exists()


def test_an_unreachable_teacher_is_named_with_its_url(factory: Factory) -> None:
    factory.write_recipe(
        teachers=[{"name": "far", "model": "m", "url": "http://127.0.0.1:9/v1"}], meta_prover="far"
    )
    ran = factory.run()
    assert ran.code == 1
    assert "http://127.0.0.1:9" in ran.err and "Traceback" not in ran.err


def test_an_unwritable_lake_is_said_at_once(factory: Factory) -> None:
    (factory.folder / "file").write_text("not a folder")
    ran = factory.run("--lake", str(factory.folder / "file" / "lake"))
    assert ran.code == 1
    assert "file/lake" in ran.err and "Traceback" not in ran.err


def test_a_lake_of_another_version_is_refused(factory: Factory) -> None:
    lake = Path(factory.lake)
    lake.mkdir()
    (lake / "lake.json").write_text('{"format": 99, "made_by": "cord 9"}')
    ran = factory.run()
    assert ran.code == 1
    assert "99" in ran.err and "cord 9" in ran.err


WRONG_USAGE = (
    ("query", "select * from nowhere"),
    ("query", "drop table steps"),
    ("status", "nobody"),
    ("verify", "small@9"),
    ("resume", "nobody"),
    ("releases", "--nonsense"),
    ("run",),
    ("run", "recipe.yaml", "--run-id", "mine", "--seed", "9"),  # the name of another run
)


def test_wrong_usage_exits_2_with_one_sentence(factory: Factory) -> None:
    factory.write_problems(1)
    factory.write_recipe(contract={"min_records": 0})
    assert factory.run("--run-id", "mine").code == 0
    for arguments in WRONG_USAGE:
        ran = factory.cord(*arguments)
        assert ran.code == 2, (arguments, ran.err)
        assert ran.err.startswith(("cord: ", "Usage: ")), arguments
        assert "Traceback" not in ran.err
    assert "another run" in ran.err
