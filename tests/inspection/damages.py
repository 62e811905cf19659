"""All that can lie wrongly in a lake that holds one completed run (`a_run`), made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inspection.a_run import (
    NAME,
    RUN,
    SEARCH,
    append,
    document,
    released,
    shard_steps,
    staged_shard,
    verdict,
)

from cord.journal import Header, header_line
from cord.lake import Lake
from cord.lake.runs.journals import journal_folder
from cord.lake.runs.run import require_run, save_run
from cord.lake.runs.staging import stage

OTHER = "demo-2"


@dataclass(frozen=True)
class Damage:
    """What was done to the lake, and what must be said of it."""

    do: Callable[[Lake], object]
    found: frozenset[str]
    """At once, or when the first things were mended."""
    left: frozenset[str] = frozenset()
    """What a repair leaves to a person."""


def damage(do: Callable[[Lake], object], *found: str, left: tuple[str, ...] = ()) -> Damage:
    return Damage(do, frozenset(found), frozenset(left))


def _state(lake: Lake, state: str) -> None:
    save_run(lake, require_run(lake, RUN).model_copy(update={"state": state}))


def _garble(key: str, content: bytes = b'{"torn') -> Callable[[Lake], object]:
    return lambda lake: lake.store.write(key, content)


def _remove(prefix: str) -> Callable[[Lake], object]:
    return lambda lake: lake.store.delete(lake.store.list(prefix)[-1:])


def _journal(lake: Lake, run_id: str, shard: int, more: bytes = b"") -> None:
    key = f"{journal_folder(SEARCH, run_id, shard)}w-000001.jsonl"
    header = header_line(Header(cord="1", run_id=run_id, engines={}))
    lake.store.write(key, header + more)


def _other_run(lake: Lake, state: str = "interrupted") -> None:
    """A run beside it that has planned one problem and decided nothing."""
    save_run(lake, document(OTHER, state=state))
    lake.store.write(f"runs/{OTHER}/recipe.json", lake.store.read(f"runs/{RUN}/recipe.json") or b"")
    problem = {"problem_id": "q", "question": "1+1?", "answer": "2", "key": "k-q", "shard": 0}
    append(lake, "problems", [problem], OTHER, f"{OTHER}/plan")


def _partly(tables: int) -> Callable[[Lake], object]:
    """A shard of another run is staged, and in so many of its tables."""

    def do(lake: Lake) -> None:
        _other_run(lake)
        for _, step in list(shard_steps(lake, OTHER, 0))[: 2 + tables]:
            step()

    return do


def _torn(lake: Lake) -> None:
    _partly(1)(lake)
    lake.store.delete([f"runs/{OTHER}/shards/00000.json"])


def _rewrite_manifest(**changes: object) -> Callable[[Lake], object]:
    def do(lake: Lake) -> None:
        manifest = released(lake).model_copy(update=changes)
        key = f"releases/{NAME}/v000001.json"
        lake.store.write(key, manifest.model_dump_json(indent=2).encode())

    return do


def _gap(lake: Lake) -> None:
    manifest = released(lake).model_copy(update={"version": 3, "parent": 2})
    lake.store.write(f"releases/{NAME}/v000003.json", manifest.model_dump_json().encode())


def _twice(lake: Lake) -> None:
    append(lake, "verdicts", [verdict("p0", "correct")], RUN, "blind/again")


def _unjudged(lake: Lake) -> None:
    row = {"problem_id": "p9", "key": "k-p9", "rank": 0, "answer": "2"}
    append(lake, "trajectories", [row], RUN, "blind/trajectory")


def _undecided(lake: Lake) -> None:
    row = {"problem_id": "p9", "question": "?", "answer": "2", "key": "k-p9", "shard": 0}
    append(lake, "problems", [row], RUN, "blind/plan")


def _miscounted(lake: Lake) -> None:
    save_run(lake, require_run(lake, RUN).model_copy(update={"quarantined": 1, "wrong": 2}))


DAMAGES: dict[str, Damage] = {
    "a run that died": damage(lambda lake: _other_run(lake, "running"), "dead run"),
    "released, not closed": damage(lambda lake: _state(lake, "failed"), "run not closed"),
    "released, and says running": damage(
        lambda lake: _state(lake, "running"), "dead run", "run not closed"
    ),
    "no summary": damage(_remove(f"runs/{RUN}/summary.json"), "run without summary"),
    "torn summary": damage(
        _garble(f"runs/{RUN}/summary.json"), "damaged document", "run without summary"
    ),
    "torn counts": damage(_garble(f"runs/{RUN}/counts.json"), "damaged document"),
    "torn usage": damage(_garble(f"runs/{RUN}/usage/host-1.json"), "damaged document"),
    "torn contract": damage(_garble(f"runs/{RUN}/contracts/records.json"), "damaged document"),
    "torn lease": damage(_garble(f"runs/{RUN}/lease/000009.json"), "damaged document"),
    "torn recipe": damage(
        _garble(f"runs/{RUN}/recipe.json"), "damaged document", left=("run without recipe",)
    ),
    "another version's recipe": damage(
        _garble(f"runs/{RUN}/recipe.json", b'{"folder": "/", "recipe": {"new": 1}}'),
        "unusable document",
        left=("unusable document",),
    ),
    "no recipe": damage(
        _remove(f"runs/{RUN}/recipe.json"), "run without recipe", left=("run without recipe",)
    ),
    "torn run document": damage(
        _garble(f"runs/{RUN}/run.json"),
        "damaged run document",
        left=("rows of an unknown run", "files of an unknown run"),
    ),
    "another run's document": damage(
        lambda lake: lake.store.write(
            f"runs/{RUN}/run.json", document("else").model_dump_json().encode()
        ),
        "damaged run document",
        left=("rows of an unknown run", "files of an unknown run"),
    ),
    "no run document": damage(
        _remove(f"runs/{RUN}/run.json"),
        "rows of an unknown run",
        "files of an unknown run",
        left=("rows of an unknown run", "files of an unknown run"),
    ),
    "staged, not committed": damage(_partly(0), "shard not committed"),
    "in one table": damage(_partly(1), "shard committed in part"),
    "in three tables": damage(_partly(3), "shard committed in part"),
    "in all tables": damage(_partly(4), "staged shard left over", "journal left over"),
    "in one table, nothing staged": damage(
        _torn, "tables disagree about a shard", left=("tables disagree about a shard",)
    ),
    "staged shard left": damage(
        lambda lake: stage(lake, RUN, 0, staged_shard(RUN, 0)), "staged shard left over"
    ),
    "torn staged shard": damage(
        lambda lake: [_other_run(lake), _garble(f"runs/{OTHER}/shards/00001.json")(lake)],
        "damaged staged shard",
    ),
    "staged shard of nobody": damage(
        lambda lake: stage(lake, "nobody", 0, staged_shard("nobody", 0)),
        "staged shard of an unknown run",
        "files of an unknown run",
        left=("staged shard of an unknown run", "files of an unknown run"),
    ),
    "journal left": damage(lambda lake: _journal(lake, RUN, 1), "journal left over"),
    "journal of nobody": damage(
        lambda lake: _journal(lake, "nobody", 0),
        "journal of an unknown run",
        left=("journal of an unknown run",),
    ),
    "torn journal": damage(
        lambda lake: [_other_run(lake), _journal(lake, OTHER, 0, b"garbage\n")],
        "damaged journal",
        left=("damaged journal",),
    ),
    "no manifest": damage(_remove("releases/"), "commit without release"),
    "torn manifest": damage(
        _garble(f"releases/{NAME}/v000001.json"), "damaged manifest", left=("damaged manifest",)
    ),
    "a gap": damage(_gap, "missing releases", left=("missing releases",)),
    "a wrong parent": damage(
        _rewrite_manifest(parent=7), "release with a wrong parent",
        left=("release with a wrong parent",),
    ),
    "a version that is not there": damage(
        _rewrite_manifest(delta_version=9), "damaged release", left=("damaged release",),
    ),
    "rows twice": damage(
        _twice, "rows that are there twice", left=("rows that are there twice",)
    ),
    "a trajectory without verdict": damage(_unjudged, "incomplete run", left=("incomplete run",)),
    "a problem undecided": damage(_undecided, "incomplete run", left=("incomplete run",)),
    "counts that are not so": damage(_miscounted, "incomplete run", left=("incomplete run",)),
    "an orphan": damage(
        _garble("tables/steps/part-00000-dead.zstd.parquet", b"PAR1"), "orphan files"
    ),
    "a file gone": damage(
        _remove("tables/costs/part-"), "damaged table", "unreadable tables",
        left=("damaged table", "unreadable tables"),
    ),
    "a torn commit": damage(
        _garble("tables/costs/_delta_log/00000000000000000001.json"),
        "damaged table", "unreadable tables", left=("damaged table", "unreadable tables"),
    ),
}  # fmt: skip
