"""One S3 request on its way through the proxy of `benchmarks.faulty_s3`.

What passes, passes untouched, the Host header too, since signatures cover it. Both sides are parsed
by h11; what must be wrong on the wire is written by hand.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import h11

PIECE = 65_536


@dataclass
class Passage:
    """One request on its way through; its body is read when somebody asks for it."""

    upstream: tuple[str, int]
    """Host and port of the real server."""
    request: h11.Request
    connection: h11.Connection
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    content: bytes | None = None

    @property
    def method(self) -> str:
        """PUT, GET, HEAD, POST or DELETE."""
        return self.request.method.decode()

    @property
    def path(self) -> str:
        """`/bucket/key?query`, as people write it."""
        return unquote(self.request.target.decode())

    @property
    def conditional(self) -> bool:
        """It is to be done only if something holds."""
        return any(name == b"if-none-match" for name, _ in self.request.headers)

    async def body(self) -> bytes:
        """All that the client sends."""
        if self.content is None:
            self.content = b"".join([piece async for piece in self._pieces()])
        return self.content

    async def half_of_body(self) -> bytes:
        """About half of what the client says it will send."""
        length, got = int(dict(self.request.headers).get(b"content-length", b"0")), b""
        async for piece in self._pieces():
            got += piece
            if len(got) * 2 >= length:
                break
        return got[: max(1, length // 2)]

    async def _pieces(self) -> AsyncIterator[bytes]:
        if self.connection.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[])
            self.writer.write(self.connection.send(go_on) or b"")
        while True:
            event = self.connection.next_event()
            if event is h11.NEED_DATA:
                self.connection.receive_data(await self.reader.read(PIECE))
            elif isinstance(event, h11.Data):
                yield bytes(event.data)
            else:
                return

    async def ask(self, body: bytes, whole: bool = True) -> tuple[h11.Response, bytes]:
        """Send the request on, and give what the server answers. Not `whole`: the server is told
        of the full length, gets only this body, and the line is cut."""
        reader, writer = await asyncio.open_connection(*self.upstream)
        side = h11.Connection(h11.CLIENT)
        # Nobody's signature covers `Expect`, and the answer to it was given.
        headers = [
            (name, value)
            for name, value in self.request.headers
            if name not in (b"expect", b"connection")
        ] + [(b"connection", b"close")]
        event: Any = h11.Request(
            method=self.request.method, target=self.request.target, headers=headers
        )
        answer, content = None, b""
        try:
            writer.write(side.send(event) or b"")
            if body:
                writer.write(side.send(h11.Data(data=body)) or b"")
            if not whole:
                await writer.drain()
                return h11.Response(status_code=500, headers=[]), b""
            writer.write(side.send(h11.EndOfMessage()) or b"")
            await writer.drain()
            while not isinstance(event, h11.EndOfMessage):
                event = side.next_event()
                if event is h11.NEED_DATA:
                    side.receive_data(await reader.read(PIECE))
                elif isinstance(event, h11.Response):
                    answer = event
                elif isinstance(event, h11.Data):
                    content += bytes(event.data)
        finally:
            writer.close()
        if answer is None:
            raise ConnectionError("the server gave no answer")
        return answer, content

    async def reply(self, answer: h11.Response, body: bytes) -> None:
        """Answer as HTTP wants it."""
        for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
            if body or not isinstance(event, h11.Data):
                self.writer.write(self.connection.send(event) or b"")
        await self.writer.drain()

    async def write(self, head: Sequence[tuple[bytes, bytes]], status: int, body: bytes) -> None:
        """Answer with exactly these headers and bytes, and hang up."""
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in head)
        self.writer.write(b"HTTP/1.1 %d X\r\n%sConnection: close\r\n\r\n" % (status, lines) + body)
        await self.writer.drain()
        self.writer.close()

    def reset(self) -> None:
        """Cut the line so that the client sees `connection reset`."""
        line = self.writer.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
