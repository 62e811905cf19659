"""A data set's folder onto the hub: huggingface_hub's own client, against a hub on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from datasets import load_dataset
from doubles.hub import TOKEN, Hub, HubDataset

from cord.card import card
from cord.errors import CordError, UsageError
from cord.export import write_dataset
from cord.export.hub import push
from cord.lake import Lake
from cord.lake.releases.manifest import Manifest


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.endpoint)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield made


@pytest.fixture
def folder(released: tuple[Lake, Manifest], tmp_path: Path) -> Path:
    write_dataset(*released, str(tmp_path / "set"))
    return tmp_path / "set"


def test_what_is_pushed_loads_and_has_its_card(
    hub: Hub, folder: Path, released: tuple[Lake, Manifest], tmp_path: Path
) -> None:
    assert push(folder, "me/pairs", True, "pairs@1") == f"{hub.endpoint}/datasets/me/pairs"
    there = hub.datasets["me/pairs"]
    assert there.private and there.commits == ["pairs@1"]
    assert hub.cards == [card(released[1])]
    for path, content in there.files.items():
        (tmp_path / "down" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "down" / path).write_bytes(content)
    found = load_dataset(str(tmp_path / "down"), split="train", cache_dir=str(tmp_path / "cache"))
    assert found.num_rows == released[1].rows


def test_a_later_version_takes_the_place_of_the_earlier(hub: Hub, folder: Path) -> None:
    old = {"data/train-00000-of-00002.parquet": b"old", "data/train-00001-of-00002.parquet": b"old"}
    hub.datasets["me/pairs"] = HubDataset(files={**old, ".gitattributes": b"", "notes.md": b"mine"})
    push(folder, "me/pairs", False, "pairs@2")
    assert sorted(hub.datasets["me/pairs"].files) == [
        ".gitattributes",
        "README.md",
        "data/train-00000-of-00001.parquet",
        "notes.md",
    ]
    assert hub.datasets["me/pairs"].commits == ["pairs@2"], "one commit: never half of each"


def test_what_is_to_be_private_goes_to_nothing_public(hub: Hub, folder: Path) -> None:
    hub.datasets["me/pairs"] = HubDataset()
    with pytest.raises(UsageError, match="is there already, and public"):
        push(folder, "me/pairs", True, "pairs@1")
    assert not hub.datasets["me/pairs"].files


def test_what_the_hub_refuses_is_said(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.readers = {"you"}
    with pytest.raises(CordError, match=r"the token may not write to you/pairs on http"):
        push(folder, "you/pairs", False, "m")
    with pytest.raises(UsageError, match="--push-to-hub a/b/c"):
        push(folder, "a/b/c", False, "m")
    hub.refuses_cards = True
    with pytest.raises(CordError, match="does not take the data card"):
        push(folder, "me/pairs", False, "m")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(CordError, match=r"the token is not valid for me/pairs") as told:
        push(folder, "me/pairs", False, "m")
    assert "hf_wrong" not in str(told.value)


def test_a_hub_that_is_away_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CordError, match=r"cannot be reached .* run the same command again"):
        push(folder, "me/pairs", False, "m")


def test_no_token_is_said_before_anything_else(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(UsageError, match="HF_TOKEN"):
        push(folder, "me/pairs", False, "m")
