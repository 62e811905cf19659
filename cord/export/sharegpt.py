"""`sharegpt`: for LLaMA-Factory, `{"conversations": [{from, value}, ...], problem_id, score}`.

LLaMA-Factory finds a data set by its entry in `dataset_info.json` of its `dataset_dir`: the entry
is written beside the file, among those that are there, so that this folder can be that directory.
The format is read by its `data/parser.py` (`DatasetAttr`, `get_dataset_list`) and
`data/converter.py` (`SharegptDatasetConverter`), version 0.9.5.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cord.errors import CordError
from cord.export.options import PairOptions
from cord.export.records import records
from cord.export.writing import write_text

if TYPE_CHECKING:
    from cord.lake import Lake
    from cord.lake.releases.manifest import Manifest

INFO = "dataset_info.json"
_FROM = {"system": "system", "user": "human", "assistant": "gpt"}


def rows(lake: Lake, release: Manifest, options: PairOptions) -> Iterator[dict[str, Any]]:
    """A release's records, by problem and rank."""
    for record in records(lake, release, "problem_id", "messages", "score"):
        told = [
            {"from": _FROM[message["role"]], "value": message["content"]}
            for message in record["messages"]
        ]
        yield {
            "conversations": told,
            "problem_id": record["problem_id"],
            "score": record["score"],
        }


def write_info(release: Manifest, path: Path) -> Path:
    """Enter the file at `path` into the `dataset_info.json` beside it, as `NAME_vVERSION`.

    Raises `CordError` where one is there that cannot be read, and leaves it as it is."""
    info = path.with_name(INFO)
    entries = _entries(info)
    entries[f"{release.name}_v{release.version}"] = {
        "file_name": path.name,
        "formatting": "sharegpt",
        "columns": {"messages": "conversations"},
    }
    write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", info)
    return info


def _entries(info: Path) -> dict[str, Any]:
    try:
        found = json.loads(info.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CordError(f"{info} cannot be read ({error}); mend it, or move it away") from None
    if not isinstance(found, dict):
        raise CordError(f"{info} is no JSON object of data sets; mend it, or move it away")
    return found
