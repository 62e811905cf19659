"""A small HTTP server that speaks as OpenAI-compatible endpoints do, each in its own dialect.

Its model says the words of `RHYME` over and over; where it goes on is decided by how much was
begun, so that it goes on consistently. The test says which way of asking it understands."""

from __future__ import annotations

from typing import Literal

from doubles.vllm_answers import Json, Refused, VllmAnswers

RHYME = "one two buckle my shoe three four knock at the door five six pick up sticks "
Takes = Literal["switches", "mark", "mark, apart", "convention", "thinking off", "nothing"]
KNOWN = {"model", "messages", "max_tokens", "temperature", "top_p", "stop"}


class OpenAIAnswers(VllmAnswers):
    """The server. `takes`: how it wants to be asked to go on; `strict`: it refuses other fields."""

    def __init__(
        self, takes: Takes, strict: bool = False, seeds: bool = True, listing: bool = True
    ) -> None:
        super().__init__()
        self.faulty_path = "/v1/chat/completions"
        self.takes, self.strict, self.seeds, self.lists = takes, strict, seeds, listing
        self.replies: list[Json] = []
        """Choices to give instead of the rhyme, used up in order."""
        self.usage: Json | None = {
            "prompt_tokens": 40,
            "completion_tokens": 6,
            "prompt_tokens_details": {"cached_tokens": 32},
        }

    def answer(self, path: str, body: Json) -> Json:
        """What such an endpoint answers."""
        if path in ("/v1/models", "/beta/models") and self.lists:
            return {"object": "list", "data": self.listing}
        if not path.endswith("/chat/completions"):
            raise KeyError(path)
        begun = self._begun(body)
        choice = {"message": self._message(begun, body), "finish_reason": "length"}
        if begun is not None and self.replies:
            choice = self.replies.pop(0)
        return {"choices": [choice], **({"usage": self.usage} if self.usage else {})}

    def _begun(self, body: Json) -> str | None:
        """The text it goes on with; None where it begins an answer of its own."""
        last = body["messages"][-1]
        known = KNOWN | {
            "switches": {"continue_final_message", "add_generation_prompt"},
            "thinking off": {"chat_template_kwargs"},
        }.get(self.takes, set())
        if self.seeds:
            known |= {"seed"}
        marks = {"role", "content"}
        marks |= {"prefix"} if self.takes.startswith("mark") else set()
        marks |= {"reasoning_content"} if self.takes == "mark, apart" else set()
        unknown = sorted((body.keys() - known) | (last.keys() - marks))
        if self.strict and unknown:
            raise Refused(400, f"Unrecognized request argument supplied: {unknown[0]}")
        apart = "reasoning_content" in last
        understood = {
            "switches": body.get("continue_final_message"),
            "mark": last.get("prefix") and not apart,
            "mark, apart": last.get("prefix") and apart,
            "convention": not apart,
            "thinking off": body.get("chat_template_kwargs") == {"enable_thinking": False},
            "nothing": False,
        }[self.takes]
        if not understood:
            return None
        return last.get("reasoning_content", "") + last["content"]

    def _message(self, begun: str | None, body: Json) -> Json:
        if begun is None:
            said = "Okay, the user wants a sum of two numbers. So 17 + 26 = 43."
            return {"role": "assistant", "content": said[: 2 * body["max_tokens"]]}
        at = len(begun) % len(RHYME)
        said = (2 * RHYME)[at : at + min(2 * body["max_tokens"], 40)]
        if self.takes == "mark, apart":
            return {"role": "assistant", "content": "", "reasoning_content": said}
        return {"role": "assistant", "content": said}
