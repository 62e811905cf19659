"""`axolotl`: the conversations of `sft`, and beside them the lines for Axolotl's configuration.

Axolotl reads them with its `chat_template` strategy (`prompt_strategies/chat_template.py`, version
0.19): `NAME.axolotl.yaml` stands beside `NAME.jsonl`, and goes into the user's own file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from cord.export.sft import rows as rows
from cord.export.writing import write_text

if TYPE_CHECKING:
    from cord.lake.releases.manifest import Manifest


def write_settings(release: Manifest, path: Path) -> Path:
    """Write the lines beside the file at `path`. Raises `CordError`."""
    settings = {
        "datasets": [
            {
                "path": path.name,
                "ds_type": "parquet" if path.suffix == ".parquet" else "json",
                "type": "chat_template",
                "field_messages": "messages",
                "message_property_mappings": {"role": "role", "content": "content"},
                "roles_to_train": ["assistant"],
                "train_on_eos": "turn",
            }
        ]
    }
    beside = path.with_suffix(".axolotl.yaml")
    note = f"# {release.label}: into Axolotl's configuration, with this folder as working folder.\n"
    write_text(note + yaml.safe_dump(settings, sort_keys=False), beside)
    return beside
