"""Whatever JSON a server answers with: something usable, or an error in words, and nothing else.

The engines are the real ones; in the place of one server's wire stands a small healthy model, one
of whose answers is changed. What comes over a real wire is in `exchanges`."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from benchmarks.chaos.fuzz.mutation import near_json, torn
from benchmarks.chaos.fuzz.trying import Property
from cord.engines import AnswerRequest, Engine, EngineInfo, Proposal, ProposalRequest
from cord.engines.api_key import ApiKey
from cord.engines.endpoint.engine import OpenAIEngine
from cord.engines.vllm import metrics
from cord.engines.vllm.engine import VllmEngine
from cord.engines.vllm.server import Answer, Patience
from cord.engines.vllm.wire import Wire
from cord.errors import EngineError
from cord.prompts import ANSWER_PROBE
from cord.types import Step

URL = "http://127.0.0.1:1/v1"
AT_ONCE = Patience(first_wait_s=0.0, unusable_tries=2)
NAMES = (
    *("choices", "index", "text", "token_ids", "finish_reason", "stop_reason", "logprobs"),
    *("prompt_logprobs", "logprob", "token_logprobs", "tokens", "token_id", "content", "usage"),
    *("message", "reasoning_content", "reasoning", "data", "id", "max_model_len", "root", "prompt"),
    *("prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens", "version"),
    *("matched_stop", "52", "0", "error", "seed"),
)
USAGE = {
    "prompt_tokens": 40,
    "completion_tokens": 6,
    "prompt_tokens_details": {"cached_tokens": 32},
}
TEXT = " Add.\n2+2=4\n"
STEP = Step("### Step 1. Begin\n", "a", ("a",), (35, 35, 35), "vllm:m", 3, 0.5, 0.1)
ASKED = ProposalRequest("2+2?", (STEP,), "### Step 2.", ("### Step",), 64, 0.6, 7)
SCORED = AnswerRequest("2+2?", (STEP,), ANSWER_PROBE, ("4", "four"))


def healthy(path: str, body: Answer) -> Answer:
    """What a healthy server answers; its tokenizer is bytes."""
    match path:
        case "/v1/models":
            return {"data": [{"id": "m", "root": "org/m", "max_model_len": 2048}]}
        case "/version":
            return {"version": "0.32.0"}
        case "/tokenize" if "messages" in body:
            chat = "".join(f"<{m['role']}>{m['content']}" for m in body["messages"])
            return {"tokens": list((chat + "<assistant>").encode())}
        case "/tokenize":
            return {"tokens": list(body["prompt"].encode())}
        case "/detokenize":
            return {"prompt": bytes(body["tokens"]).decode(errors="replace")}
        case "/v1/chat/completions":
            return _chat(body)
        case "/v1/completions" if "prompt_logprobs" in body:
            return {"choices": [_read(i, prompt) for i, prompt in enumerate(body["prompt"])]}
        case "/v1/completions" if "logprobs" in body:
            ids = body.get("allowed_token_ids") or body["vllm_xargs"]["cord_forced_ids"]
            logprobs = {
                "tokens": [f"token_id:{i}" for i in ids],
                "token_logprobs": [-0.5] * len(ids),
            }
            return {"choices": [{"index": 0, "finish_reason": "length", "logprobs": logprobs}]}
        case "/inference/v1/generate":
            ids = list(body["sampling_params"]["trace_decode_token_ids"])
            content = [{"token_id": i, "logprob": -0.5} for i in ids]
            return {"choices": [{"token_ids": ids, "logprobs": {"content": content}}]}
    choice = {
        "index": 0,
        "text": TEXT,
        "token_ids": list((TEXT + "### Step").encode()),
        "finish_reason": "stop",
        "stop_reason": "### Step",
    }
    return {"choices": [choice], "usage": USAGE}


def _read(index: int, prompt: list[int]) -> Answer:
    values = [None, *({str(token): {"logprob": -0.5}} for token in prompt[1:])]
    return {"index": index, "finish_reason": "length", "prompt_logprobs": values}


def _chat(body: Answer) -> Answer:
    begun = body["messages"][-1]["content"]
    rhyme = "one two buckle my shoe three four knock at the door "
    said = (3 * rhyme)[len(begun) % len(rhyme) :][: 2 * min(body["max_tokens"], 40)]
    message = {"role": "assistant", "content": said}
    return {"choices": [{"message": message, "finish_reason": "length"}], "usage": USAGE}


@dataclass(frozen=True)
class Conversation:
    """The `place`-th answer on `path` is `answer`; with `always`, so are all after it."""

    path: str
    place: int
    answer: Any
    always: bool


class _Told(Wire):
    """In the place of a server's wire."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(URL, "m", ApiKey(None), 1.0, 1)
        self._told = conversation
        self._asked = 0

    async def exchange(
        self, method: str, path: str, body: Answer | None, answer_s: float
    ) -> Answer:
        if path == self._told.path:
            self._asked += 1
            place = self._told.place
            if self._asked == place or (self._told.always and self._asked > place):
                answer: Answer = self._told.answer
                return answer
        # As the wire hands it over: JSON's own types.
        return healthy(path, json.loads(json.dumps(body or {})))


