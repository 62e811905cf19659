"""One exchange with a vLLM server over HTTP: an answer, a failure that may pass, or a refusal.

Everything a server *means* to refuse is said in one sentence that names the server, the model and
the remedy: `EngineRefused` where it would refuse anything (a wrong key, an unknown model), which
ends the run; `ContextTooLong` or another `EngineError` where it refuses this one request.

vLLM closes connections that were idle for 5 s, so ours are dropped after 2 s and a request is never
sent into a connection that is just being closed. Connections belong to one event loop; an engine
is used from several, so it keeps some for each.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import math
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import httpx

from cord.engines.api_key import ApiKey
from cord.engines.vllm.connections import Connections
from cord.errors import ContextTooLong, EngineError, EngineRefused, UnusableAnswer

Answer = dict[str, Any]
"""A JSON object from the server."""

_EVERY_VLLM_HAS = {"/v1/models", "/v1/completions", "/tokenize", "/detokenize"}
_TURNED_AWAY = {408, 425, 429, 503}
_BUSY = _TURNED_AWAY | {502, 504}  # a gateway whose server died over the request says these
_TOO_LONG = re.compile(
    r"maximum context length|maximum model length|max_tokens must be at least 1, got 0"
    # Other endpoints' words:
    r"|context[_ ]length[_ ]exceeded|available context size|context window",
    re.I,
)


class PassingError(Exception):
    """A failure that may pass. `away`: no other request could have done better; `wait_s`: what the
    server asked for; `unread`: the request was turned away before any model saw it."""

    def __init__(
        self, what: str, away: bool = False, wait_s: float = 0.0, unread: bool = False
    ) -> None:
        super().__init__(what)
        self.away = away
        self.wait_s = wait_s
        self.unread = unread


class UnknownModel(EngineRefused):
    """The server does not have this model."""


@dataclass(eq=False)
class Wire:
    """The way to one model on one server. Safe to use from several event loops and threads."""

    url: str
    model: str
    key: ApiKey
    connect_s: float
    connections: int
    """Most connections at once from one event loop; further requests wait their turn."""
    called: str = "a vLLM server"
    """What stands at `url`, as sentences name it."""
    _clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Connections] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def named(self) -> str:
        """Model and server, as sentences begin."""
        return f"model {self.model!r} on the {self.called.partition(' ')[2]} {self.url}"

    async def close(self) -> None:
        """Close this loop's connections, and ask other running loops to close theirs."""
        with self._lock:
            opened = dict(self._clients)
            self._clients.clear()
        for loop, connections in opened.items():
            if loop is asyncio.get_running_loop():
                await connections.aclose()
            elif loop.is_running():
                with contextlib.suppress(RuntimeError):  # it stopped just now
                    asyncio.run_coroutine_threadsafe(connections.aclose(), loop)

    async def exchange(
        self, method: str, path: str, body: Answer | None, answer_s: float
    ) -> Answer:
        """Ask once, and wait `answer_s` for the answer.

        Raises `PassingError`, `EngineRefused`, `ContextTooLong`, `EngineError`."""
        # Escaped to ASCII: it is then the server, not httpx, that refuses a lone surrogate.
        content = None if body is None else json.dumps(body).encode("ascii")
        try:
            headers = {"Content-Type": "application/json"} | self.key.headers()
        except ValueError as error:
            raise self._refused(str(error)) from None
        response = await self._send(method, path, content, headers, answer_s)
        if response.status_code in _BUSY or response.status_code >= 500:
            raise PassingError(
                f"it answered {response.status_code}: {self._message(response)}",
                response.status_code in _BUSY,
                _retry_after_s(response.headers),
                response.status_code in _TURNED_AWAY,
            )
        if response.status_code != httpx.codes.OK:
            raise self._refusal(path, response)
        try:
            answer = response.json()
        except (ValueError, RecursionError):
            raise PassingError("it answered with something that is not JSON") from None
        if not isinstance(answer, dict):
            raise PassingError("it answered with JSON that is not an object")
        if _broken_off(answer):
            raise PassingError("it broke off an answer, as it does when it is shut down")
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        content: bytes | None,
        headers: dict[str, str],
        answer_s: float,
    ) -> httpx.Response:
        url = self.url.rstrip("/").removesuffix("/v1") + path
        timeout = httpx.Timeout(answer_s, connect=self.connect_s, pool=None)
        try:
            async with (
                self._connections().one() as client,
                client.stream(
                    method, url, content=content, headers=headers, timeout=timeout
                ) as response,
            ):
                async with asyncio.timeout(answer_s):  # however slowly it drips
                    await response.aread()
                return response
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            raise self._refused("has no valid url; write it as http://host:port/v1") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as failure:
            what = self._clean(str(failure)) or "no connection"
            raise PassingError(what, away=True, unread=True) from None
        except (httpx.TimeoutException, TimeoutError) as failure:
            raise PassingError(f"it did not answer in time ({type(failure).__name__})") from None
        except (httpx.TransportError, httpx.DecodingError) as failure:
            reason = self._clean(str(failure)) or type(failure).__name__
            raise PassingError(reason) from None

    def _connections(self) -> Connections:
        loop = asyncio.get_running_loop()
        with self._lock:
            if (connections := self._clients.get(loop)) is None:
                # A connection holds on to its loop, so weak keys alone would keep closed loops.
                for old in [old for old in self._clients if old.is_closed()]:
                    del self._clients[old]
                connections = self._clients[loop] = Connections(self.connections, idle_s=2.0)
            return connections

    def _refusal(self, path: str, response: httpx.Response) -> EngineError:
        """What a 3xx or 4xx answer means, as the error to raise."""
        status, message = response.status_code, self._message(response)
        if status in (401, 403):
            return self._refused(
                f"refused the request ({status}): wrong or missing key; {self.key.remedy}"
            )
        if status == 404 and "does not exist" in message and path != "/v1/models":
            return UnknownModel(f"{self.named} is not served there")
        if status == 404:
            kind = EngineRefused if path in _EVERY_VLLM_HAS else EngineError
            return kind(
                f"{self.named} has no {path}; the url must be {self.called}'s, as "
                "http://host:port/v1"
            )
        if status == 400 and _TOO_LONG.search(message):
            return ContextTooLong(f"{self.named} has too short a context: {message}")
        if "chat template" in message:
            return self._refused(
                "has no chat template, so a question cannot be put to it; serve a chat model, or "
                "start vLLM with --chat-template FILE"
            )
        if "not JSON compliant" in message:  # vLLM's way to say NaN
            return UnusableAnswer(
                f"{self.named} computed values that are not numbers (NaN); its weights or its data "
                "type are broken: try another --dtype"
            )
        return EngineError(f"{self.named} refused the request ({status}): {message}")

    def _refused(self, what: str) -> EngineRefused:
        return EngineRefused(f"{self.named} {what}")

    def _message(self, response: httpx.Response) -> str:
        """The server's own words, shortened, on one line."""
        try:
            error = response.json()["error"]
            text = str(error["message"] if isinstance(error, dict) else error)
        except (ValueError, KeyError, TypeError, RecursionError):
            # Not `response.text`: an answer may name any codec of Python's as its charset.
            text = response.content.decode("utf-8", "replace")
        return self._clean(text) or self._clean(response.reason_phrase)

    def _clean(self, text: str) -> str:
        """One line of at most 300 characters, without the key."""
        text = " ".join(self.key.hide(text).split())
        text = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[:301])
        return text if len(text) <= 300 else text[:299] + "…"


def _broken_off(answer: Answer) -> bool:
    choices = answer.get("choices")
    return isinstance(choices, list) and any(
        isinstance(choice, dict) and choice.get("finish_reason") in ("abort", "error")
        for choice in choices
    )


def _retry_after_s(headers: httpx.Headers) -> float:
    """Seconds that a `Retry-After` header asks for (a number or a date); 0 without one."""
    value = headers.get("retry-after", "")
    try:
        wait_s = float(value)
    except ValueError:
        try:
            wait_s = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, IndexError, OverflowError):  # a date of any sort
            return 0.0
    return max(0.0, wait_s) if math.isfinite(wait_s) else 0.0
