"""A proxy between cord and a real vLLM server that breaks what passes, as told (`vllm_faults`).

    with FaultProxy(url) as proxy:                     # proxy.url instead of url
        proxy.faults.extend([hang, status(503)])       # the next two requests of `proxy.aim`
        proxy.storm = Storm(7, 0.2, PASSING)           # or at random, on every path
        proxy.poison = (lambda body: 77 in body["prompt"], status(500))   # or always on some
        proxy.cut(); ...; proxy.mend()                 # or nobody listens any more
    proxy.counts["passed"], proxy.tokens               # what came through whole

It runs in a thread of its own. Requests are parsed by h11 and sent on by httpx; answers are written
by h11, and by hand where they must be wrong on the wire, which no HTTP server or framework lets one
do (starlette and uvicorn correct or refuse a false Content-Length).
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h11
import httpx
from vllm_faults import Fault, pass_on
from vllm_passage import Json, Passage

from benchmarks.storm import Storm


@dataclass
class FaultProxy:
    """The proxy; a context manager."""

    upstream: str
    hang_s: float = 3.0
    """Longer than the client under test waits."""
    faults: deque[Fault] = field(default_factory=deque)
    aim: Callable[[Passage], bool] = lambda passage: passage.is_proposal
    """Which requests `faults` are for."""
    storm: Storm[Fault] | None = None
    poison: tuple[Callable[[Json], bool], Fault] | None = None
    """Requests to /v1/completions that always fail."""
    key: str | None = None
    """The key that the server asks for."""
    before: Callable[[Passage], None] = lambda passage: None
    """Called with each request, in the proxy's thread."""
    counts: Counter[str] = field(default_factory=Counter)
    """Faults by name, and `passed`: answers of the real server that went through whole."""
    tokens: int = 0
    """Tokens of the proposals that went through whole."""
    port: int = 0

    def __enter__(self) -> FaultProxy:
        self.upstream = self.upstream.removesuffix("/v1")
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """As recipes name it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def cut(self) -> None:
        """Nobody listens any more, and what was under way is torn off."""

        async def unlisten() -> None:
            self._unlisten()

        self._run(unlisten())

    def cut_from_within(self) -> None:
        """`cut`, from a fault or from `before`."""
        self._unlisten()

    @property
    def listens(self) -> bool:
        """It is not cut."""
        return self._server.is_serving()

    async def mend_from_within(self) -> None:
        """`mend`, from a fault."""
        await self._listen()

    def mend(self) -> None:
        """Listen again, on the same port."""
        self._run(self._listen())

    def _run(self, doing: Any) -> None:
        asyncio.run_coroutine_threadsafe(doing, self._loop).result(30)

    async def _start(self) -> None:
        limits = httpx.Limits(max_connections=None, keepalive_expiry=2.0)
        self.client = httpx.AsyncClient(timeout=120, limits=limits, trust_env=False)
        await self._listen()

    async def _stop(self) -> None:
        self._unlisten()
        ours = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)
        await self.client.aclose()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _unlisten(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        connection = h11.Connection(h11.SERVER)
        try:
            while (passage := await self._read(reader, writer, connection)) is not None:
                await self._treat(passage)
                if not passage.open or connection.our_state is not h11.DONE:
                    break
                connection.start_next_cycle()
        except (ConnectionError, h11.ProtocolError, asyncio.CancelledError):
            pass  # the other side is gone, or the test is over
        except httpx.HTTPError:
            self.counts["the server is gone"] += 1
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _read(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: h11.Connection,
    ) -> Passage | None:
        head, content = None, b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65_536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                content += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                method, path = head.method.decode(), head.target.decode()
                return Passage(
                    self, method, path, list(head.headers), content, connection, reader, writer
                )
            else:
                return None

    async def _treat(self, passage: Passage) -> None:
        self.before(passage)
        sent = dict(passage.headers).get(b"authorization", b"").decode()
        if self.key is not None and sent != f"Bearer {self.key}":
            self.counts["wrong key"] += 1
            return await passage.reply(401, b'{"error":"Unauthorized"}')
        fault = self._fault_for(passage)
        if fault is None:
            return await pass_on(passage)
        self.counts[fault.__name__] += 1  # type: ignore[attr-defined]
        return await fault(passage)

    def _fault_for(self, passage: Passage) -> Fault | None:
        if passage.path == "/v1/completions" and self.poison and self.poison[0](passage.body):
            return self.poison[1]
        if self.faults and self.aim(passage):
            return self.faults.popleft()
        return self.storm.next_fault() if self.storm else None
