"""One seed for each request, derived and never drawn.

A request's seed is a hash of what the request *is* (run seed, problem, round, place in the beam,
teacher), not of when it was made, so that the same recipe gives the same bytes in any order of
work, after any crash, in any number of processes.
"""

from __future__ import annotations

from hashlib import blake2b

SEED_BITS = 63


def request_seed(run_seed: int, problem_id: str, round_index: int, beam: int, teacher: str) -> int:
    """A seed in [0, 2**63), which torch, numpy and vLLM all accept."""
    name = "\x1f".join((str(run_seed), problem_id, str(round_index), str(beam), teacher))
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - SEED_BITS)


def unit_interval(key: str) -> float:
    """A number in (0, 1] that depends on `key` alone."""
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 1) / 2**64
