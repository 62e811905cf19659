"""What a shard costs an S3 server: requests by kind, and bytes, shard by shard and in a batch.

moto behind a proxy that sees every request (`benchmarks.faulty_s3`); 8 shards of 4 problems, by the
factory's own tasks with models that answer at once. `docs/scale.md` reckons with these.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

from benchmarks.chaos.servers import moto
from benchmarks.faulty_s3 import FaultyS3
from benchmarks.figures import Figure, at_most
from benchmarks.service.cheap_run import answer_at_once, lay_down, not_shown

SHARDS, PROBLEMS = 8, 4
RUN = "counted"
WAYS = ("one by one", "in a batch")
_LISTS = re.compile(r"GET /[^/?]+/?\?.*(list-type|prefix)=")


def run(quick: bool) -> list[Figure]:
    """Count; `quick` is the same."""
    with tempfile.TemporaryDirectory(prefix="cord-units-") as place:
        server = moto(Path(place) / "moto")
        server.start()
        try:
            with FaultyS3(server.endpoint) as proxy:
                os.environ.update(server.environment_for_runs(), AWS_ENDPOINT_URL=proxy.endpoint)
                return _counted(Path(place), proxy)
        finally:
            server.kill()


def _counted(place: Path, proxy: FaultyS3) -> list[Figure]:
    import boto3

    answer_at_once()
    from flows.launch import prepare
    from tasks import artifacts
    from tasks.batch import carry_out_batch
    from tasks.decode import decode_shard
    from tasks.shard import shard_problems
    from tasks.verify import verify_shard

    artifacts.table = artifacts.page = not_shown
    figures = []
    for how in WAYS:
        name = how.replace(" ", "-")
        folder = place / name
        lay_down(folder, SHARDS, PROBLEMS)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=name)
        launch = prepare(folder / "recipe.yaml", f"s3://{name}/lake", RUN, {})
        assert launch.hold is not None
        with closing(launch.hold):
            shards = shard_problems.fn(launch.lake_uri, RUN)["shards"]
            begun = len(proxy.seen)
            if how == "one by one":
                for shard in shards:
                    decoded = decode_shard.fn(launch.lake_uri, RUN, shard)
                    verify_shard.fn(launch.lake_uri, RUN, decoded)
            else:
                carry_out_batch.fn(launch.lake_uri, RUN, shards)
            kinds = Counter(map(_kind, proxy.seen[begun:]))
        told = ", ".join(f"{n / SHARDS:.1f} {kind}" for kind, n in sorted(kinds.items()))
        left = launch.lake.store.entries()
        print(f"{how}: a shard of {PROBLEMS} problems asks {told}", flush=True)
        print(f"  {len(left)} objects are left, {sum(e.bytes for e in left.values())} bytes")
        asked = sum(kinds.values()) / SHARDS
        figures.append(at_most(f"S3 requests a shard, {how}", asked, 400.0, "requests"))
    return figures


def _kind(seen: str) -> str:
    method = seen.partition(" ")[0]
    if method == "GET":
        return "LIST" if _LISTS.match(seen) else "GET"
    return method
