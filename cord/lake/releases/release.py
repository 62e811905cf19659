"""Releases: immutable, numbered versions of a data set.

    datasets/NAME                 the rows: one Delta commit a release
    releases/NAME/v000001.json    the manifest: what makes that commit a release

A release exists when its manifest does. The commit comes first, and carries an app id made of run
and content, so a crash between the two is mended by publishing again: the commit is found, and
only the manifest is written. Numbers are given by conditional create: of two publishers at once
one gets the number, the other sees that it is taken and looks at the newest release again.
"""

from __future__ import annotations

import difflib
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from cord.errors import LakeError, UsageError
from cord.fingerprint import canonical_bytes
from cord.lake import Lake
from cord.lake.releases.manifest import Manifest, ReleasedFile, content_hash
from cord.lake.tables.data_files import Rows, opened
from cord.lake.tables.delta import commit_once, files_of, open_table, sizes_of, version_of
from cord.lake.tables.schemas import RECORDS
from cord.recipe import SAFE_NAME
from cord.signals.profile import Profiler

_TRIES = 40
_READERS = 8
_MANIFEST_KEY = re.compile(r"^releases/([^/]+)/v(\d{6,})\.json$")


@dataclass(frozen=True, slots=True)
class Published:
    """What `publish` found or made."""

    manifest: Manifest
    new: bool
    """False: the data set's newest release holds these very records already."""


def publish(
    lake: Lake,
    name: str,
    rows: Rows,
    run_id: str,
    fingerprint: str,
    contract: dict[str, Any],
    counts: dict[str, Any],
    decontamination: dict[str, Any] | None = None,
    source: dict[str, Any] | None = None,
) -> Published:
    """Release `rows` (of schema `RECORDS`; a table, or what opens a stream of batches) as the next
    version of the data set `name`.

    Nothing is published where the newest release has the same content, or where this run has
    published this content before. Call it only when the contract held; `fingerprint` is the
    recipe's. Safe to call again after any crash, and by several processes at once. A stream is
    opened twice: once for the content's hash and profile, and once to be written."""
    if not re.fullmatch(SAFE_NAME, name):
        raise LakeError(f"{name!r} cannot be a data set's name; use letters, digits and . _ -")
    profiler = Profiler()
    content = content_hash(profiler.watch(opened(rows, RECORDS)))
    about = {
        "profile": dict(profiler.profile()),
        "decontamination": decontamination or {},
        "source": source or {},
    }
    found, counted = about["profile"]["rows"], counts.get("rows", about["profile"]["rows"])
    if found != counted:
        raise LakeError(
            f"{found} records of run {run_id} are there, and {counted} were counted; nothing was "
            "published: resume the run"
        )
    delta_version: int | None = None
    for _ in range(_TRIES):
        released = list_releases(lake, name)
        head = released[-1] if released else None
        same = _already(released, run_id, content)
        if same is not None:
            return Published(same, new=False)
        if delta_version is None:
            facts = {
                "run_id": run_id,
                "recipe": fingerprint,
                "content_hash": content,
                "counts": canonical_bytes(counts).decode(),
                "contract": canonical_bytes(contract).decode(),
                **{name: canonical_bytes(told).decode() for name, told in about.items()},
            }
            delta_version = _commit(lake, name, rows, f"release:{run_id}:{content}", facts)
        files = _files(lake, name, delta_version)
        if sum(file.rows for file in files) != found:
            raise LakeError(
                f"version {delta_version} of {lake.store.uri(dataset_key(name))} does not hold the "
                "rows that were committed; nothing was published"
            )
        manifest = Manifest(
            name=name,
            version=head.version + 1 if head else 1,
            run_id=run_id,
            recipe=fingerprint,
            rows=found,
            content_hash=content,
            created_at=datetime.now(UTC),
            parent=head.version if head else None,
            delta_version=delta_version,
            files=files,
            tables=lake.tables.versions(),
            contract=contract,
            counts=counts,
            **about,
        )
        if _write(lake, manifest):
            return Published(manifest, new=True)
        time.sleep(random.uniform(0.01, 0.1))  # noqa: S311
    raise LakeError(
        f"{name} was being published by others {_TRIES} times in a row; run the same command again"
    )


def list_releases(lake: Lake, name: str | None = None) -> list[Manifest]:
    """Every release of the data set, or of all, by name and version."""
    return _read_all(lake, [key for keys in _keys(lake, name).values() for key in keys])


def newest_releases(lake: Lake) -> list[Manifest]:
    """The newest release of every data set, by name."""
    return _read_all(lake, [keys[-1] for keys in _keys(lake).values()])


def newest_release(lake: Lake, name: str) -> Manifest | None:
    """The newest release of one data set; None where there is none."""
    return _found(lake, name, None)


