"""Conversations as each trainer takes them: TRL by its own functions, the others by the rules of
their loaders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import load_dataset
from trl.data_utils import apply_chat_template, is_conversational, maybe_convert_to_chatml

from cord.errors import CordError
from cord.export import export
from cord.lake import Lake
from cord.lake.releases.manifest import Manifest
from cord.students.start import find_start

Released = tuple[Lake, Manifest]


@pytest.fixture
def messages(released: Released, tmp_path: Path) -> list[list[dict[str, str]]]:
    """The conversations that every format is to hold."""
    export(*released, "sft", tmp_path / "messages.jsonl")
    lines = (tmp_path / "messages.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["messages"] for line in lines]


def loaded(kind: str, path: Path) -> list[dict[str, Any]]:
    """As LLaMA-Factory and Axolotl do it."""
    cache = str(path.parent / "cache")
    return list(load_dataset(kind, data_files=str(path), split="train", cache_dir=cache))


def test_trl_takes_sft_and_words_it_by_the_students_template(
    messages: list[list[dict[str, str]]],
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(find_start("cord:ada", Path()).folder)
    for told in messages:
        assert is_conversational({"messages": told})
        text = apply_chat_template({"messages": told}, tokenizer)["text"]
        assert told[0]["content"] in text and told[1]["content"] in text


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_llama_factory_finds_its_entry_and_takes_every_conversation(
    ending: str, released: Released, messages: list[Any], tmp_path: Path
) -> None:
    path = tmp_path / f"train.{ending}"
    exported = export(*released, "sharegpt", path)
    assert exported.beside == tmp_path / "dataset_info.json"
    entry = json.loads(exported.beside.read_text("utf-8"))["pairs_v1"]
    # `DatasetAttr.join`: what is left out of these is the default, of columns nothing.
    assert set(entry) == {"file_name", "formatting", "columns"}
    assert entry["formatting"] == "sharegpt"
    rows = loaded({"jsonl": "json"}.get(ending, ending), tmp_path / entry["file_name"])
    for row, same in zip(rows, messages, strict=True):
        told = row[entry["columns"]["messages"]]
        # `SharegptDatasetConverter`: a system message first, if any; then human and gpt in turn.
        turns = [turn["from"] for turn in told if turn["from"] != "system"]
        assert turns == ["human", "gpt"] * (len(turns) // 2)
        assert [turn["value"] for turn in told] == [turn["content"] for turn in same]
        again = maybe_convert_to_chatml({"conversations": [dict(turn) for turn in told]})
        assert [turn["content"] for turn in again["messages"]] == [m["content"] for m in same]


def test_entries_of_other_data_sets_stay(released: Released, tmp_path: Path) -> None:
    info = tmp_path / "dataset_info.json"
    info.write_text('{"other": {"file_name": "o.json"}}', "utf-8")
    export(*released, "sharegpt", tmp_path / "train.jsonl")
    assert set(json.loads(info.read_text("utf-8"))) == {"other", "pairs_v1"}
    info.write_text("{torn", "utf-8")
    with pytest.raises(CordError, match=r"dataset_info\.json cannot be read"):
        export(*released, "sharegpt", tmp_path / "train.jsonl")
    assert info.read_text("utf-8") == "{torn"


def test_axolotl_takes_the_file_as_its_settings_say(
    released: Released, messages: list[Any], tmp_path: Path
) -> None:
    exported = export(*released, "axolotl", tmp_path / "train.jsonl")
    assert exported.beside == tmp_path / "train.axolotl.yaml"
    (settings,) = yaml.safe_load(exported.beside.read_text("utf-8"))["datasets"]
    assert settings["type"] == "chat_template"
    rows = loaded(settings["ds_type"], tmp_path / settings["path"])
    named = settings["message_property_mappings"]
    for row, same in zip(rows, messages, strict=True):
        told = row[settings["field_messages"]]
        assert [turn[named["content"]] for turn in told] == [m["content"] for m in same]
        assert {turn[named["role"]] for turn in told} >= set(settings["roles_to_train"])
