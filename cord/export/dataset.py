"""`dataset`: a release as a data set of the Hugging Face hub, on a folder or on S3.

    OUT/README.md                            its data card
    OUT/data/train-00000-of-00003.parquet    its records, with all columns, by problem and rank

`datasets.load_dataset(OUT)` reads it. A folder gets its name when it is whole; on S3, which has no
folders, the card comes last. Records pass in batches: memory does not depend on their number.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from cord.card import card
from cord.errors import CordError, UsageError
from cord.export.records import record_batches
from cord.lake.stores.store import open_store
from cord.lake.tables.schemas import RECORDS

if TYPE_CHECKING:
    from cord.lake import Lake
    from cord.lake.releases.manifest import Manifest

CARD: Final = "README.md"
FILE_ROWS = 100_000
FILE_BYTES = 256 << 20
"""A file holds no more rows than this, and about so many bytes at most."""
_OURS = re.compile(r"README\.md|data/train-\d{5,}-of-\d{5,}\.parquet")


def write_dataset(lake: Lake, release: Manifest, out: str, force: bool = False) -> int:
    """Write the release to `out`, a folder or `s3://bucket/prefix`; returns the number of rows.

    With `force` it takes the place of a data set that was written there before. Raises
    `UsageError` where `out` holds anything else, `CordError` where it cannot be written."""
    if out.startswith("s3://"):
        return _to_s3(lake, release, out, force)
    try:
        return _to_folder(lake, release, Path(os.path.abspath(Path(out).expanduser())), force)
    except OSError as error:
        raise CordError(f"{out} cannot be written: {error.strerror or error}") from None


def _to_folder(lake: Lake, release: Manifest, out: Path, force: bool) -> int:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a folder")
    _check(str(out), _within(out), force)
    part, old = (out.with_name(f"{out.name}.{end}") for end in ("part", "old"))
    for left in (part, old):  # by an export that was killed
        _check(str(left), _within(left), force=True)
        shutil.rmtree(left, ignore_errors=True)
    (part / "data").mkdir(parents=True)
    try:
        rows = sum(count for _, count in _files(lake, release, part / "data"))
        (part / CARD).write_text(card(release), encoding="utf-8", newline="\n")
        if out.exists():
            os.replace(out, old)
        os.replace(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    return rows


def _to_s3(lake: Lake, release: Manifest, out: str, force: bool) -> int:
    store = open_store(out)
    there = store.list()
    _check(store.root, there, force)
    store.delete(key for key in there if key == CARD)
    rows, written = 0, list[str]()
    try:
        with tempfile.TemporaryDirectory(prefix="cord-export-") as scratch:
            for file, count in _files(lake, release, Path(scratch)):
                written.append(f"data/{file.name}")
                store.write(written[-1], file.read_bytes())
                file.unlink()
                rows += count
        store.delete(key for key in there if key not in (CARD, *written))
        store.write(CARD, card(release).encode())
    except BaseException:
        with suppress(CordError):
            store.delete(written)
        raise
    return rows


def _files(lake: Lake, release: Manifest, folder: Path) -> Iterator[tuple[Path, int]]:
    """Each file when it is whole, and its rows."""
    most = _rows_of_a_file(release)
    number = max(1, -(-release.rows // most))
    with record_batches(lake, release, *RECORDS.names) as batches:
        left = iter(batches)
        rest: pa.Table | None = None
        for index in range(number):
            path = folder / f"train-{index:05d}-of-{number:05d}.parquet"
            rows = 0
            with pq.ParquetWriter(path, RECORDS, compression="zstd", compression_level=1) as writer:
                while rows < most:
                    if rest is None:
                        batch = next(left, None)
                        if batch is None:
                            break
                        rest = pa.Table.from_batches([batch]).cast(RECORDS)
                    piece = rest.slice(0, most - rows)
                    writer.write_table(piece)
                    rows += piece.num_rows
                    rest = rest.slice(piece.num_rows) if piece.num_rows < rest.num_rows else None
            yield path, rows


def _rows_of_a_file(release: Manifest) -> int:
    size = sum(file.bytes for file in release.files)
    return max(1, min(FILE_ROWS, FILE_BYTES * max(1, release.rows) // max(1, size)))


def _within(folder: Path) -> list[str]:
    return [p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()]


def _check(where: str, there: list[str], force: bool) -> None:
    """Refuse a place with anything in it; with `force`, with anything that no export wrote."""
    if strange := [key for key in there if not _OURS.fullmatch(key)]:
        raise UsageError(
            f"{where} holds {strange[0]!r}, which no export wrote; choose an empty place"
        )
    if there and not force:
        raise UsageError(f"{where} has a data set already; --force writes over it")
