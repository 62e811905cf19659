"""Releases: commits that lack their manifest, manifests that cannot be right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from cord.inspection.census import Census
from cord.inspection.delta_log import Commit, log_key
from cord.inspection.finding import Complete, Finding, FinishRelease, some
from cord.lake.releases.manifest import Manifest
from cord.lake.releases.release import dataset_key
from cord.lake.tables.table import table_key

_MANIFEST = re.compile(r"^releases/([^/]+)/v(\d{6,})\.json$")
FACTS = ("run_id", "recipe", "content_hash", "counts", "contract")
"""What a release's commit says of itself, and a manifest can be made of."""


@dataclass(frozen=True, slots=True)
class _DataSet:
    name: str
    manifests: tuple[Manifest, ...]
    """That can be read, oldest first."""
    damaged: tuple[str, ...]
    commits: tuple[Commit, ...]
    """That hold a release's rows."""


def inspect_releases(census: Census) -> Iterator[Finding]:
    """Findings in `releases/` and in the logs of `datasets/`."""
    for dataset in _datasets(census):
        for key in dataset.damaged:
            yield Finding(
                "damaged manifest",
                key,
                f"a release of {dataset.name} cannot be read, so that no command can list them",
                "restore it from a copy; where there is none and it is the newest, remove it: "
                "`cord verify --lake --repair` then makes it anew from its commit",
                census.written_at(key),
            )
        yield from _of_numbers(census, dataset)
        for manifest in dataset.manifests:
            yield from _of_manifest(census, manifest)
        if not dataset.damaged:  # one of which may be the manifest that is looked for
            yield from _unpublished(census, dataset)


def _datasets(census: Census) -> Iterator[_DataSet]:
    keys: dict[str, list[str]] = {}
    for key in census.entries:
        if match := _MANIFEST.match(key):
            keys.setdefault(match[1], []).append(key)
    names = {table.partition("/")[2] for table in census.logs if table.startswith("datasets/")}
    for name in sorted(names | set(keys)):
        read = {key: _manifest(census, key) for key in sorted(keys.get(name, []))}
        log = census.logs.get(dataset_key(name))
        yield _DataSet(
            name,
            tuple(sorted((m for m in read.values() if m), key=lambda m: m.version)),
            tuple(key for key, manifest in read.items() if manifest is None),
            tuple(c for c in log.commits if set(FACTS) <= set(c.facts)) if log else (),
        )


def _manifest(census: Census, key: str) -> Manifest | None:
    """None where it cannot be read, or is another one's."""
    try:
        manifest = Manifest.model_validate_json(census.lake.store.read(key) or b"")
    except ValidationError:
        return None
    match = _MANIFEST.match(key)
    is_own = match and (manifest.name, manifest.version) == (match[1], int(match[2]))
    return manifest if is_own else None


def _of_numbers(census: Census, dataset: _DataSet) -> Iterator[Finding]:
    damaged = {int(match[2]) for key in dataset.damaged if (match := _MANIFEST.match(key))}
    there = damaged | {manifest.version for manifest in dataset.manifests}
    missing = sorted(set(range(1, max(there, default=0))) - there)
    if missing:
        yield Finding(
            "missing releases",
            f"releases/{dataset.name}/",
            f"there are later versions, and no manifest of {some([f'v{n}' for n in missing])}",
            "restore the manifests from a copy; numbers are never given twice",
        )
    for manifest in dataset.manifests:
        before = manifest.version - 1 or None
        if manifest.parent != before:
            yield Finding(
                "release with a wrong parent",
                _key(manifest),
                f"it names version {manifest.parent} as the one before it, which is {before}",
                "restore the manifest from a copy: it was changed",
                manifest.created_at,
            )


def _of_manifest(census: Census, manifest: Manifest) -> Iterator[Finding]:
    wanted = {file.path: file.bytes for file in manifest.files}
    gone = census.gone(dataset_key(manifest.name), wanted)
    other = [
        path
        for path, size in wanted.items()
        if path in census.entries and census.entries[path].bytes != size
    ]
    pinned = {dataset_key(manifest.name): manifest.delta_version} | {
        table_key(table): version for table, version in manifest.tables.items()
    }
    logs = [
        key
        for table, version in pinned.items()
        for key in census.gone(table, [log_key(table, version)])
    ]
    for what, keys in (("is missing", gone), ("has another size", other), ("is missing", logs)):
        if keys:
            yield Finding(
                "damaged release",
                _key(manifest),
                f"of what {manifest.label} stands on, {some(keys)} {what}",
                f"restore from a copy; `cord verify {manifest.label}` tells more",
                manifest.created_at,
            )
    run = census.runs.get(manifest.run_id)
    if run is not None and run.state != "completed":
        yield Finding(
            "run not closed",
            f"runs/{run.run_id}/run.json",
            f"its records are released as {manifest.label}, and it says `{run.state}`",
            f"`cord resume {run.run_id}` closes it",
            manifest.created_at,
            run.run_id,
            Complete(run.run_id, manifest.label),
        )


def _unpublished(census: Census, dataset: _DataSet) -> Iterator[Finding]:
    """Commits that no manifest stands for, and that are no second copy of one that has."""
    released = {manifest.delta_version for manifest in dataset.manifests}
    for commit in dataset.commits:
        run_id = str(commit.facts["run_id"])
        if commit.version in released or _is_settled(census, dataset.manifests, commit.facts):
            continue
        if run_id not in census.known and commit.at is not None and census.is_young(commit.at):
            continue  # whoever committed it may be about to write the manifest
        yield Finding(
            "commit without release",
            log_key(dataset_key(dataset.name), commit.version),
            f"run {run_id} committed records of {dataset.name}, and no manifest was written",
            f"`cord resume {run_id}` publishes them",
            commit.at,
            run_id,
            FinishRelease(dataset.name, commit.version) if _is_usable(commit.facts) else None,
        )


def _is_settled(census: Census, manifests: Sequence[Manifest], facts: Mapping[str, Any]) -> bool:
    """Whether publishing would do nothing, or has done nothing: of two runs that publish the same
    records at once, one gets the release and the other's commit stands for nothing."""
    same = [m for m in manifests if m.content_hash == facts["content_hash"]]
    run = census.runs.get(str(facts["run_id"]))
    closed = run is not None and run.state == "completed"
    return any(m is manifests[-1] or m.run_id == facts["run_id"] or closed for m in same)


def _is_usable(facts: Mapping[str, Any]) -> bool:
    try:
        counts, contract = json.loads(facts["counts"]), json.loads(facts["contract"])
    except (ValueError, TypeError):
        return False
    return isinstance(counts, dict) and isinstance(contract, dict)


def _key(manifest: Manifest) -> str:
    return f"releases/{manifest.name}/v{manifest.version:06d}.json"
