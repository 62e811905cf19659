"""Talking to one vLLM server: who waits, who tries again, and what the user is told.

A run lasts hours and a server is sometimes away: restarted, overloaded, cut off in the middle of an
answer. Those failures pass, so a request that meets one is sent again after growing, jittered waits
until its patience is spent; only then is the engine unreachable. Everything a server *means* to
refuse (a wrong key, an unknown model, a prompt that is too long) is said once, in one sentence that
names the server, the model and the remedy.

vLLM closes connections that were idle for 5 s, so ours are dropped after 2 s and a request is never
sent into a connection that is just being closed. One `httpx.AsyncClient` belongs to one event loop;
an engine is used from several, so it keeps one for each.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import os
import random
import re
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import httpx

from cord.errors import ContextTooLong, EngineError, EngineUnreachable, UnusableAnswer

Answer = dict[str, Any]
"""A JSON object from the server."""

_MODELS = "/v1/models"
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_TOO_LONG = re.compile(
    r"maximum context length|maximum model length|max_tokens must be at least 1, got 0", re.I
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to bear with a server, all in seconds."""

    total_s: float = 300.0
    """From the first failure of a request until it is given up. A large model's server needs
    minutes to start again."""
    first_wait_s: float = 0.25
    """Before the second try; doubled for each further one, and jittered by half."""
    longest_wait_s: float = 15.0
    answer_s: float = 900.0
    """For one answer: a long step on a full server."""
    connect_s: float = 10.0
    first_contact_s: float = 10.0
    """Instead of `total_s` where an engine is asked who it is: a wrong url is said soon."""


class _PassingError(Exception):
    """A failure that may pass; `wait_s` is what the server asked for."""

    def __init__(self, what: str, wait_s: float = 0.0) -> None:
        super().__init__(what)
        self.wait_s = wait_s


