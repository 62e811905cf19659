"""What makes two things the same: canonical bytes and their hash.

Everything in the lake is named by a hash of what made it. The same value must give the same bytes
in every process and on every machine, so a value without one stable JSON form (a set, an object,
NaN) is refused instead of being guessed at. What a thing *is* (models, seed, search settings,
problem texts) goes in; how it was made (folders, shard counts, hosts) never does.
"""

from __future__ import annotations

import json
from hashlib import sha256


def canonical_bytes(value: object) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8.

    Raises TypeError or ValueError for what has no stable form."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode("utf-8", "surrogatepass")


def fingerprint(value: object) -> str:
    """64 hexadecimal digits that name `value`."""
    return sha256(canonical_bytes(value)).hexdigest()
