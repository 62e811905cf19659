"""A vLLM server's tokenizer over HTTP, with a real tokenizer and chat template behind it."""

from __future__ import annotations

from doubles.vllm_answers import Json, Refused, VllmAnswers
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerFast


class TemplatedAnswers(VllmAnswers):
    """`VllmAnswers` that tokenises with `tokenizer` and renders with its template."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, **server_defaults: object) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.server_defaults = server_defaults
        """Of the template, as `--default-chat-template-kwargs` sets them."""

    def answer(self, path: str, body: Json) -> Json:
        """As vLLM answers; text is read with its special tokens."""
        match path:
            case "/tokenize" if "messages" in body:
                return {"tokens": self._ids(self._rendered(body))}
            case "/tokenize":
                return {"tokens": self._ids(body["prompt"])}
            case "/detokenize":
                ids = body["tokens"]
                return {"prompt": self.tokenizer.decode(ids, skip_special_tokens=False)}
        return super().answer(path, body)

    def _rendered(self, body: Json) -> str:
        options = {**self.server_defaults, **body.get("chat_template_kwargs", {})}
        try:
            text = self.tokenizer.apply_chat_template(
                body["messages"],
                tokenize=False,
                add_generation_prompt=body["add_generation_prompt"],
                **options,
            )
        except TemplateError as error:
            raise Refused(400, str(error)) from error
        return str(text)

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False).input_ids
