"""What a vLLM server says of the model that it serves."""

from __future__ import annotations

from dataclasses import dataclass

from cord.engines import json_values
from cord.engines.vllm.server import VllmServer

_LONGEST_NAME = 500


@dataclass(frozen=True, slots=True)
class Served:
    """One model on one server."""

    identity: str
    """What names it (`EngineInfo.identity`)."""
    context: int
    version: str
    """The server's."""


async def ask_who(server: VllmServer, identity: str, patience_s: float | None = None) -> Served:
    """Ask a server for its model. `identity`: what names it, where the caller knows better than the
    server's listing. Raises `EngineRefused` where the model is not served there."""
    name, listed = server.model, await server.served(patience_s)
    if (entry := listed.get(name)) is None:
        raise server.not_served(listed)
    context = json_values.count(entry.get("max_model_len"))
    if not context:
        raise server.error("does not say its context length; is it a vLLM server?")
    root = _name(entry.get("root"))
    listed_as = f"vllm:{name}" + (f"@{root}" if root and root != name else "")
    version = _name((await server.get("/version", patience_s)).get("version"))
    return Served(identity or listed_as, context, version or "?")


def _name(value: object) -> str:
    """A name that a server gives, as one line; "" without one."""
    text = json_values.text(value) or ""
    return text if text.isprintable() and len(text) <= _LONGEST_NAME else json_values.shown(text)
