"""Evaluation sets: by name, out of files in their forms, and in real rows."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cord.decontamination import KNOWN, checked_against, find_overlaps, is_local, read_sets
from cord.decontamination import sets as reading
from cord.errors import ProblemsError
from cord.recipe import ProblemSource
from cord.sources import RawRow

DATA = Path(__file__).parents[3] / "shared" / "data"
real = pytest.mark.skipif(not DATA.exists(), reason="the real data are not here")

ROWS = [{"unique_id": "a/1", "problem": "One?"}, {"unique_id": "a/2", "problem": "Two\u2028lines?"}]


def write(path: Path, rows: list[dict[str, object]]) -> str:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text(text)
    return path.name


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "parquet"])
def test_a_file_is_read_in_each_form(tmp_path: Path, ending: str) -> None:
    (one,) = read_sets([write(tmp_path / f"mine.{ending}", ROWS)], tmp_path).sets
    assert one.texts == ("One?", "Two\u2028lines?")
    assert one.ids == ("a/1", "a/2")
    assert (one.name, one.source) == (f"mine.{ending}", f"mine.{ending}#problem")


def test_a_text_file_has_an_item_a_line(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("\ufeffOne?\r\n\n Two\u2028lines? \n", encoding="utf-8")
    (one,) = read_sets(["mine.txt"], tmp_path).sets
    assert (one.ids, one.texts) == (("1", "3"), ("One?", "Two\u2028lines?"))


def test_a_column_can_be_named(tmp_path: Path) -> None:
    rows = [{"question": "Q?", "solution": "So it is."}]
    name = write(tmp_path / "mine.jsonl", rows)
    (found, named) = read_sets([name, f"{name}#solution"], tmp_path).sets
    assert (found.texts, named.texts) == (("Q?",), ("So it is.",))
    assert (named.ids, named.source) == (("1",), "mine.jsonl#solution")
    odd = write(tmp_path / "a#b.jsonl", rows)
    assert read_sets([odd], tmp_path).sets[0].texts == ("Q?",)


def test_a_release_says_what_it_was_checked_against(tmp_path: Path) -> None:
    name = write(tmp_path / "mine.jsonl", ROWS)
    sets = read_sets([name, name], tmp_path)
    assert checked_against(sets, 13) == [
        {
            "name": "mine.jsonl",
            "source": "mine.jsonl#problem",
            "items": 2,
            "sha256": hashlib.sha256("One?\0Two\u2028lines?\0".encode()).hexdigest(),
            "words": 13,
        }
    ]


@pytest.mark.parametrize(
    ("written", "source", "column"),
    [
        (
            "gsm8k-test",
            {"path": "openai/gsm8k", "subset": "main", "split": "test"},
            "question",
        ),
        ("aime24", {"path": "HuggingFaceH4/aime_2024", "split": "train"}, "problem"),
        ("hf:ours/sums", {"path": "ours/sums", "split": "test"}, "text"),
        (
            "hf:ours/sums/easy@dev#text",
            {"path": "ours/sums", "subset": "easy", "split": "dev"},
            "text",
        ),
    ],
)
def test_a_name_leads_to_a_data_set_on_the_hub(
    monkeypatch: pytest.MonkeyPatch, written: str, source: dict[str, str], column: str
) -> None:
    @contextmanager
    def hub(asked: ProblemSource, folder: Path, wanted: tuple[str, ...]) -> Iterator[object]:
        assert asked == ProblemSource(source="hf", **source)
        yield iter([RawRow("ours:1", (column, "id"), {column: "One?", "id": 60}, "")])

    monkeypatch.setattr(reading, "open_rows", hub)
    (one,) = read_sets([written], Path()).sets
    assert (one.name, one.ids, one.texts) == (written, ("60",), ("One?",))
    assert not is_local(written)


def test_every_known_name_is_a_data_set_with_its_split_and_column() -> None:
    for place in KNOWN.values():
        assert all((hub := reading._HUB.fullmatch(place)) and hub[part] for part in
                   ("name", "split", "column"))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "rows", "said"),
    [
        ("aime2024", None, "there is no file or folder aime2024"),
        ("aime2024", None, "Did you mean aime24? Sets known by name: aime24, aime25, amc"),
        ("hf:aime", None, "is written hf:OWNER/NAME"),
        ("mine.jsonl", [{"q": "1"}], "none of the columns question, problem, prompt, text is in"),
        ("mine.jsonl", [{"q": "1"}], "it, but q; name the one that holds the items: FILE#column"),
        ("mine.jsonl#x", [{"q": "1"}], "mine.jsonl:1: no text in its column 'x'; it has q"),
        ("mine.jsonl", [{"text": "1"}, {"text": 2}], "mine.jsonl:2: no text in its column 'text'"),
        ("mine.jsonl", [{"text": " "}], "mine.jsonl#text holds no item"),
        ("mine.jsonl", [], "mine.jsonl holds no item"),
        ("mine.txt", None, "mine.txt: cannot be read: No such file"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_remedy(
    tmp_path: Path, name: str, rows: list[dict[str, object]] | None, said: str
) -> None:
    if rows is not None:
        write(tmp_path / "mine.jsonl", rows)
    with pytest.raises(ProblemsError) as error:
        read_sets([name], tmp_path)
    assert str(error.value).startswith(f"decontaminate, set {name!r}: ")
    assert said in str(error.value) and "problems.path" not in str(error.value)


def test_a_set_out_of_reach_asks_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> object:
        raise ProblemsError("problems.path: the hub's data set cannot be reached")

    monkeypatch.setattr(reading, "open_rows", unreachable)
    with pytest.raises(ProblemsError, match="no network, give a file of its items instead"):
        read_sets(["math500"], Path())


@real
def test_every_item_of_the_real_sets_finds_itself() -> None:
    names = ["aime24.jsonl#problem", "amc.jsonl", "math500.jsonl", "olympiadbench.jsonl"]
    sets = read_sets([*names, "gsm8k_test.jsonl"], DATA)
    texts = [text for one in sets.sets for text in one.texts]
    records = pa.record_batch(
        {
            "problem_id": [str(place) for place in range(len(texts))],
            "rank": pa.array([0] * len(texts), pa.int32()),
            "question": texts,
            "text": ["The answer is 7."] * len(texts),
        }
    )
    found = find_overlaps([records], sets)
    assert set(found["problem_id"].to_pylist()) == set(records.column("problem_id").to_pylist())


@real
def test_of_gsm8k_s_training_problems_four_repeat_a_sentence_of_its_test() -> None:
    sets = read_sets(["aime24.jsonl#problem", "math500.jsonl", "gsm8k_test.jsonl"], DATA)
    with gzip.open(DATA / "gsm8k_train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    records = pa.record_batch(
        {
            "problem_id": [f"{number:04}" for number in range(len(rows))],
            "rank": pa.array([0] * len(rows), pa.int32()),
            "question": [row["question"] for row in rows],
            "text": [row["answer"] for row in rows],
        }
    )
    found = find_overlaps([records], sets).to_pylist()
    assert [(hit["problem_id"], hit["item"], hit["words"]) for hit in found] == [
        ("0020", "540", 25),
        ("0406", "496", 15),
        ("1314", "513", 19),
        ("5162", "513", 19),
    ]
