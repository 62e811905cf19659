"""How a release is read: the lines that a user copies from its card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cord.card.head import DATA_FILES

if TYPE_CHECKING:
    from cord.lake.releases.manifest import Manifest


def loading(manifest: Manifest) -> str:
    """From the folder that this card lies in, from S3, and out of the lake."""
    return f"""\
```python
from datasets import load_dataset

records = load_dataset("FOLDER", split="train")  # the folder of this card, or its name on the hub

# On S3 (`pip install s3fs`); of Amazon's own, storage_options may be left out:
records = load_dataset(
    "parquet",
    data_files="s3://BUCKET/PREFIX/{DATA_FILES}",
    split="train",
    storage_options={{"endpoint_url": "https://HOST"}},
)
```

`messages` is what TRL's SFTTrainer trains on. Out of the lake, `cord export {manifest.label} OUT`
writes this folder with `--format dataset`, and with `--format sft`, `sharegpt` (LLaMA-Factory) or
`axolotl` what each trainer reads; `cord query --release {manifest.label} "..."` answers SQL.
"""
