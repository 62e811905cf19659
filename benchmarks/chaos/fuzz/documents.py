"""Whatever stands in one of the lake's small documents, edited by hand or half lost: it is read, or
one sentence says what to do about it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from hypothesis import strategies as st

from benchmarks.chaos.fuzz.mutation import near_json, torn, written
from benchmarks.chaos.fuzz.recipes import RECIPES
from benchmarks.chaos.fuzz.trying import Property
from cord.engines.metering import Work
from cord.engines.vllm.metrics import Counters
from cord.errors import CordError
from cord.lake import Lake, open_lake
from cord.lake.releases.manifest import Manifest, ReleasedFile
from cord.lake.releases.release import list_releases, newest_releases
from cord.lake.runs.holder import this_process
from cord.lake.runs.lease import Lease, Leases, moment
from cord.lake.runs.run import (
    RunDocument,
    list_runs,
    load_recipe_of,
    load_run,
    save_recipe,
    save_run,
)
from cord.lake.runs.shard_notes import ShardNote, leave_note, shard_notes
from cord.lake.runs.staging import DecodedShard, load_staged, stage
from cord.recipe import Recipe
from cord.usage import Usage, usage_of

THEN = datetime(2026, 11, 24, 12, tzinfo=UTC)
NAMES = (
    "run_id",
    "recipe",
    "state",
    "created_at",
    "files",
    "version",
    "holder",
    "askers",
    "format",
)
SNIPPETS = (
    *(b"\x00", b"\xff", b"[" * 3000, b'{"a":' * 2000, b"NaN", b"1e999", b"9" * 5000, b"\\ud800"),
    *(b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-12:00", b"-", b'"', b"{", b"}", b"null"),
)


@dataclass(frozen=True)
class Edited:
    """A document's key in the lake, and what stands there instead."""

    key: str
    content: bytes


@cache
def _lake() -> tuple[Lake, dict[str, bytes]]:
    """A lake of small documents, and what stands in each."""
    lake = open_lake(tempfile.mkdtemp(prefix="cord-fuzz-"), create=True)
    run = RunDocument(run_id="r", recipe="s", fingerprint="f", created_at=THEN, quarantined=1)
    save_run(lake, run)
    save_recipe(lake, "r", Recipe.model_validate_json(json.dumps(RECIPES[1])), "/somewhere")
    leave_note(
        lake,
        "r",
        ShardNote(
            shard=0, stage="decode", attempt=1, attempts=3, will_retry=True, at=THEN, error="no"
        ),
    )
    stage(lake, "r", 0, DecodedShard([], [], [], []))
    lease = Lease(holder=this_process(), nonce="n", taken_at=THEN, renewed_at=THEN, expires_at=THEN)
    lake.store.write("runs/r/lease/000001.json", lease.model_dump_json().encode())
    usage = Usage(written_at=THEN, askers={"a": Work()}, servers={"s": Counters(1, 2, 3, 4)})
    lake.store.write("runs/r/usage/p.json", usage.model_dump_json().encode())
    manifest = Manifest(
        name="s",
        version=1,
        run_id="r",
        recipe="f",
        rows=1,
        content_hash="c",
        created_at=THEN,
        parent=None,
        delta_version=0,
        files=(ReleasedFile(path="datasets/s/x.parquet", sha256="0" * 64, bytes=1, rows=1),),
        tables={"steps": 1},
        contract={},
        counts={"records": 1},
    )
    lake.store.write("releases/s/v000001.json", manifest.model_dump_json().encode())
    return lake, {key: lake.store.read(key) or b"" for key in lake.store.list()}


@st.composite
def edited_documents(draw: st.DrawFn) -> Edited:
    """One document, edited in its values or in its letters."""
    documents = _lake()[1]
    key = draw(st.sampled_from(sorted(documents)))
    right = documents[key]
    if draw(st.booleans()):
        return Edited(key, written(draw(near_json(json.loads(right), NAMES))))
    return Edited(key, draw(torn(right, SNIPPETS) | st.binary(max_size=20)))


def _read_lease(lake: Lake) -> None:
    leases = Leases(lake.store, "r")
    leases.refuse()
    if (lease := leases.living()) is not None:
        moment(lease.expires_at)


LOOKS: tuple[Callable[[Lake], Any], ...] = (
    lambda lake: open_lake(lake.uri),
    list_runs,
    lambda lake: load_run(lake, "r"),
    lambda lake: load_recipe_of(lake, "r"),
    lambda lake: usage_of(lake, "r").model_dump_json(),
    lambda lake: load_staged(lake, "r", 0),
    _read_lease,
    lambda lake: [note.sentence for note in shard_notes(lake, "r", THEN).values()],
    list_releases,
    newest_releases,
)


def it_is_read_or_a_sentence_says_why_not(edited: Edited) -> None:
    """Every look at the lake, with this document in it."""
    lake, documents = _lake()
    lake.store.write(edited.key, edited.content)
    try:
        for look in LOOKS:
            try:
                look(lake)
            except CordError as error:
                _check_sentence(str(error))
    finally:
        lake.store.write(edited.key, documents[edited.key])


def _check_sentence(said: str) -> None:
    said.encode()
    assert 0 < len(said) < 2000


PROPERTIES = (
    Property(
        "the lake's documents",
        "each is read, or a sentence says what to do",
        st.deferred(edited_documents),
        it_is_read_or_a_sentence_says_why_not,
        share=0.1,
    ),
)
