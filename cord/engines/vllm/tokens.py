"""Token ids through the server's own tokenizer: exact, and cached.

Nothing is tokenised here. The server renders the chat template and turns text into ids
(`/tokenize`) and back (`/detokenize`), so cord needs no copy of any tokenizer and can never
disagree with the model that is served.

Steps are tokenised each on its own: a step's ids are then a pure function of its text, the same
prefix is always the same ids, and the server's prefix cache holds. Texts are cord's; where the
model writes its thinking in a form of its own (`cord.thinking`) they are translated on the way.

The server reads special tokens in whatever it tokenises. Those of a question, or of a step that
another model wrote, are mere text: such a text is tokenised in pieces, cut inside the token's name.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import pairwise

from cord.engines import json_values
from cord.engines.vllm.server import VllmServer
from cord.errors import ContextTooLong, EngineError, EngineRefused, EngineUnreachable
from cord.prompts import (
    THINK_CLOSE,
    THINK_OPEN,
    knows_words,
    messages,
    one_message,
    stands_in,
)
from cord.thinking import ThinkingForm, form_of, without_closed_thinking

Ids = tuple[int, ...]
Chat = Callable[[str, str], list[dict[str, str]]]
"""Question and instructions to the messages that carry both."""

_CACHED_IDS = 1_000_000  # about 40 MB
_TAIL = 16  # ids at a prompt's end that surely hold `<think>` and what follows it
_OFTEN_ENOUGH = 32  # spellings that were guessed right before the server is asked no more
_MOST_CUTS = 16  # ids that a stop string and a torn character can take
# Hybrid models' templates think where these say so; others do not look at them.
_THINKING_ON = {"chat_template_kwargs": {"enable_thinking": True, "thinking": True}}
_SHAPES = tuple((chat, extra) for extra in (_THINKING_ON, {}) for chat in (messages, one_message))
_LIKE_A_SPECIAL_TOKEN = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]{3,}\]")


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
        self._shape: tuple[Chat, Mapping[str, object]] | None = None
        self._form: ThinkingForm | None = None
        self._guessed_right = 0

    async def prompt_ids(self, question: str, instructions: str = "") -> Ids:
        """The chat up to where the first step begins: rendered, and its thinking opened.
        `instructions` stand in the place of the tokenizer's own."""
        ids = await self.chat_ids(question, instructions)
        return ids + await self._read((await self.form()).opening)

    async def chat_ids(self, question: str, instructions: str = "") -> Ids:
        """The chat up to where the assistant begins."""
        kind = f"chat {instructions}"
        if (known := self._cache.get(kind, question)) is not None:
            return known
        ids = await self._chat_ids(question, instructions)
        end = await self.text(ids[-_TAIL:])
        if (kept := without_closed_thinking(end)) != end:
            ids, end = await self._cut(ids, kept), kept
        self._form = form_of(end)
        return self._cache.put(kind, question, await self._literal_question(ids, question))

    async def whole_chat_ids(self, question: str, answer: str) -> Ids:
        """The chat with a whole answer of the assistant's, its turn ended."""
        if self._shape is None:
            await self.chat_ids("1+1=")
        assert self._shape is not None
        chat, extra = self._shape
        said = [*chat(question, self._instructions), {"role": "assistant", "content": answer}]
        return await self._tokenize({"messages": said, "add_generation_prompt": False, **extra})

    async def special_id(self, token: str) -> int | None:
        """The id of a special token, spelt so; None where the tokenizer has none."""
        ids = await self._read(token)
        return ids[0] if len(ids) == 1 else None

    async def ids(self, text: str) -> Ids:
        """The ids of cord's `text` by itself, without any special token around it."""
        if THINK_CLOSE not in text and not _LIKE_A_SPECIAL_TOKEN.search(text):
            return await self._read(text)
        if (known := self._cache.get("text", text)) is not None:
            return known
        ids: Ids = ()
        pieces = (await self.form()).pieces(text) if THINK_CLOSE in text else [(text, False)]
        for piece, control in pieces:
            ids += await (self._read(piece) if control else self._literal(piece))
        return self._cache.put("text", text, ids)

    async def form(self) -> ThinkingForm:
        """How the model writes its thinking down."""
        if self._form is None:
            await self.prompt_ids("1+1=")
        assert self._form is not None
        return self._form

    async def _chat_ids(self, question: str, instructions: str = "") -> Ids:
        """The chat as the template renders it, with the instructions in it: as the system message,
        or, where the template has no place for one, in front of the question."""
        if instructions:
            words = (await self.form()).worded(instructions)
            assert self._shape is not None
            return await self._render(*self._shape, question, words)
        if self._shape is not None:
            return await self._render(*self._shape, question, self._instructions)
        words = self._instructions
        refusal: EngineError | None = None
        for chat, extra in _SHAPES:
            try:
                ids = await self._render(chat, extra, question, words)
            except (ContextTooLong, EngineRefused, EngineUnreachable):
                raise
            except EngineError as error:
                refusal = refusal or error
                continue
            rendered = await self.text(ids)
            said = stands_in(words, rendered) or not await self._knows(words)
            if said and stands_in(question, rendered):
                self._instructions = form_of(rendered).worded(words)
                if self._instructions != words:
                    return await self._chat_ids(question)
                self._shape = (chat, extra)
                return ids
        raise refusal or self._server.error(
            "has a chat template that leaves out the question or the instructions; start vLLM with "
            "a corrected --chat-template FILE"
        )

    async def _render(
        self, chat: Chat, extra: Mapping[str, object], question: str, instructions: str
    ) -> Ids:
        asked = {"messages": chat(question, instructions), "add_generation_prompt": True}
        return await self._tokenize({**asked, **extra})

    async def _knows(self, words: str) -> bool:
        return knows_words(words, len(await self._read(words)))

    async def _cut(self, ids: Ids, end: str) -> Ids:
        """`ids` up to where their tail spells `end`."""
        for count in range(1, min(_TAIL, len(ids))):
            if await self.text(ids[-_TAIL:-count]) == end:
                return ids[:-count]
        raise self._server.error(
            "has a chat template that closes the thinking at once; start vLLM with "
            "--default-chat-template-kwargs '{\"enable_thinking\": true}'"
        )

    async def _literal_question(self, ids: Ids, question: str) -> Ids:
        """`ids` of the chat, the question's special tokens being text, where that can be had
        exactly; else as they are."""
        spoken = question.strip()  # templates often strip
        if not await self._special_tokens(spoken, tags=True):
            return ids
        rendered = await self.text(ids)
        before, found, behind = rendered.rpartition(spoken)
        if not found or await self._read(rendered) != ids:
            return ids
        spelt = await self._read(before) + await self._literal(found, tags=True)
        spelt += await self._read(behind)
        return spelt if await self.text(spelt) == rendered else ids

    async def _literal(self, text: str, tags: bool = False) -> Ids:
        """The ids of `text`, special tokens in it being text (`tags`: the thinking tags too)."""
        names = await self._special_tokens(text, tags)
        if not names:
            return await self._read(text)
        cuts = [m.start() + 1 for m in _LIKE_A_SPECIAL_TOKEN.finditer(text) if m.group() in names]
        ids: Ids = ()
        for begin, end in pairwise([0, *cuts, len(text)]):
            ids += await self._read(text[begin:end])
        return ids if await self.text(ids) == text else await self._read(text)

    async def _special_tokens(self, text: str, tags: bool = False) -> set[str]:
        """What in `text` the tokenizer reads as one token though it looks like several."""
        names = set(_LIKE_A_SPECIAL_TOKEN.findall(text))
        if not tags:
            names -= {THINK_OPEN, THINK_CLOSE}
        return {name for name in names if len(await self._read(name)) == 1}

    async def _read(self, text: str) -> Ids:
        """The ids of `text` as the server reads it, special tokens being such."""
        if not text:
            return ()
        if (known := self._cache.get("read", text)) is not None:
            return known
        ids = await self._tokenize({"prompt": text, "add_special_tokens": False})
        return self._cache.put("read", text, ids)

    async def text(self, ids: Ids) -> str:
        """What `ids` spell, special tokens included."""
        if not ids:
            return ""
        answer = await self._server.post("/detokenize", {"tokens": ids})
        if (text := json_values.text(answer.get("prompt"))) is None:
            raise self._server.error("answered /detokenize without a text; is it a vLLM server?")
        return text

    async def written(
        self, opening: str, body: str, sampled: Ids, stop: str | None
    ) -> tuple[str, Ids]:
        """What the model wrote behind `opening`, in cord's words, and the ids that spell it in
        the model's own (see `spell`).

        Where the sampled ids end in the stop string's own, what stands before these is nearly
        always the spelling. The server is asked (`spell`) until this was so often enough; a
        tokenizer with which it once is not so is asked for good."""
        form = await self.form()
        whole = form.whole(body)
        text, ending = form.canonical(opening + whole), await self.ids(stop or "")
        kept = len(sampled) - len(ending)
        guess: Ids = ()
        if ending and sampled[kept:] == ending and whole == body and "\ufffd" not in body:
            guess = await self.ids(opening) + sampled[:kept]
            if self._guessed_right >= _OFTEN_ENOUGH:
                return text, guess
        spelt = await self.spell(opening, whole, sampled, stop)
        if guess:
            self._guessed_right += 1 if spelt == guess else -(10**9)
        return text, spelt

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
        ids = json_values.token_ids((await self._server.post("/tokenize", body)).get("tokens"))
        if ids is None:
            raise self._server.error("answered /tokenize without token ids; is it a vLLM server?")
        return ids
