"""Several shards as one task run: the same rows as shard by shard, and when one fails, each for
itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from factory import STARTER

from cord.errors import LakeError
from cord.inspection.delta_log import log_key
from cord.lake import Lake
from cord.lake.runs.progress import shard_states
from cord.lake.runs.shard_notes import shard_notes
from cord.lake.runs.staging import staged_key
from cord.lake.tables.query import query
from cord.miniature.problems import distinct
from flows.launch import prepare
from tasks import artifacts
from tasks.batch import TASK_RUNS, carry_out_batch, in_batches, shards_together
from tasks.decode import decode_shard
from tasks.shard import shard_problems
from tasks.verify import verify_shard

pytestmark = pytest.mark.slow

RUN = "batched"
SHARDS = [0, 1, 2]


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """A run of three problems in three shards, ready to be decoded."""
    for shown in ("table", "page"):
        monkeypatch.setattr(artifacts, shown, lambda *_: None)
    lines = [
        {"question": one.question, "answer": one.answer} for one in distinct("demo", 3, seed=5)
    ]
    (tmp_path / "problems.jsonl").write_text("\n".join(map(json.dumps, lines)))
    recipe = {**STARTER, "run": {"seed": 7, "shards": 3}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    launch = prepare(tmp_path / "recipe.yaml", str(tmp_path / "lake"), RUN, {})
    assert launch.hold is not None
    with closing(launch.hold):
        assert shard_problems.fn(launch.lake_uri, RUN)["shards"] == SHARDS
        yield launch.lake


def test_a_batch_gives_what_its_shards_give_one_by_one(planned: Lake, tmp_path: Path) -> None:
    told = carry_out_batch.fn(planned.uri, RUN, SHARDS)
    assert told["shards"] == "0 to 2"
    assert told["decoded"] == 3
    judged = query(planned, "select * from verdicts").num_rows
    assert told["correct"] + told["wrong"] + told["undecided"] == judged >= 3
    assert planned.store.read(log_key("tables/trajectories", 1)), "one commit"
    assert planned.store.read(log_key("tables/trajectories", 2)) is None
    assert planned.store.list("journals/") == planned.store.list(f"runs/{RUN}/shards/") == []
    again = carry_out_batch.fn(planned.uri, RUN, SHARDS)
    assert again["decoded"] == again["correct"] == 0, "the lake had it all"

    (tmp_path / "alone").mkdir()
    for name in ("recipe.yaml", "problems.jsonl"):
        (tmp_path / "alone" / name).write_bytes((tmp_path / name).read_bytes())
    alone = prepare(tmp_path / "alone/recipe.yaml", str(tmp_path / "alone/lake"), RUN, {})
    assert alone.hold is not None
    with closing(alone.hold):
        shard_problems.fn(alone.lake_uri, RUN)
        for shard in SHARDS:
            verify_shard.fn(alone.lake_uri, RUN, decode_shard.fn(alone.lake_uri, RUN, shard))
    for table in ("steps", "trajectories", "costs", "verdicts"):
        varies = " exclude (seconds, cached_tokens)" if table in ("steps", "costs") else ""
        sql = f"select *{varies} from {table} order by all"
        ours, theirs = (query(lake, sql).to_pylist() for lake in (planned, alone.lake))
        assert ours == theirs, table


def test_a_shard_that_fails_is_noted_by_itself_and_tried_again_by_itself(planned: Lake) -> None:
    planned.store.write(staged_key(RUN, 1), b"{}")
    with pytest.raises(LakeError, match=r"00001\.json in the lake is damaged"):
        carry_out_batch.fn(planned.uri, RUN, SHARDS)
    states = {state.index: (state.decoded, state.verified) for state in shard_states(planned, RUN)}
    assert states == {0: (True, True), 1: (False, False), 2: (True, True)}
    assert list(shard_notes(planned, RUN)) == [1]

    planned.store.delete([staged_key(RUN, 1)])
    told = carry_out_batch.fn(planned.uri, RUN, SHARDS)
    assert told["decoded"] == 1, "only what is missing"
    assert all(state.decoded and state.verified for state in shard_states(planned, RUN))
    assert shard_notes(planned, RUN) == {}
    twice = "select key, rank from trajectories group by all having count(*) > 1"
    assert query(planned, twice).num_rows == 0


@pytest.mark.parametrize(
    ("shards", "problems", "together"),
    [
        (TASK_RUNS, TASK_RUNS, 1),
        (TASK_RUNS + 1, TASK_RUNS + 1, 16),
        (10_000, 10_000, 40),
        (10_000, 80_000, 8),
        (10_000, 1_000_000, 1),
    ],
)
def test_small_shards_go_together_where_they_are_many(
    shards: int, problems: int, together: int
) -> None:
    assert shards_together(shards, problems) == together
    batches = in_batches(range(shards), together)
    assert [shard for batch in batches for shard in batch] == list(range(shards))
