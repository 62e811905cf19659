"""One request on its way to a vLLM server through the proxy of `fault_proxy`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h11
import httpx

if TYPE_CHECKING:
    from fault_proxy import FaultProxy

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
