"""What may befall a request to a vLLM server; `fault_proxy` brings it about."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from vllm_passage import Passage

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