VLLM_ANSWERS: tuple[tuple[str, Answer], ...] = (
    ("/v1/models", healthy("/v1/models", {})),
    ("/version", healthy("/version", {})),
    ("/tokenize", {"tokens": [52, 53, 10]}),
    ("/detokenize", {"prompt": "<assistant>"}),
    ("/v1/completions", healthy("/v1/completions", {})),
    ("/v1/completions", {"choices": [_read(0, [9, 52]), _read(1, [9, 52])]}),
    (
        "/v1/completions",
        {"choices": [{"logprobs": {"tokens": ["token_id:52"], "token_logprobs": [-0.5]}}]},
    ),
    (
        "/inference/v1/generate",
        {
            "choices": [
                {"token_ids": [52], "logprobs": {"content": [{"token_id": 52, "logprob": -0.5}]}}
            ]
        },
    ),
)
CHAT_ANSWERS: tuple[tuple[str, Answer], ...] = (
    ("/v1/models", {"data": [{"id": "m", "context_length": 4096}]}),
    ("/v1/chat/completions", _chat({"messages": [{"content": ""}], "max_tokens": 32})),
    (
        "/v1/chat/completions",
        {
            "choices": [
                {
                    "message": {"content": "So 4.", "reasoning_content": "Add.\n"},
                    "finish_reason": "stop",
                    "stop_reason": "### Step",
                }
            ],
            "usage": USAGE,
        },
    ),
)


@st.composite
def conversations(draw: st.DrawFn, answers: tuple[tuple[str, Answer], ...]) -> Conversation:
    """One answer of a conversation nearly right, or any object at all."""
    path, right = draw(st.sampled_from(answers))
    answer = draw(near_json(right, NAMES))
    if not isinstance(answer, dict):  # the wire takes nothing else
        answer = {draw(st.sampled_from(NAMES)): answer}
    return Conversation(path, draw(st.integers(1, 6)), answer, draw(st.booleans()))


_loop = asyncio.new_event_loop()


def _talk(engine: VllmEngine | OpenAIEngine, conversation: Conversation) -> None:
    engine._server._wire = _Told(conversation)
    _loop.run_until_complete(_questions(engine))


async def _questions(engine: Engine) -> None:
    for ask, check in _QUESTIONS:
        try:
            said = await ask(engine)
        except EngineError as error:
            _check_sentence(str(error))
        else:
            check(said)


def _check_sentence(said: str) -> None:
    said.encode()
    assert "'m'" in said or "scored" in said, said
    assert len(said) < 2000


def _check_info(info: EngineInfo) -> None:
    assert 0 < info.context < 2**31
    for text in (info.model, info.identity, info.engine, info.scoring):
        assert len(text.encode()) < 1000
        assert text.isprintable()


def _check_proposal(proposal: Proposal) -> None:
    proposal.text.encode()
    assert proposal.text.startswith(ASKED.opening)
    assert proposal.finish in ("stop", "end", "length")
    for count in (*proposal.token_ids, proposal.tokens, proposal.prompt_tokens):
        assert type(count) is int
        assert 0 <= count < 2**31
    cached = proposal.cached_tokens
    assert cached is None or (type(cached) is int and 0 <= cached <= proposal.prompt_tokens)


def _check_logprobs(values: Any) -> None:
    assert len(values) == len(SCORED.answers)
    for one in values:
        assert one
        for value in one:
            assert type(value) is float
            assert math.isfinite(value)
            assert value <= 0


def _check_count(count: int) -> None:
    assert type(count) is int
    assert 0 < count < 2**31


_QUESTIONS: tuple[tuple[Callable[[Engine], Any], Callable[[Any], None]], ...] = (
    (lambda engine: engine.describe(), _check_info),
    (lambda engine: engine.propose(ASKED), _check_proposal),
    (lambda engine: engine.answer_logprobs(SCORED), _check_logprobs),
    (lambda engine: engine.prompt_tokens("2+2?"), _check_count),
)


def vllm_speaks_sense_or_fails(conversation: Conversation) -> None:
    """Describe, propose, score, count."""
    _talk(VllmEngine(URL, "m", patience=AT_ONCE), conversation)


def an_endpoint_speaks_sense_or_fails(conversation: Conversation) -> None:
    """Describe, propose, count."""
    _talk(OpenAIEngine(URL, "m", patience=AT_ONCE), conversation)


PAGE = b"""# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="m"} 120.0
vllm:generation_tokens_total{engine="0",model_name="m"} 60.0
vllm:generation_tokens_created{engine="0",model_name="m"} 1.79e+09
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 100.0
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 80.0
"""
PAGE_SNIPPETS = (
    *(b"NaN", b"+Inf", b"-1", b"1e999", b"9" * 400, b"{", b"}", b'"', b"\\", b"\n", b"# TYPE x "),
    *(b"# HELP", b"#", b",", b"=", b" ", b"\xff", b"\x00", b"histogram", b"_bucket", b'le="x"'),
)


def counters_or_none(page: bytes) -> None:
    """A `/metrics` page of any bytes."""
    reading = metrics.parse(page.decode("utf-8", "replace"))
    if reading is not None:
        assert reading.counters.all_grown
        assert math.isfinite(reading.born)


PROPERTIES = (
    Property(
        "engine's response parser",
        "vLLM's answers are usable or refused in words",
        conversations(VLLM_ANSWERS),
        vllm_speaks_sense_or_fails,
    ),
    Property(
        "engine's response parser, chat",
        "an endpoint's answers are usable or refused in words",
        conversations(CHAT_ANSWERS),
        an_endpoint_speaks_sense_or_fails,
    ),
    Property(
        "engine's response parser, metrics",
        "a page of counters is read or left alone",
        torn(PAGE, PAGE_SNIPPETS) | st.binary(max_size=60),
        counters_or_none,
    ),
)
