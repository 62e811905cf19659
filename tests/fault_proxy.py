"""A proxy between cord and a real vLLM server that breaks what passes, as told.

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
import json
import math
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import h11
import httpx

from benchmarks.storm import Storm

Json = dict[str, Any]


@dataclass
class Passage:
    """One request on its way through."""

    proxy: FaultProxy
    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    content: bytes
    connection: h11.Connection
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    open: bool = True
    """The connection is to be kept."""

    @property
    def body(self) -> Json:
        """What was sent, as JSON; {} for a GET."""
        return dict(json.loads(self.content)) if self.content else {}

    async def upstream(self) -> httpx.Response:
        """The real server's answer."""
        passed_on = {b"authorization", b"content-type"}
        return await self.proxy.client.request(
            self.method,
            self.proxy.upstream + self.path,
            content=self.content or None,
            headers=[(k, v) for k, v in self.headers if k in passed_on],
        )

    async def reply(self, status: int, body: bytes, headers: Json | None = None) -> None:
        """Answer as HTTP wants it."""
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        lines = [(k.encode(), v.encode()) for k, v in {**fields, **(headers or {})}.items()]
        for event in (
            h11.Response(status_code=status, headers=lines),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.writer.write(self.connection.send(event) or b"")
        await self.writer.drain()

    async def write(self, body: bytes, length: int) -> None:
        """Answer 200 with these bytes and that Content-Length, and hang up."""
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        await self.writer.drain()
        self.open = False

    def count_as_passed(self, answer: httpx.Response) -> None:
        """The whole answer of the real server goes to cord, if it still waits for it."""
        if self.reader.at_eof():
            self.proxy.counts["too late"] += 1
            return
        self.proxy.counts["passed"] += 1
        if self.is_proposal and answer.status_code == httpx.codes.OK:
            self.proxy.tokens += answer.json()["usage"]["completion_tokens"]

    @property
    def is_proposal(self) -> bool:
        """It asks for a step: no score, no look."""
        return self.path == "/v1/completions" and bool(self.body.get("return_token_ids"))


Fault = Callable[[Passage], Awaitable[None]]


async def pass_on(passage: Passage) -> None:
    """No fault."""
    answer = await passage.upstream()
    passage.count_as_passed(answer)
    await passage.reply(answer.status_code, answer.content)


def status(code: int, retry_after: str | None = None) -> Fault:
    """Answer with an error."""

    async def refuse(passage: Passage) -> None:
        body = {"error": {"message": "the proxy says no", "type": "T", "code": code}}
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        await passage.reply(code, json.dumps(body).encode(), headers)

    refuse.__name__ = f"status_{code}" + (f"_after_{retry_after}" if retry_after else "")
    return refuse


async def hang(passage: Passage) -> None:
    """Say nothing until the other side gives up."""
    passage.open = False
    await asyncio.sleep(passage.proxy.hang_s)


async def close_before(passage: Passage) -> None:
    """Hang up; the server never hears of the request."""
    passage.open = False


async def close_after(passage: Passage) -> None:
    """Hang up once the server has done the work."""
    await passage.upstream()
    passage.open = False


async def cut_body(passage: Passage) -> None:
    """Half of the answer, then hang up."""
    body = (await passage.upstream()).content
    await passage.write(body[: len(body) // 2], len(body))


async def length_too_small(passage: Passage) -> None:
    """A Content-Length that says less than there is."""
    body = (await passage.upstream()).content
    await passage.write(body, len(body) // 2)


async def length_too_large(passage: Passage) -> None:
    """A Content-Length that says more than there is."""
    body = (await passage.upstream()).content
    await passage.write(body, len(body) + 100)


async def garbage(passage: Passage) -> None:
    """No JSON, though it says so."""
    await passage.reply(200, b"<html>Welcome to the gateway</html>")


async def drip(passage: Passage) -> None:
    """The whole answer, in small pieces."""
    answer = await passage.upstream()
    body = answer.content
    await passage.write(b"", len(body))
    for start in range(0, len(body), 64):
        passage.writer.write(body[start : start + 64])
        await passage.writer.drain()
        await asyncio.sleep(0.001)
    passage.count_as_passed(answer)


async def drip_for_ever(passage: Passage) -> None:
    """A byte now and then: never silent, never done."""
    body = (await passage.upstream()).content
    await passage.write(b"", len(body))
    for place in range(len(body)):
        passage.writer.write(body[place : place + 1])
        await passage.writer.drain()
        await asyncio.sleep(passage.proxy.hang_s / 20)


def kill(away_s: float) -> Fault:
    """The server dies over the request, and so does all that is under way; it is back later."""

    async def die(passage: Passage) -> None:
        passage.open = False
        if passage.proxy.listens:
            passage.proxy.cut_from_within()
            await asyncio.sleep(away_s)
            await passage.proxy.mend_from_within()

    die.__name__ = "killed"
    return die


def _logprobs(value: float | None) -> Fault:
    async def falsify(passage: Passage) -> None:
        answer = await passage.upstream()
        if (
            answer.status_code != httpx.codes.OK
            or (false := _replace(answer.json(), value)) == answer.json()
        ):
            passage.count_as_passed(answer)
            return await passage.reply(answer.status_code, answer.content)
        return await passage.reply(200, json.dumps(false).encode())

    falsify.__name__ = "nan_logprobs" if value is not None else "no_logprobs"
    return falsify


def _replace(node: Any, value: float | None) -> Any:
    """`node` with every log-probability replaced."""
    if isinstance(node, list):
        return [_replace(item, value) for item in node]
    if not isinstance(node, dict):
        return node
    done = {key: _replace(item, value) for key, item in node.items()}
    if "logprob" in done:
        done["logprob"] = value
    if done.get("token_logprobs"):
        done["token_logprobs"] = [value] * len(done["token_logprobs"])
    return done


nan_logprobs, no_logprobs = _logprobs(math.nan), _logprobs(None)

PASSING: tuple[Fault, ...] = (
    *(status(code) for code in (429, 500, 502, 503, 504)),
    *(status(429, "0"), status(503, "0.05")),
    *(hang, close_before, close_after, cut_body, length_too_small, length_too_large),
    *(garbage, drip, drip_for_ever, nan_logprobs, no_logprobs),
)
"""Everything that may pass."""


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
