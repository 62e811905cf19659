"""Connections to one server from one event loop, cheap to come by however many there are.

httpx keeps its connections in a pool that looks at all of them for each request: with 128 requests
in flight that took 5 ms of CPU a request, five times what the request itself takes. So here each
connection is an `httpx.AsyncClient` of its own with room for one, and the one that was used last
is used next: it is the least likely to have been idle for too long.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import httpx

NEVER_BY_PROXY = ("all://127.0.0.1", "all://localhost", "all://[::1]")
"""A server on this machine is spoken to directly, whatever HTTP_PROXY says."""


class Connections:
    """At most `most` connections, each dropped when it was idle for `idle_s` seconds. Belongs to
    one event loop."""

    def __init__(self, most: int, idle_s: float) -> None:
        self._places = asyncio.Semaphore(most)
        self._limits = httpx.Limits(
            max_connections=1, max_keepalive_connections=1, keepalive_expiry=idle_s
        )
        self._free: list[httpx.AsyncClient] = []
        self._all: list[httpx.AsyncClient] = []

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client that nobody else uses meanwhile; waits while all are used."""
        async with self._places:
            client = self._free.pop() if self._free else self._new()
            try:
                yield client
            finally:
                if not client.is_closed:
                    self._free.append(client)

    async def aclose(self) -> None:
        """Close them all; what is in flight is broken off."""
        closing, self._all, self._free = self._all, [], []
        for client in closing:
            await client.aclose()

    def _new(self) -> httpx.AsyncClient:
        client = httpx.AsyncClient(
            verify=_certificates(), limits=self._limits, mounts=dict.fromkeys(NEVER_BY_PROXY)
        )
        self._all.append(client)
        return client


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it costs a quarter of a second, for each client anew."""
    return httpx.create_ssl_context()
