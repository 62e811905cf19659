"""A model on a vLLM server, whatever it is asked for."""

from __future__ import annotations

from cord.engines.suspects import Suspects
from cord.engines.vllm.metrics import MeteredServer
from cord.engines.vllm.served import Served, ask_who
from cord.engines.vllm.server import Patience, VllmServer
from cord.engines.vllm.tokens import VllmTokenizer


class VllmModel:
    """What the engines over a vLLM server (0.20 or newer) share. Safe from several loops and
    threads.

    `api_key_env` names the environment variable that holds the server's key. The key is read for
    each request and kept nowhere. `identity` is what names the model, where the caller knows
    better than the server's listing."""

    def __init__(
        self,
        url: str,
        model: str,
        api_key_env: str | None,
        instructions: str,
        patience: Patience | None,
        connections: int,
        identity: str,
        suspects: Suspects | None,
    ) -> None:
        self._api_key_env = api_key_env
        self._server = VllmServer(
            url, model, api_key_env, patience or Patience(), connections, suspects=suspects
        )
        self._tokenizer = VllmTokenizer(self._server, instructions)
        self._identity = identity
        self._served: Served | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._server.url!r}, {self._server.model!r})"

    @property
    def metered_server(self) -> MeteredServer:
        """Where its server's own counters are."""
        return MeteredServer(self._server.url, lambda: self._server.url, self._api_key_env)

    async def close(self) -> None:
        """Close the connections. The engine may be used again afterwards."""
        await self._server.close()

    async def _ask_who(self, patience_s: float | None = None) -> Served:
        if self._served is None:
            self._served = await ask_who(self._server, self._identity, patience_s)
        return self._served
