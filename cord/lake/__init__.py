"""The lake: everything a run made, on a folder or under `s3://bucket/prefix`.

    lake.json                   which layout this is
    tables/NAME                 Delta tables that runs append to          (tables/)
    datasets/NAME               one Delta table a data set, one commit a release
    releases/NAME/v000001.json  immutable manifests                       (releases/)
    runs/RUN/...                recipes, journals, reports
    evaluations/...             answers of models to benchmarks           (evaluations)

`open_lake` is the door. The lake knows nothing of the search that fills it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from cord.errors import LakeError
from cord.lake.stores.store import Store, open_store
from cord.lake.tables.table import Tables

__all__ = ["FORMAT", "Lake", "open_lake"]

FORMAT = 2
"""Version of the layout above and of the tables' columns. Another one is refused, not guessed at.
2: what proposals cost, and who was missing."""

_MARKER = "lake.json"


@dataclass(frozen=True)
class Lake:
    """An open lake."""

    store: Store
    tables: Tables = field(repr=False)

    @property
    def uri(self) -> str:
        """Its address, as the user knows it."""
        return self.store.root


def open_lake(uri: str, create: bool = False) -> Lake:
    """The lake at `uri`; with `create` an absent one is made.

    Raises `LakeError` where there is none, where it has another version, where the place holds
    something else already, or where it cannot be reached or written."""
    store = open_store(uri)
    marker = store.read(_MARKER)
    if marker is None and create:
        marker = _make(store)
    if marker is None:
        raise LakeError(
            f"there is no lake at {store.root}; `cord run RECIPE --lake {store.root}` makes one, "
            "or name another with --lake or CORD_LAKE"
        )
    _check(store, marker)
    return Lake(store, Tables(store))


def _make(store: Store) -> bytes:
    strange = [key for key in store.list() if not key.startswith(".")]
    # Another process may have made the lake since we looked.
    if strange and (marker := store.read(_MARKER)) is not None:
        return marker
    if strange:
        raise LakeError(
            f"{store.root} is not empty and not a lake (it holds {strange[0]!r}); choose an empty "
            "place, or name the lake that you meant with --lake or CORD_LAKE"
        )
    marker = json.dumps(
        {
            "format": FORMAT,
            "made_by": f"cord {_own_version()}",
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        indent=2,
    ).encode()
    store.create(_MARKER, marker)
    if store.create(_MARKER, marker + b"\n"):
        raise LakeError(
            f"the server behind {store.root} ignores If-None-Match, so two releases at once could "
            "overwrite each other; use an S3 server that keeps conditional puts"
        )
    return store.read(_MARKER) or marker


def _check(store: Store, marker: bytes) -> None:
    try:
        found = json.loads(marker)
        layout, maker = found["format"], str(found.get("made_by", "unknown"))[:60]
        if not isinstance(layout, int):
            raise TypeError("its format is no number")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LakeError(
            f"{store.uri(_MARKER)} is not a lake's marker ({error}); restore it, or choose another "
            "place with --lake"
        ) from error
    if layout != FORMAT:
        raise LakeError(
            f"the lake {store.root} has format {layout}, and this cord reads format {FORMAT}; use "
            f"the cord that made it ({maker}), or choose another place "
            "with --lake"
        )


def _own_version() -> str:
    try:
        return version("cord-factory")
    except PackageNotFoundError:
        return "(not installed)"
