r"""A proxy before a real S3 server that breaks what passes, as told.

    with FaultyS3(endpoint) as proxy:                          # proxy.endpoint instead
        proxy.aim(lost_answer, "PUT", r"\.json$", nth=2)       # the second such request
        proxy.aim(access_denied, "PUT", r"/releases/", times=None)   # each of them
        proxy.storm = Storm(7, 0.2, PASSING)                   # or at random
        held = proxy.hold("PUT", r"/releases/")                # it stands still from there
    proxy.counts["lost_answer"], proxy.injected

boto3, deltalake's object_store and DuckDB's httpfs all go through it. What is not broken passes
untouched, the Host header too, since signatures cover it. It runs in a thread of its own; both
sides are parsed by h11, and what must be wrong on the wire is written by hand.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h11

from benchmarks.s3_passage import PIECE, Passage
from benchmarks.storm import Storm

HANG_S = 60.0
"""Longer than a client waits."""
SLOW_S = 0.3

Fault = Callable[[Passage], Awaitable[None]]


async def pass_on(passage: Passage) -> None:
    """No fault."""
    await passage.reply(*await passage.ask(await passage.body()))


def _refusal(name: str, status: int, code: str, message: str) -> Fault:
    async def refuse(passage: Passage) -> None:
        await passage.body()
        said = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        body = b"" if passage.method == "HEAD" else said
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        await passage.reply(h11.Response(status_code=status, headers=headers), body)

    refuse.__name__ = name
    return refuse


internal_error = _refusal("internal_error", 500, "InternalError", "We encountered an error.")
slow_down = _refusal("slow_down", 503, "SlowDown", "Please reduce your request rate.")
expired = _refusal("expired", 400, "ExpiredToken", "The provided token has expired.")
access_denied = _refusal("access_denied", 403, "AccessDenied", "Access Denied")
full = _refusal("full", 507, "InsufficientCapacity", "There is no room left.")
loses = _refusal("loses", 412, "PreconditionFailed", "A condition did not hold.")
conflict = _refusal("conflict", 409, "ConditionalRequestConflict", "Another one is under way.")


async def hang(passage: Passage) -> None:
    """Take the request and never answer."""
    await passage.body()
    await asyncio.sleep(HANG_S)
    passage.reset()


async def slow(passage: Passage) -> None:
    """A late answer."""
    await asyncio.sleep(SLOW_S)
    await pass_on(passage)


async def reset_midway(passage: Passage) -> None:
    """Cut the line in the midst of an upload, of which the server gets half."""
    if half := await passage.half_of_body():
        await passage.ask(half, whole=False)
    passage.reset()


async def lost_answer(passage: Passage) -> None:
    """The server does it all, and the client never hears of it."""
    await passage.ask(await passage.body())
    passage.reset()


async def done_but_500(passage: Passage) -> None:
    """The server does it all, and the client hears of an error."""
    await passage.ask(await passage.body())
    await internal_error(passage)


async def cut_answer(passage: Passage) -> None:
    """Half of the answer, less than its Content-Length says."""
    answer, body = await passage.ask(await passage.body())
    await passage.write(list(answer.headers), answer.status_code, body[: len(body) // 2])


async def cut_silently(passage: Passage) -> None:
    """Half of the answer, of no stated length."""
    answer, body = await passage.ask(await passage.body())
    unstated = [(n, v) for n, v in answer.headers if n not in (b"content-length", b"connection")]
    await passage.write(unstated, answer.status_code, body[: len(body) // 2])


PASSING: tuple[Fault, ...] = (
    *(internal_error, slow_down, slow, conflict, reset_midway, lost_answer, done_but_500),
    *(cut_answer, cut_silently),
)
"""What may befall any request and pass by itself. `loses` is no fault but an answer, `hang` costs
the client's whole patience, and the others last."""


@dataclass
class Aim:
    """A fault for some requests: those of a method whose path fits, from the nth one on."""

    fault: Fault
    method: str
    path: re.Pattern[str]
    nth: int
    times: int | None

    def hits(self, passage: Passage) -> bool:
        """Count the request, and say whether it is meant."""
        if self.times == 0 or not re.fullmatch(self.method, passage.method):
            return False
        if not self.path.search(passage.path):
            return False
        self.nth -= 1
        if self.nth > 0:
            return False
        self.times = None if self.times is None else self.times - 1
        return True


@dataclass
class Held:
    """A request that stands still in the proxy."""

    arrived: threading.Event = field(default_factory=threading.Event)


@dataclass
class FaultyS3:
    """The proxy; a context manager."""

    server: str
    """The real server's endpoint."""
    storm: Storm[Fault] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    """Faults by name, and `passed`."""
    seen: list[str] = field(default_factory=list)
    """`METHOD path` of each request, with ` !fault` behind it where one was injected."""
    port: int = 0

    def __enter__(self) -> FaultyS3:
        address = urlsplit(self.server)
        self.upstream = (str(address.hostname), int(address.port or 80))
        self._aims: list[Aim] = []
        self._tasks: set[asyncio.Task[None] | None] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def endpoint(self) -> str:
        """For AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def injected(self) -> int:
        """Faults so far."""
        return sum(n for name, n in self.counts.items() if name != "passed")

    def aim(
        self, fault: Fault, method: str = ".*", path: str = "", nth: int = 1, times: int | None = 1
    ) -> None:
        """Break the `nth` request whose method and path (regular expressions) fit, and those after
        it until `times` are broken; None: all."""
        self._aims.append(Aim(fault, method, re.compile(path), nth, times))

    def hold(self, method: str, path: str, nth: int = 1, after: bool = False) -> Held:
        """Let such a request stand still for ever: before the server hears of it, or `after`."""
        held = Held()

        async def stand_still(passage: Passage) -> None:
            body = await passage.body()
            if after:
                await passage.ask(body)
            held.arrived.set()
            await asyncio.sleep(3600)

        self.aim(stand_still, method, path, nth)
        return held

    def calm(self) -> None:
        """No fault from here on."""
        self._aims, self.storm = [], None

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._listener.close()
        ours = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        self._tasks.add(task := asyncio.current_task())  # asyncio itself holds it but weakly
        try:
            while (event := connection.next_event()) is not h11.PAUSED:
                if event is h11.NEED_DATA:
                    connection.receive_data(await reader.read(PIECE))
                    continue
                if not isinstance(event, h11.Request):
                    break
                await self._treat(Passage(self.upstream, event, connection, reader, writer))
                if writer.is_closing() or connection.our_state is not h11.DONE:
                    break
                connection.start_next_cycle()
        except (ConnectionError, h11.ProtocolError, asyncio.CancelledError):
            pass  # the other side is gone, or this one is over
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _treat(self, passage: Passage) -> None:
        fault = next((aim.fault for aim in self._aims if aim.hits(passage)), None)
        if fault is None and self.storm is not None:
            fault = self.storm.next_fault()
        if fault is conflict and not passage.conditional:
            fault = None  # other requests never hear of such a thing
        name = getattr(fault or pass_on, "__name__", "")
        self.counts["passed" if fault is None else name] += 1
        self.seen.append(f"{passage.method} {passage.path}" + (f" !{name}" if fault else ""))
        await (fault or pass_on)(passage)
