"""Token ids through the server's own tokenizer: exact, and cached.

Nothing is tokenised here. The server renders the chat template and turns text into ids
(`/tokenize`) and back (`/detokenize`), so cord needs no copy of any tokenizer and can never
disagree with the model that is served.

Steps are tokenised each on its own: a step's ids are then a pure function of its text, the same
prefix is always the same ids, and the server's prefix cache holds.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from cord.engines.vllm_http import VllmServer
from cord.prompts import messages, thinking_opening

Ids = tuple[int, ...]

_CACHED_IDS = 1_000_000  # about 40 MB
_TAIL = 16  # ids at a prompt's end that surely hold `<think>` and what follows it
_MOST_CUTS = 16  # ids that a stop string and a torn character can take


class IdCache:
    """Least recently used texts are forgotten once all ids together are more than `capacity`."""

    def __init__(self, capacity: int = _CACHED_IDS) -> None:
        self._capacity, self._size = capacity, 0
        self._ids: OrderedDict[tuple[str, str], Ids] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, kind: str, text: str) -> Ids | None:
        """The ids, or None where they are not known (any more)."""
        with self._lock:
            if (ids := self._ids.get((kind, text))) is not None:
                self._ids.move_to_end((kind, text))
            return ids

    def put(self, kind: str, text: str, ids: Ids) -> Ids:
        """Remember `ids`, and give them back."""
        with self._lock:
            if (kind, text) not in self._ids:
                self._ids[kind, text] = ids
                self._size += len(ids) + 1
            while self._size > self._capacity:
                _, forgotten = self._ids.popitem(last=False)
                self._size -= len(forgotten) + 1
        return ids


class VllmTokenizer:
    """The tokenizer and chat template of a served model."""

    def __init__(self, server: VllmServer, instructions: str) -> None:
        self._server = server
        self._instructions = instructions
        self._cache = IdCache()

    async def prompt_ids(self, question: str) -> Ids:
        """The chat up to where the first step begins: rendered, and its thinking opened."""
        if (known := self._cache.get("chat", question)) is not None:
            return known
        chat = messages(question, self._instructions)
        ids = await self._tokenize({"messages": chat, "add_generation_prompt": True})
        opening = thinking_opening(await self.text(ids[-_TAIL:]))
        return self._cache.put("chat", question, ids + await self.ids(opening))

    async def ids(self, text: str) -> Ids:
        """The ids of `text` by itself, without any special token around it."""
        if not text:
            return ()
        if (known := self._cache.get("text", text)) is not None:
            return known
        ids = await self._tokenize({"prompt": text, "add_special_tokens": False})
        return self._cache.put("text", text, ids)

    async def text(self, ids: Ids) -> str:
        """What `ids` spell, special tokens included."""
        if not ids:
            return ""
        answer = await self._server.post("/detokenize", {"tokens": ids})
        if not isinstance(text := answer.get("prompt"), str):
            raise self._server.error("answered /detokenize without a text; is it a vLLM server?")
        return text

    async def spell(self, opening: str, body: str, sampled: Ids, stop: str | None) -> Ids:
        """Ids that spell exactly `opening + body`: the opening's, then as many of `sampled` as can.

        `sampled` may say more than `body`: the stop string (whose first characters can share a
        token with the body's last), or the first bytes of a character that was never finished.
        What the sampled ids leave over of the body is tokenised by itself. Empty where no ids
        spell the text (a tokenizer that adds spaces)."""
        head, text = await self.ids(opening), opening + body
        count = max(0, len(sampled) - (len(await self.ids(stop)) if stop else 0))
        lowest = max(0, count - _MOST_CUTS)
        said = await self.text(head + sampled[:count])
        while not text.startswith(said) and count > lowest:
            count -= 1
            said = await self.text(head + sampled[:count])
        while said != text and text.startswith(said) and count < len(sampled):
            longer = await self.text(head + sampled[: count + 1])
            if not text.startswith(longer):
                break
            count, said = count + 1, longer
        if said == text:
            return head + sampled[:count]
        if not text.startswith(said):
            count, said = 0, opening
        spelt = head + sampled[:count] + await self.ids(text[len(said) :])
        return spelt if await self.text(spelt) == text else ()

    async def _tokenize(self, body: dict[str, object]) -> Ids:
        ids = (await self._server.post("/tokenize", body)).get("tokens")
        if not isinstance(ids, list) or not all(isinstance(i, int) for i in ids):
            raise self._server.error("answered /tokenize without token ids; is it a vLLM server?")
        return tuple(ids)
