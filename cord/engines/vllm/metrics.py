"""What a vLLM server counts: its `/metrics` page, in Prometheus' text form.

The counters are the server's, not a teacher's and not a run's: everything that a server did between
two readings is in their difference, also what other clients asked of it. They hold what no answer
tells: prefill and cache hits of the scoring, and tokens of requests that were broken off.

A server that was started anew counts from 0 again. That is seen by the time at which its counters
were made, which the page names, or by a counter that went back; what it counted between the last
reading and its end is lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import httpx
from prometheus_client.parser import text_string_to_metric_families

from cord.engines.api_key import ApiKey
from cord.engines.vllm.connections import NEVER_BY_PROXY

TIMEOUT_S = 5.0
"""For one reading: it is made beside the work and may fail."""

_NAMES = {
    "vllm:prompt_tokens_total": "prompt_tokens",
    "vllm:generation_tokens_total": "generation_tokens",
    "vllm:prefix_cache_queries_total": "cache_queries",
    "vllm:prefix_cache_hits_total": "cache_hits",
}
_BORN = "vllm:generation_tokens_created"


@dataclass(frozen=True, slots=True)
class Counters:
    """Tokens that a server counted. They add up."""

    prompt_tokens: int = 0
    """Prompts' tokens, out of the prefix cache or not."""
    generation_tokens: int = 0
    cache_queries: int = 0
    """Tokens that were looked for in the prefix cache. Fewer than `prompt_tokens`, where requests
    bypass it (`prompt_logprobs`)."""
    cache_hits: int = 0
    """Of these, those that it held: they were not read again."""

    def __add__(self, other: Counters) -> Counters:
        return Counters(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, earlier: Counters) -> Counters:
        return Counters(*(getattr(self, f.name) - getattr(earlier, f.name) for f in fields(self)))

    @property
    def all_grown(self) -> bool:
        """No counter is below 0, as in the difference of a server's later and earlier reading."""
        return all(getattr(self, f.name) >= 0 for f in fields(self))


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a server's counters."""

    counters: Counters
    born: float = 0.0
    """When they were made, in seconds since 1970; 0 where the page does not say."""


class Tally:
    """What a server has counted since the first of several readings."""

    def __init__(self) -> None:
        self.counted = Counters()
        self._last: Reading | None = None

    def begin(self, reading: Reading) -> None:
        """Count on from this reading; what was counted before it does not matter."""
        self._last = reading

    def note(self, reading: Reading) -> None:
        """Add what was counted since the reading before."""
        if self._last is not None:
            grown = reading.counters - self._last.counters
            anew = reading.born != self._last.born or not grown.all_grown
            self.counted += reading.counters if anew else grown
        self._last = reading


@dataclass(frozen=True, slots=True)
class MeteredServer:
    """Where a server's counters are."""

    name: str
    """As the run's documents call it."""
    where: Callable[[], str]
    """`http://host:port/v1`, or without `/v1`, at this moment."""
    api_key_env: str | None = None

    def read(self) -> Reading | None:
        """Its counters now; None where it gives none: it is away, is no vLLM server, or was started
        with `--disable-log-stats`."""
        url = self.where().rstrip("/").removesuffix("/v1") + "/metrics"
        try:
            headers = ApiKey(self.api_key_env).headers()
            with httpx.Client(mounts=dict.fromkeys(NEVER_BY_PROXY), timeout=TIMEOUT_S) as client:
                answer = client.get(url, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError):
            return None
        return parse(answer.text) if answer.status_code == httpx.codes.OK else None


def parse(page: str) -> Reading | None:
    """A `/metrics` page; the counters of several engines or models behind it are added up. None
    where one of the four is not there, or is no number."""
    found: dict[str, float] = {}
    born = 0.0
    try:
        for name, value in _samples(page):
            if name in _NAMES:
                found[_NAMES[name]] = found.get(_NAMES[name], 0.0) + value
            elif name == _BORN:
                born = max(born, value)
        counters = Counters(**{name: int(value) for name, value in found.items()})
    except (ValueError, OverflowError, TypeError, AttributeError, LookupError):
        return None  # the parser has no error of its own
    sound = counters.all_grown and math.isfinite(born)
    return Reading(counters, born) if sound and len(found) == len(_NAMES) else None


def _samples(page: str) -> Iterator[tuple[str, float]]:
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            yield sample.name, sample.value
