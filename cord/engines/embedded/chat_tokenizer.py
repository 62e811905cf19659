"""A model's own tokenizer and chat template: text to ids and back, injection kept out.

Text that comes from outside (questions, steps other models wrote) is never read as special
tokens, so that a question containing `<|im_end|>` stays a question; the template's own special
tokens, and the thinking tags, are. Texts are cord's; where the model writes its thinking in a form
of its own (`cord.thinking`) they are translated on the way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from cord.errors import EngineError
from cord.prompts import (
    THINK_CLOSE,
    THINK_OPEN,
    knows_words,
    messages,
    one_message,
    stands_in,
)
from cord.thinking import ThinkingForm, form_of, without_closed_thinking

REMEMBERED = 1 << 16
"""Step texts whose ids are kept at hand; a round's prefixes are tokenised again each round."""

THINKING_ON: Any = {"enable_thinking": True, "thinking": True}
"""Hybrid models' templates think where these say so; others do not look at them."""

THINKING_TAGS = (THINK_OPEN, THINK_CLOSE)
_THINKING_TAGS = re.compile(f"({'|'.join(map(re.escape, THINKING_TAGS))})")
_MARKER = re.compile(r"<[^<>\s]+>")


class ChatTokenizer:
    """Encodes prompts and texts for one model. Safe to use from many threads at once."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, instructions: str) -> None:
        if not tokenizer.chat_template:
            raise EngineError(
                f"the model in {tokenizer.name_or_path} has no chat template; use an instruction-"
                "tuned model, or put its template into the folder as chat_template.jinja"
            )
        self._tokenizer = tokenizer
        self._instructions = instructions
        # Two private copies: transformers' own wrapper changes its backend on the fly, which two
        # threads must not do at once.
        self.backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._literal = Tokenizer.from_str(_named_special(tokenizer.backend_tokenizer.to_str()))
        for backend in (self.backend, self._literal):
            backend.no_truncation()
            backend.no_padding()
        self._literal.encode_special_tokens = True  # spell special tokens out as plain text
        added = self._literal.get_added_tokens_decoder()
        self._special = {token.content: number for number, token in added.items() if token.special}
        self._tags = {tag: self._special.get(tag) for tag in THINKING_TAGS}
        self.prompt_ids = lru_cache(4096)(self._prompt_ids)
        self.chat_ids = lru_cache(4096)(self._chat_ids)
        self.text_ids = lru_cache(REMEMBERED)(self._text_ids)

    @classmethod
    def from_folder(cls, folder: Path, instructions: str) -> ChatTokenizer:
        """Load from a local folder. Raises `EngineError`."""
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # transformers raises whatever its parts raise
            raise EngineError(f"cannot load a tokenizer from {folder}: {error}") from error
        if not isinstance(tokenizer, PreTrainedTokenizerFast):
            raise EngineError(
                f"the tokenizer in {folder} is not a fast one (tokenizer.json); convert it once "
                "with transformers' convert_slow_tokenizer"
            )
        return cls(tokenizer, instructions)

    @property
    def end_id(self) -> int | None:
        """The tokenizer's own end-of-sequence id."""
        number = self._tokenizer.eos_token_id
        return number if isinstance(number, int) else None

    @property
    def unspoken_ids(self) -> frozenset[int]:
        """Special tokens, thinking tags excepted. Their spelling means nothing to other models,
        so they have no place in a step."""
        tags = {number for number in self._tags.values() if number is not None}
        tags |= {self._special[token] for token in self.form.controls & self._special.keys()}
        return frozenset(self._special.values()) - tags

    @property
    def size(self) -> int:
        """How many ids spell something (a model's output may be padded beyond)."""
        return self.backend.get_vocab_size(with_added_tokens=True)

    @cached_property
    def form(self) -> ThinkingForm:
        """How the model writes its thinking down."""
        return form_of(self._rendered("1+1=", self._instructions))

    def prompt_text(self, question: str) -> str:
        """What `prompt_ids` spells, as one string: special tokens in a question look like the
        template's own in it."""
        rendered = self._rendered(question, self._instructions)
        return rendered + form_of(rendered).opening

    def special_id(self, token: str) -> int | None:
        """The id of a special token, spelt so; None where the tokenizer has none."""
        return self._special.get(token)

    def _rendered(self, question: str, words: str) -> str:
        """The chat up to where the assistant begins, with instructions (`words`) in it: as the
        system message, or, where the template has no place for one, in front of the question."""
        refusal: EngineError | None = None
        for chat in (messages, one_message):
            try:
                text = self._render(chat(question, words))
            except EngineError as error:
                refusal = refusal or error
                continue
            said = stands_in(words, text) or not self._knows(words)
            if said and stands_in(question, text):
                text = without_closed_thinking(text)
                worded = form_of(text).worded(words)
                return text if worded == words else self._rendered(question, worded)
        raise refusal or EngineError(
            f"the chat template of {self._tokenizer.name_or_path} leaves out the question or the "
            "instructions; correct its chat_template.jinja"
        )

    def _render(self, chat: list[dict[str, str]]) -> str:
        try:
            text = self._tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=True, **THINKING_ON
            )
        except TemplateError as error:
            raise EngineError(
                f"the chat template of {self._tokenizer.name_or_path} refuses a chat of one system "
                f"and one user message: {error}"
            ) from error
        return str(text)

    def _knows(self, words: str) -> bool:
        return knows_words(words, len(_encode(self.backend, words)))

    def _prompt_ids(self, question: str, instructions: str = "") -> tuple[int, ...]:
        """The chat prompt, up to and with the opened thinking. `instructions` stand in the place
        of the tokenizer's own."""
        rendered = self._rendered(question, instructions or self._instructions)
        return self._spelt(rendered + form_of(rendered).opening, question)

    def _chat_ids(self, question: str) -> tuple[int, ...]:
        """The chat prompt, up to where the assistant begins."""
        return self._spelt(self._rendered(question, self._instructions), question)

    def _spelt(self, rendered: str, question: str) -> tuple[int, ...]:
        """A rendered chat, its question being plain text."""
        spoken = question.strip()  # templates often strip
        if not any(token in question for token in self._special):
            return self._template_ids(rendered)
        before, found, behind = rendered.rpartition(spoken)
        if not found:
            raise EngineError(
                "the question contains special tokens of the model "
                f"({', '.join(t for t in self._special if t in question)}), and the chat template "
                "rewrites it, so that they cannot be told from the template's own; remove them"
            )
        return self._template_ids(before) + self._literal_ids(found) + self._template_ids(behind)

    def _template_ids(self, text: str) -> tuple[int, ...]:
        """Text of the template: special tokens are special."""
        return _encode(self.backend, text)

    def _text_ids(self, text: str) -> tuple[int, ...]:
        """A text by itself: special tokens in it are plain text, the thinking tags tags."""
        ids: list[int] = []
        for piece, control in self.form.pieces(text) if THINK_CLOSE in text else [(text, False)]:
            ids.extend(_encode(self.backend, piece) if control else self._literal_ids(piece))
        return tuple(ids)

    def _literal_ids(self, text: str) -> tuple[int, ...]:
        if any(number is not None for number in self._tags.values()):
            pieces = _THINKING_TAGS.split(text)
        else:
            pieces = [text]
        ids: list[int] = []
        for piece in filter(None, pieces):
            tag = self._tags.get(piece)
            if tag is not None:
                ids.append(tag)
            else:
                ids.extend(_encode(self._literal, piece))
        return tuple(ids)

    def canonical(self, written: str, ids: Sequence[int]) -> tuple[str, tuple[int, ...]]:
        """What the model wrote, in cord's words, with the ids that spell it; none where a change
        from thinking to answer was cut off."""
        whole = self.form.whole(written)
        return self.form.canonical(whole), tuple(ids) if whole == written else ()

    def spell(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens spelled out."""
        return str(self.backend.decode(list(ids), skip_special_tokens=False))


def _named_special(tokenizer: str) -> str:
    """A tokenizer's JSON, in which every marker in angle brackets is a special token: some models
    (DeepSeek-R1-Distill's `<｜User｜>`) have theirs among the plain added ones."""
    content = json.loads(tokenizer)
    for token in content.get("added_tokens", []):
        if _MARKER.fullmatch(token["content"]) and token["content"] not in THINKING_TAGS:
            token["special"] = True
    return json.dumps(content)


def _encode(backend: Tokenizer, text: str) -> tuple[int, ...]:
    try:
        return tuple(backend.encode(text, add_special_tokens=False).ids)
    except (TypeError, UnicodeError) as error:  # a lone surrogate
        raise EngineError(f"not valid Unicode, cannot be tokenised: {text[:60]!a}") from error
