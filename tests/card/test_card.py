"""A data card: read by the hub's own library and by `datasets`, told by the manifest, and inert."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from datasets import DatasetInfo, Features
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard
from hypothesis import given
from hypothesis import strategies as st

from cord.card import card
from cord.card.escaping import code, plain
from cord.card.fields import FIELDS
from cord.card.source import describe
from cord.lake.releases.manifest import Manifest, ReleasedFile
from cord.lake.tables.schemas import RECORDS
from cord.plan import identify
from cord.recipe_file import parse_recipe
from cord.signals.profile import profile_of

RECIPE = """
name: limo
problems: {source: hf, path: GAIR/LIMO, licence: Apache 2.0}
teachers:
  - {name: qwq, url: "http://gpu-1:8000/v1", model: Qwen/QwQ-32B, licence: apache-2.0}
  - {name: own, model: /home/me/models/mine, engine: embedded, temperature: 0.9}
meta_prover: qwq
"""
CHECK = {
    "expectation": "score_in_range",
    "field": "score",
    "sentence": "0 < score <= 1",
    "holds": True,
    "observed": "0.5 to 1",
    "severity": "stop",
}


def manifest(**changes: Any) -> Manifest:
    """A release of two records that says all there is to say."""
    batch = pa.RecordBatch.from_pylist(
        [
            {"score": 0.5, "tokens": 10, "language": "en", "teachers": ["qwq"], "truncated": False},
            {"score": 1.0, "tokens": 30, "language": "zh", "teachers": ["own"], "truncated": False},
        ]
    )
    usual: dict[str, Any] = {
        "name": "limo",
        "version": 2,
        "run_id": "limo-1",
        "recipe": "f" * 64,
        "rows": 1234,
        "content_hash": "c" * 64,
        "created_at": datetime(2026, 11, 28, 12, 30, tzinfo=UTC),
        "parent": 1,
        "delta_version": 1,
        "files": (ReleasedFile(path="datasets/limo/a.parquet", sha256="0", bytes=99, rows=1234),),
        "tables": {},
        "contract": {"holds": True, "checks": [CHECK]},
        "counts": {"problems": 2000, "wrong": 700, "quarantined": 66, "contaminated": 3},
        "profile": profile_of([batch]),
        "decontamination": {
            "words": 13,
            "within": ["question"],
            "sets": [{"name": "aime24", "source": "hf:x/y", "items": 30, "sha256": "ab12"}],
            "dropped": 3,
        },
        "source": describe(parse_recipe(RECIPE), {"qwq": "vllm 0.32.0"}),
    }
    return Manifest(**{**usual, **changes})


def bare() -> Manifest:
    """As older releases are."""
    return manifest(profile={}, decontamination={}, source={}, contract={}, counts={})


def test_its_head_is_what_the_hub_and_datasets_read() -> None:
    data = DatasetCard(card(manifest())).data.to_dict()
    assert data["license"] == "apache-2.0"
    assert data["language"] == ["en", "zh"]
    assert data["size_categories"] == ["1K<n<10K"]
    assert data["pretty_name"] == "limo"
    info = DatasetInfo._from_yaml_dict(data["dataset_info"])
    assert info.features == Features.from_arrow_schema(RECORDS)
    assert info.features.arrow_schema.names == RECORDS.names
    assert info.splits["train"].num_examples == 1234
    configs = MetadataConfigs.from_dataset_card_data(DatasetCard(card(manifest())).data)
    files = configs["default"]["data_files"]
    assert files == [{"split": "train", "path": "data/train-*.parquet"}]


def test_it_tells_what_the_manifest_tells() -> None:
    text = card(manifest())
    for told in (
        "| problems read | 2,000 |",
        "| records left out for what they share with an evaluation set | 3 |",
        "`limo@1`",
        "`" + "c" * 64 + "`",
        "| teacher `qwq` | `Qwen/QwQ-32B` | apache-2.0 | 0.6 | vllm 0.32.0 |",
        "| teacher `own` | `mine` | not stated | 0.9 | embedded |",
        "| licence of the problems | Apache 2.0 |",
        "shares 13 words in a row",
        "| aime24 | hf:x/y | 30 | `ab12` |",
        "| `score` | 0.75 | 0.5 |",
        "en 50.0%, zh 50.0%",
        "| `score_in_range` | 0 &lt; score &lt;= 1 | 0.5 to 1 | held |",
        "arXiv 2605.02290",
        "load_dataset(",
    ):
        assert told in text, told
    assert "gpu-1" not in text and "/home/me" not in text, "nothing of where it was made"


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    text = card(bare())
    assert DatasetCard(text).data.to_dict()["license"] == "unknown"
    assert "language" not in DatasetCard(text).data.to_dict()
    assert "not checked against any evaluation set" in text
    assert "## Quality" not in text
    source = describe(parse_recipe(RECIPE.replace(", licence: Apache 2.0", "")), {})
    assert "| licence of the problems | not stated |" in card(manifest(source=source))


@pytest.mark.parametrize("stated", ["Our own: see LICENCE", "###", "apache\n- evil: true"])
def test_a_licence_that_the_hub_does_not_know_is_named(stated: str) -> None:
    source = {"problems": {"name": "p", "licence": stated}}
    data = DatasetCard(card(manifest(source=source))).data.to_dict()
    assert data["license"] == "other" and data["license_name"]
    assert "evil" not in data


def test_every_column_is_explained() -> None:
    assert set(FIELDS) == set(RECORDS.names)


def test_what_came_from_data_stays_words() -> None:
    evil = "<script>x</script> | [a](http://evil) ![i](x) `c` **b** @me www.evil.org\n# head"
    text = card(manifest(contract={"holds": True, "checks": [{**CHECK, "observed": evil}]}))
    line = next(line for line in text.splitlines() if "script" in line)
    for mark in ("<script", "[a](", "![i]", "**b**", "@me", "http://", "www.evil"):
        assert mark not in line
    assert line.count("|") - line.count("\\|") == 5, "four cells"


@given(st.text(max_size=80))
def test_escaped_text_has_one_line_and_opens_nothing(text: str) -> None:
    shown = plain(text)
    assert len(shown.splitlines()) <= 1
    assert not set("<>") & set(shown) and "](" not in shown and "://" not in shown
    bars = code(text).replace("\\|", "")
    assert "|" not in bars and len(code(text).splitlines()) <= 1


@given(st.text(alphabet="`a |\\", max_size=12))
def test_code_is_fenced_by_more_than_it_holds(text: str) -> None:
    shown = code(text)
    fence = len(shown) - len(shown.lstrip("`"))
    inner = shown[fence : len(shown) - fence]
    assert not shown or "`" * fence not in inner


def test_licences_change_no_run() -> None:
    from cord.engines import EngineInfo

    info = EngineInfo("m", "id", 4096, "double", True, True)
    engines = dict.fromkeys(("qwq", "own", "meta-prover"), info)
    without = RECIPE.replace(", licence: Apache 2.0", "").replace(", licence: apache-2.0", "")
    one, other = (identify(parse_recipe(r), engines, [], []) for r in (RECIPE, without))
    assert one == other


def test_a_source_is_plain_json_without_what_tells_of_a_machine_or_a_secret() -> None:
    recipe = parse_recipe(RECIPE.replace("source: hf, path: GAIR/LIMO", "path: /data/me/p.jsonl"))
    told = json.dumps(describe(recipe, {"qwq": "vllm"}))
    assert "p.jsonl" in told and "/data/me" not in told
    assert "http" not in told and "/home" not in told
    # Recipes with such an address are refused; one that an older cord took may be in the lake.
    kept = {"problems": recipe.problems.model_copy(update={"path": "s3://k:s@b/p.jsonl?t=1"})}
    on_s3 = recipe.model_copy(update=kept)
    assert describe(on_s3, {})["problems"]["name"] == "s3://b/p.jsonl"
