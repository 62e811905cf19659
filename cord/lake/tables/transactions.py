"""Which application transactions a Delta table has seen, all of them at once.

deltalake answers for one app id by going through the whole log (1.2 ms where 900 commits are,
10 ms where 10,000 are: measured, 1.6.6), so that to ask for each of N shards costs N squared. Here
the newest checkpoint's `txn` column and the log entries behind it are read once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cord.lake.stores.store import Store

_READERS: Final = 16
_LOG: Final = re.compile(r"/(\d{20})\.(json|checkpoint\.parquet)$")


def seen_app_ids(store: Store, key: str) -> set[str]:
    """Every app id that was committed to the table at `key`; none where there is no table.

    What was committed before the call is among them. Raises `LakeError`."""
    commits: dict[int, str] = {}
    checkpoints: dict[int, str] = {}
    for entry in store.list(f"{key}/_delta_log/"):
        if match := _LOG.search(entry):
            (commits if match[2] == "json" else checkpoints)[int(match[1])] = entry
    newest = max(checkpoints, default=-1)
    seen = set(_of_checkpoint(store, checkpoints[newest])) if checkpoints else set()
    behind = [entry for version, entry in commits.items() if version > newest]
    with ThreadPoolExecutor(_READERS) as pool:
        for content in pool.map(store.read, behind):
            seen.update(_of_entry(content or b""))
    return seen


def _of_checkpoint(store: Store, entry: str) -> list[str]:
    content = store.read(entry) or b""
    told = pq.read_table(pa.BufferReader(content), columns=["txn"])["txn"].combine_chunks()
    ids = pc.struct_field(told, "appId").drop_null()
    return [str(app_id) for app_id in ids.to_pylist()]


def _of_entry(content: bytes) -> Iterator[str]:
    for line in content.splitlines():
        if b'"txn"' in line and (transaction := json.loads(line).get("txn")):
            yield str(transaction["appId"])
