"""Talking to one vLLM server: who waits, who tries again, and who gives up.

A failure that may pass is tried again by the rule in `availability`; what the server means to
refuse is said once (`wire`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from cord.engines.api_key import ApiKey
from cord.engines.json_values import text
from cord.engines.suspects import Asked, Suspects, shared_suspects
from cord.engines.vllm.availability import Availability, Patience, jittered
from cord.engines.vllm.wire import Answer, PassingError, UnknownModel, Wire
from cord.errors import EngineError, EngineRefused, EngineUnreachable, UnusableAnswer

__all__ = ["Answer", "Patience", "VllmServer"]

T = TypeVar("T")

_MODELS = "/v1/models"
_COMPLETIONS = "/v1/completions"
_HEAVY = ("/completions", "/generate", "/pooling")  # what the model itself answers
_LEAST_S = 10.0
_TURN_S = 0.1  # how often to ask whether it is our turn, while suspects are asked for
_LOOK: Answer = {"prompt": "1", "max_tokens": 1, "temperature": 0}


class VllmServer:
    """One model on one server. Safe to use from several event loops and threads.

    `url` is `http://host:port/v1`, or without `/v1`. At most `connections` are open at once from
    one event loop; further requests wait their turn."""

    def __init__(
        self,
        url: str,
        model: str,
        api_key_env: str | None = None,
        patience: Patience | None = None,
        connections: int = 256,
        called: str = "a vLLM server",
        suspects: Suspects | None = None,
    ) -> None:
        """`suspects`: of a server that nobody else speaks to; else those of all in this process
        that speak to `url`."""
        self.model = model
        self.patience = patience or Patience()
        self._wire = Wire(
            url, model, ApiKey(api_key_env), self.patience.connect_s, connections, called
        )
        self._availability = Availability(self.patience)
        self._suspects = suspects or shared_suspects(url.rstrip("/").removesuffix("/v1"))

    def __repr__(self) -> str:
        return f"VllmServer({self.url!r}, {self.model!r})"

    @property
    def url(self) -> str:
        """Where it stands. May be set: a server that cord starts itself has its port late."""
        return self._wire.url

    @url.setter
    def url(self, url: str) -> None:
        self._wire.url = url

    def give_up(self, why: str) -> None:
        """It will not come back ("": it may): those who wait for it are told why at once."""
        self._availability.gone = why

    def died(self, why: str) -> None:
        """Its process has ended, as somebody knows who watches it."""
        self._suspects.died(why)

    async def get(self, path: str, patience_s: float | None = None) -> Answer:
        """Fetch `path` (`/v1/models`). Raises `EngineUnreachable` or `EngineError`."""
        return await self._ask("GET", path, None, patience_s)

    async def post(self, path: str, body: Answer, patience_s: float | None = None) -> Answer:
        """Send `body` and the model's name to `path`.

        Raises `ContextTooLong`, `EngineUnreachable`, `EngineError`."""
        return await self._ask("POST", path, {"model": self.model, **body}, patience_s)

    async def insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """`ask()`, and again while it raises `UnusableAnswer`, `patience.unusable_tries` in all."""
        wait_s = self.patience.first_wait_s
        for _ in range(self.patience.unusable_tries - 1):
            try:
                return await ask()
            except UnusableAnswer:
                await asyncio.sleep(jittered(wait_s))
            wait_s *= 2
        return await ask()

    async def close(self) -> None:
        """Close this loop's connections, and ask other running loops to close theirs."""
        await self._wire.close()

    def error(self, what: str) -> EngineError:
        """An `EngineError` that names model and server."""
        return EngineError(f"{self._wire.named} {what}")

    def unusable(self, what: str) -> UnusableAnswer:
        """An `UnusableAnswer` that names model and server."""
        return UnusableAnswer(f"{self._wire.named} {what}")

    async def served(self, patience_s: float | None = None) -> dict[str, Answer]:
        """What the server serves: model name to its entry in `/v1/models`."""
        listing = (await self.get(_MODELS, patience_s)).get("data")
        entries = listing if isinstance(listing, list) else []
        return {e["id"]: e for e in entries if isinstance(e, dict) and text(e.get("id"))}

    def not_served(self, served: Mapping[str, object]) -> EngineRefused:
        """The error for a model that the server does not have."""
        names = ", ".join(sorted(served)[:20])[:500] or "nothing"
        return EngineRefused(
            f"{self._wire.named} is not served there; served: {names}. Correct `model` in the "
            "recipe"
        )

    async def _ask(
        self, method: str, path: str, body: Answer | None, patience_s: float | None
    ) -> Answer:
        patience_s = self.patience.total_s if patience_s is None else patience_s
        with self._suspects.asking(tells=path.endswith(_HEAVY)) as asked:
            try:
                return await self._ask_until_answered(asked, method, path, body, patience_s)
            except UnknownModel:
                raise self.not_served(await self.served()) from None

    async def _ask_until_answered(
        self, asked: Asked, method: str, path: str, body: Answer | None, patience_s: float
    ) -> Answer:
        there = self._availability
        deadline, faults, wait_s = None, 0, self.patience.first_wait_s
        await self._until_its_turn(asked, patience_s)
        while True:
            try:
                answer = await self._ask_watching(method, path, body, patience_s)
            except PassingError as error:
                failure = error
            except EngineUnreachable:
                raise
            except EngineError:  # refused, which is an answer
                self._suspects.answered(asked)
                raise
            else:
                self._suspects.answered(asked)
                return answer
            self._suspects.broken_off(asked, failure.unread)
            there.failed(str(failure), failure.away, failure.wait_s)
            absences, now = there.absences, time.monotonic()
            deadline = now + patience_s if deadline is None else deadline
            if failure.wait_s and now + failure.wait_s > deadline:
                raise self._unreachable(str(failure), patience_s)
            pause = max(failure.wait_s, jittered(wait_s))
            await asyncio.sleep(max(0.0, min(pause, deadline - now)))
            await self._until_its_turn(asked, patience_s)
            late = time.monotonic() >= deadline
            at_fault = not failure.away and there.absences == absences
            faults += at_fault
            if at_fault and (late or faults >= self.patience.tries):
                raise self.error(
                    f"failed at one request ({faults} tries), though it answers others: {failure}"
                )
            if late:
                raise self._unreachable(str(failure), patience_s)
            wait_s = min(2 * wait_s, self.patience.longest_wait_s)

    async def _ask_watching(
        self, method: str, path: str, body: Answer | None, patience_s: float
    ) -> Answer:
        """Ask once; look whether the server is still there when it has long been silent."""
        if not path.endswith(_HEAVY):
            return await self._ask_once(method, path, body, self._soon_s(patience_s))
        silence_s = self.patience.silence_s
        asking = asyncio.ensure_future(self._ask_once(method, path, body, self.patience.answer_s))
        asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            while not (await asyncio.wait({asking}, timeout=silence_s))[0]:
                if self._availability.silent(silence_s):
                    self._availability.failed("it is silent", away=False)
                    await self._until_there(patience_s)
            return await asking
        finally:
            asking.cancel()

    async def _until_its_turn(self, asked: Asked, patience_s: float) -> None:
        """Wait until the server is there and the request may be sent (`cord.engines.suspects`)."""
        while True:
            if why := self._suspects.found(asked):
                raise self.error(
                    "dies of what this problem asks of it, also when it is asked nothing else "
                    f"({why})"
                )
            await self._until_there(patience_s)
            if self._suspects.begin(asked):
                return
            await asyncio.sleep(jittered(_TURN_S))

    async def _until_there(self, patience_s: float) -> None:
        """Wait while the server is in doubt, looking when it is our turn."""
        there = self._availability
        while there.in_doubt:
            if there.dead(patience_s):
                self._suspects.died(there.reason)
            if there.gone:
                raise EngineUnreachable(there.gone)
            if there.begin_look(patience_s):
                failure: PassingError | None = None
                try:
                    await self._ask_once(
                        "POST",
                        _COMPLETIONS,
                        {"model": self.model, **_LOOK},
                        self._soon_s(patience_s),
                    )
                except PassingError as error:
                    failure = error
                except EngineError:
                    pass  # who refuses is there
                finally:
                    there.end_look(str(failure) if failure else None, getattr(failure, "wait_s", 0))
            elif there.lost(patience_s):
                raise self._unreachable(there.reason, patience_s)
            else:
                await asyncio.sleep(there.pause_s(patience_s))

    def _soon_s(self, patience_s: float) -> float:
        """For an answer that costs the server next to nothing; little, where patience is short."""
        return min(self.patience.look_s, self.patience.answer_s, max(patience_s, _LEAST_S))

    async def _ask_once(
        self, method: str, path: str, body: Answer | None, answer_s: float
    ) -> Answer:
        try:
            answer = await self._wire.exchange(method, path, body, answer_s)
        except EngineError:
            self._answered()  # who refuses is there
            raise
        self._answered()
        return answer

    def _answered(self) -> None:
        self._availability.answered()
        self._suspects.alive()

    def _unreachable(self, what: str, patience_s: float) -> EngineUnreachable:
        return EngineUnreachable(
            f"{self._wire.named} cannot be reached: {what} (tried for {patience_s:.0f} s); check "
            "that the server is up and the url is right, then run or resume"
        )
