"""What a release is: a manifest that never changes, and the hash of the rows it stands for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from cord.fingerprint import canonical_bytes
from cord.lake.tables.schemas import CAME_LATER

_BATCH_ROWS = 1024
_NO_CONTENT = ("run_id", *CAME_LATER["records"])


class ReleasedFile(BaseModel):
    """One data file of a release."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    """Relative to the lake."""
    sha256: str
    bytes: int
    rows: int


class Manifest(BaseModel):
    """One released version of a data set. Written once, by conditional create, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: int = Field(ge=1)
    run_id: str
    recipe: str
    """Fingerprint of the recipe."""
    rows: int = Field(ge=0)
    content_hash: str
    """See `content_hash`."""
    created_at: datetime
    """UTC."""
    parent: int | None
    """The version that was newest when this one was published."""
    delta_version: int
    """Version of the Delta table `datasets/NAME` that holds the rows."""
    files: tuple[ReleasedFile, ...]
    tables: dict[str, int]
    """Version of each of the lake's tables at publication: what `--release` queries see."""
    contract: dict[str, Any]
    """The contract's results."""
    counts: dict[str, Any]
    """problems, records, wrong, quarantined, ..."""
    profile: dict[str, Any] = {}
    """The records in numbers (`cord.signals.profile`); empty in older releases, as what follows."""
    decontamination: dict[str, Any] = {}
    """What the records were checked against: {words, within, sets, dropped}."""
    source: dict[str, Any] = {}
    """What they were made of (`cord.card.source`)."""

    @property
    def label(self) -> str:
        """`demo@1`."""
        return f"{self.name}@{self.version}"


def content_hash(batches: Iterable[pa.RecordBatch]) -> str:
    """Hash of records as a set: the same whatever files, order of arrival or run they came from.

    Each row's canonical JSON is hashed, the digests are sorted by (problem_id, rank, digest) and
    hashed together. `run_id` stays out of it: a run that makes the same records makes the same
    content. So do the signals, which come of the rest, and which older records lack. Keeps 32 bytes
    a row in memory. Raises ValueError for NaN or an infinite score."""
    digests: list[tuple[str, int, bytes]] = []
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            for row in batch.slice(start, _BATCH_ROWS).to_pylist():
                for name in _NO_CONTENT:
                    row.pop(name, None)
                digest = sha256(canonical_bytes(row)).digest()
                digests.append((row["problem_id"], row["rank"], digest))
    whole = sha256()
    for _, _, digest in sorted(digests):
        whole.update(digest)
    return whole.hexdigest()