def find_release(lake: Lake, which: str) -> Manifest:
    """The release that `demo` (newest), `demo@1`, `demo@v1` or `demo@v000001` names.

    Raises `UsageError` that says what there is."""
    name, at, number = which.partition("@")
    if at and not re.fullmatch(r"v?\d{1,9}", number):
        raise UsageError(f"{which!r} names no release; write NAME or NAME@VERSION, as in demo@1")
    if re.fullmatch(SAFE_NAME, name):
        found = _found(lake, name, int(number.removeprefix("v")) if at else None)
        if found is not None:
            return found
    released = list_releases(lake, name) if re.fullmatch(SAFE_NAME, name) else []
    if not released:
        raise UsageError(f"there is no data set {name!r} in {lake.uri}; {_names(lake, name)}")
    there = ", ".join(manifest.label for manifest in released[-5:])
    more = "" if len(released) <= 5 else f" (and {len(released) - 5} older)"
    raise UsageError(f"there is no release {which}; there are {there}{more}")


def _found(lake: Lake, name: str, version: int | None) -> Manifest | None:
    """One release without a look at the others: of ten thousand the oldest costs the same."""
    if version is None:
        return next(iter(_read_all(lake, _keys(lake, name).get(name, [])[-1:])), None)
    key = manifest_key(name, version)
    content = lake.store.read(key)
    return None if content is None else _manifest(lake, key, content)


def dataset_key(name: str) -> str:
    """Where a data set's Delta table lives in the lake."""
    return f"datasets/{name}"


def manifest_key(name: str, version: int) -> str:
    """Where a release's manifest lives in the lake."""
    return f"releases/{name}/v{version:06d}.json"


def card_key(name: str, version: int) -> str:
    """Where a release's data card lives in the lake, for people; the manifest can make it again."""
    return f"releases/{name}/v{version:06d}.md"


def _already(released: list[Manifest], run_id: str, content: str) -> Manifest | None:
    """The newest release if it has this content, else an older one of this very run."""
    for manifest in reversed(released):
        if manifest.content_hash == content and (
            manifest is released[-1] or manifest.run_id == run_id
        ):
            return manifest
    return None


def _commit(lake: Lake, name: str, rows: Rows, app_id: str, facts: dict[str, str]) -> int:
    key = dataset_key(name)
    commit_once(lake.store, key, RECORDS, rows, mode="overwrite", app_id=app_id, metadata=facts)
    version = version_of(lake.store, key, app_id)
    if version is None:
        raise LakeError(f"{lake.store.uri(key)} lost the commit {app_id}; was it rolled back?")
    return version


def _files(lake: Lake, name: str, delta_version: int) -> tuple[ReleasedFile, ...]:
    key = dataset_key(name)
    table = open_table(lake.store, key, delta_version)
    if table is None:
        raise LakeError(f"{lake.store.uri(key)} is gone")
    files, sizes = [], sizes_of(table)
    for file, rows in files_of(table):
        path = f"{key}/{file}"
        digest = lake.store.digest(path)
        if digest is None:
            raise LakeError(f"{lake.store.uri(path)} is gone; publish again")
        if digest[1] != sizes[file]:
            raise LakeError(
                f"{lake.store.uri(path)} came back with {digest[1]} bytes, written were "
                f"{sizes[file]}; nothing was published: run the same command again"
            )
        files.append(ReleasedFile(path=path, sha256=digest[0], bytes=digest[1], rows=rows))
    return tuple(files)


def _write(lake: Lake, manifest: Manifest) -> bool:
    key = manifest_key(manifest.name, manifest.version)
    data = manifest.model_dump_json(indent=2).encode()
    # A put whose answer was lost is repeated by boto3 and then refused: what stands there is ours.
    return lake.store.create(key, data) or lake.store.read(key) == data


def _keys(lake: Lake, name: str | None = None) -> dict[str, list[str]]:
    """Keys of the manifests of each data set, oldest first."""
    found: dict[str, list[tuple[int, str]]] = {}
    for key in lake.store.list(f"releases/{name}/" if name else "releases/"):
        if match := _MANIFEST_KEY.match(key):
            found.setdefault(match[1], []).append((int(match[2]), key))
    return {name: [key for _, key in sorted(keys)] for name, keys in sorted(found.items())}


def _read_all(lake: Lake, keys: list[str]) -> list[Manifest]:
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda key: _read(lake, key), keys))


def _read(lake: Lake, key: str) -> Manifest:
    return _manifest(lake, key, lake.store.read(key) or b"")


def _manifest(lake: Lake, key: str, content: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise LakeError(
            f"{lake.store.uri(key)} is not a release's manifest ({field}: {first['msg']}); "
            "restore it from a copy"
        ) from error


def _names(lake: Lake, wanted: str) -> str:
    names = sorted({manifest.name for manifest in list_releases(lake)})
    if not names:
        return "nothing was released yet; `cord run RECIPE` does"
    near = difflib.get_close_matches(wanted, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