@dataclass(eq=False)
class VllmServer:
    """One model on one server. Safe to use from several event loops and threads."""

    url: str
    """`http://host:port/v1`, or without `/v1`."""
    model: str
    api_key_env: str | None = None
    patience: Patience = field(default_factory=Patience)
    connections: int = 256
    """Most connections at once from one event loop; further requests wait their turn."""
    _clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    async def get(self, path: str, patience_s: float | None = None) -> Answer:
        """Fetch `path` (`/v1/models`). Raises `EngineUnreachable` or `EngineError`."""
        return await self._ask("GET", path, None, patience_s)

    async def post(self, path: str, body: Answer, patience_s: float | None = None) -> Answer:
        """Send `body` and the model's name to `path`.

        Raises `ContextTooLong`, `EngineUnreachable`, `EngineError`."""
        return await self._ask("POST", path, {"model": self.model, **body}, patience_s)

    async def close(self) -> None:
        """Close this loop's connections, and ask other running loops to close theirs."""
        with self._lock:
            clients = dict(self._clients)
            self._clients.clear()
        for loop, client in clients.items():
            if loop is asyncio.get_running_loop():
                await client.aclose()
            elif loop.is_running():
                with contextlib.suppress(RuntimeError):  # it stopped just now
                    asyncio.run_coroutine_threadsafe(client.aclose(), loop)

    def error(self, what: str) -> EngineError:
        """An `EngineError` that names model and server."""
        return EngineError(f"{self._named()} {what}")

    def unusable(self, what: str) -> UnusableAnswer:
        """An `UnusableAnswer` that names model and server."""
        return UnusableAnswer(f"{self._named()} {what}")

    async def _ask(
        self, method: str, path: str, body: Answer | None, patience_s: float | None
    ) -> Answer:
        patience_s = self.patience.total_s if patience_s is None else patience_s
        deadline, wait_s = None, self.patience.first_wait_s
        while True:
            try:
                return await self._ask_once(method, path, body)
            except _PassingError as failure:
                now = time.monotonic()
                deadline = now + patience_s if deadline is None else deadline
                if now >= deadline or now + failure.wait_s > deadline:
                    raise self._unreachable(str(failure), patience_s) from None
                pause = max(failure.wait_s, wait_s * random.uniform(0.5, 1.5))  # noqa: S311
            await asyncio.sleep(min(pause, deadline - now))
            wait_s = min(2 * wait_s, self.patience.longest_wait_s)

    async def _ask_once(self, method: str, path: str, body: Answer | None) -> Answer:
        # Escaped to ASCII: it is then the server, not httpx, that refuses a lone surrogate.
        content = None if body is None else json.dumps(body).encode("ascii")
        headers = {"Content-Type": "application/json"} | self._authorization()
        url = self.url.rstrip("/").removesuffix("/v1") + path
        try:
            response = await self._client().request(method, url, content=content, headers=headers)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise self.error("has no valid url; write it as http://host:port/v1") from None
        except httpx.TimeoutException as failure:
            raise _PassingError(f"it did not answer in time ({type(failure).__name__})") from None
        except (httpx.TransportError, httpx.DecodingError) as failure:
            reason = self._clean(str(failure)) or type(failure).__name__
            raise _PassingError(reason) from None
        if response.status_code in _BUSY:
            raise _PassingError(
                f"it answered {response.status_code}: {self._message(response)}",
                _retry_after_s(response.headers),
            )
        if response.status_code != httpx.codes.OK:
            raise await self._refusal(path, response)
        try:
            answer = response.json()
        except ValueError:
            raise _PassingError("it answered with something that is not JSON") from None
        if not isinstance(answer, dict):
            raise _PassingError("it answered with JSON that is not an object")
        if _broken_off(answer):
            raise _PassingError("it broke off an answer, as it does when it is shut down")
        return answer

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        with self._lock:
            if (client := self._clients.get(loop)) is None:
                # A client holds on to its loop, so weak keys alone would keep closed loops.
                for old in [old for old in self._clients if old.is_closed()]:
                    del self._clients[old]
                client = self._clients[loop] = httpx.AsyncClient(
                    verify=_certificates(),
                    limits=httpx.Limits(
                        max_connections=self.connections,
                        max_keepalive_connections=self.connections,
                        keepalive_expiry=2.0,
                    ),
                    timeout=httpx.Timeout(
                        self.patience.answer_s, connect=self.patience.connect_s, pool=None
                    ),
                )
            return client

    def _authorization(self) -> dict[str, str]:
        if self.api_key_env is None:
            return {}
        key = os.environ.get(self.api_key_env, "").strip()
        if not key:
            raise self.error(
                f"needs a key, but the environment variable {self.api_key_env} (api_key_env) "
                "is not set; set it and run again"
            )
        if not (key.isascii() and key.isprintable()):
            raise self.error(
                f"needs a key, but what the environment variable {self.api_key_env} holds has "
                "characters that no key can have; set it to the key alone"
            )
        return {"Authorization": f"Bearer {key}"}

    async def _refusal(self, path: str, response: httpx.Response) -> EngineError:
        """What a 3xx or 4xx answer means, as the error to raise."""
        status, message = response.status_code, self._message(response)
        if status in (401, 403):
            remedy = (
                f"set the environment variable {self.api_key_env} to the server's key"
                if self.api_key_env
                else "name the environment variable that holds its key in api_key_env"
            )
            return self.error(f"refused the request ({status}): wrong or missing key; {remedy}")
        if status == 404 and "does not exist" in message and path != _MODELS:
            return self.not_served(await self.served())
        if status == 404:
            return self.error(
                f"has no {path}; the url must be a vLLM server's, as http://host:port/v1"
            )
        if status == 400 and _TOO_LONG.search(message):
            return ContextTooLong(f"{self._named()} has too short a context: {message}")
        if "chat template" in message:
            return self.error(
                "has no chat template, so a question cannot be put to it; serve a chat model, or "
                "start vLLM with --chat-template FILE"
            )
        if "not JSON compliant" in message:  # vLLM's way to say NaN
            return self.error(
                "computed values that are not numbers (NaN); its weights or its data type are "
                "broken: try another --dtype"
            )
        return self.error(f"refused the request ({status}): {message}")

    async def served(self, patience_s: float | None = None) -> dict[str, Answer]:
        """What the server serves: model name to its entry in `/v1/models`."""
        listing = (await self.get(_MODELS, patience_s)).get("data")
        entries = listing if isinstance(listing, list) else []
        return {str(e["id"]): e for e in entries if isinstance(e, dict) and "id" in e}

    def not_served(self, served: Mapping[str, object]) -> EngineError:
        """The error for a model that the server does not have."""
        names = ", ".join(sorted(served)) or "nothing"
        return self.error(f"is not served there; served: {names}. Correct `model` in the recipe")

    def _unreachable(self, what: str, patience_s: float) -> EngineUnreachable:
        return EngineUnreachable(
            f"{self._named()} cannot be reached: {what} (tried for {patience_s:.0f} s); check that "
            "the server is up and the url is right, then run or resume"
        )

    def _named(self) -> str:
        return f"model {self.model!r} on the vLLM server {self.url}"

    def _message(self, response: httpx.Response) -> str:
        """The server's own words, shortened, on one line."""
        try:
            error = response.json()["error"]
            text = str(error["message"] if isinstance(error, dict) else error)
        except (ValueError, KeyError, TypeError):
            text = response.text
        return self._clean(text) or response.reason_phrase

    def _clean(self, text: str) -> str:
        """One line of at most 300 characters, without the key (a proxy may echo it)."""
        key = os.environ.get(self.api_key_env, "").strip() if self.api_key_env else ""
        text = " ".join((text.replace(key, "***") if key else text).split())
        return text if len(text) <= 300 else text[:299] + "…"


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it costs a quarter of a second, for each client anew."""
    return httpx.create_ssl_context()


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
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0
