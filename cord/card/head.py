"""The YAML head of a data card: what the Hugging Face hub and `datasets` read of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from cord.lake.tables.schemas import RECORDS

if TYPE_CHECKING:
    from cord.lake.releases.manifest import Manifest

DATA_FILES: Final = "data/train-*.parquet"
"""Where a data set's folder has its records."""
_SIZES = (
    *((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")),
    *((10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B")),
)
_LEAST_LANGUAGE = 0.01
"""A language in fewer of the records is no language of the data set."""
_LICENCES: Final = {
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "zlib", "mpl-2.0"),
    *("cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
    *("cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0"),
    *("cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "odc-by", "odbl", "pddl", "cdla-permissive-2.0"),
    *("gpl-2.0", "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "agpl-3.0", "gfdl", "openrail", "unknown"),
    *("gemma", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3"),
}
"""The hub's names of licences (its documentation, "Licenses"); any other is `other`, named."""


def head(manifest: Manifest) -> str:
    """YAML between two lines of `---`. Values are quoted by the library that writes them."""
    from datasets import DatasetInfo, Features
    from datasets.info import DatasetInfosDict
    from datasets.splits import SplitDict, SplitInfo
    from huggingface_hub import DatasetCardData

    licence, licence_name = _licence(manifest.source.get("problems") or {})
    data = DatasetCardData(
        language=_languages(manifest.profile) or None,
        license=licence,
        license_name=licence_name,
        pretty_name=manifest.name,
        size_categories=[_size(manifest.rows)],
        task_categories=["text-generation", "question-answering"],
        tags=["reasoning", "chain-of-thought", "synthetic", "cord"],
        configs=[
            {"config_name": "default", "data_files": [{"split": "train", "path": DATA_FILES}]}
        ],
    )
    splits = SplitDict()
    splits.add(SplitInfo("train", sum(f.bytes for f in manifest.files), manifest.rows))
    info = DatasetInfo(features=Features.from_arrow_schema(RECORDS), splits=splits)
    DatasetInfosDict({"default": info}).to_dataset_card_data(data)
    return f"---\n{data.to_yaml()}\n---\n"


def _licence(problems: dict[str, Any]) -> tuple[str, str | None]:
    """That of the problems, since what stands in the records is theirs or comes of them: the hub's
    name for it, and its own where the hub has none."""
    stated = problems.get("licence")
    if not stated:
        return "unknown", None
    name = re.sub(r"[^a-z0-9.]+", "-", str(stated).lower()).strip("-.")
    if name in _LICENCES:
        return name, None
    return "other", name or "as-stated"


def _languages(profile: dict[str, Any]) -> list[str]:
    """Those of the thinking, the most frequent first."""
    shares = profile.get("shares", {}).get("language", {})
    return [
        name
        for name, share in shares.items()
        if share >= _LEAST_LANGUAGE and re.fullmatch("[a-z]{2,3}", str(name))
    ]


def _size(rows: int) -> str:
    return next((name for least, name in _SIZES if rows < least), "1B<n<10B")
