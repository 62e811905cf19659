"""Reading the reply of an OpenAI-compatible endpoint, which may leave out more than it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cord.engines import json_values
from cord.prompts import THINK_CLOSE

Json = Mapping[str, Any]


def joined(message: Json, closed: bool) -> str | None:
    """The text of a reply, wherever a reasoning parser has put its parts; None without any.

    `closed`: the thinking was closed before, so that a parser which saw no closing tag calls the
    answer reasoning."""
    said = [message.get(key) for key in ("reasoning_content", "reasoning", "content")]
    texts = ["" if part is None else json_values.text(part) for part in said]
    if None in texts:
        return None
    reasoning, content = texts[0] or texts[1] or "", texts[2] or ""
    if closed or not reasoning or not content or THINK_CLOSE in reasoning + content:
        return reasoning + content
    gap = "" if content.startswith("\n") else "\n\n"
    return f"{reasoning}{THINK_CLOSE}{gap}{content}"


def met_stop(choice: Json, stop: Sequence[str], closed: bool) -> bool:
    """Whether the text ended at a stop string, or because the model had ended its turn. vLLM and
    SGLang say so; of others it is believed while the thinking is open, where no turn ends."""
    for key in ("stop_reason", "matched_stop"):
        if key in choice:
            return isinstance(choice[key], str) and choice[key] in stop
    return bool(stop) and not closed


def usage_of(answer: Json) -> tuple[int, int, int | None]:
    """(prompt tokens, sampled tokens, cached ones of the prompt); 0 and None where it is silent."""
    said = answer.get("usage")
    usage = said if isinstance(said, dict) else {}
    details = usage.get("prompt_tokens_details")
    cached = json_values.count(details.get("cached_tokens")) if isinstance(details, dict) else None
    prompt = json_values.count(usage.get("prompt_tokens")) or 0
    sampled = json_values.count(usage.get("completion_tokens")) or 0
    return prompt, sampled, cached if cached is not None and cached <= prompt else None
