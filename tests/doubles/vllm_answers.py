"""A small HTTP server that speaks as vLLM 0.32 does, and misbehaves when told to.

The answers and error texts were copied from a real server. Its tokenizer is bytes (id = byte), with
a few longer tokens. What it says next, and how it fails first, the test writes down:

    with VllmAnswers() as server:
        server.faults.append(status(429, retry_after="0"))
        server.completions.append(completion("text", ids, "stop", "### Step"))
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
Fault = Callable[["_Handler"], None]

END, STEP, TORN_STOP, THINK, EXTRA = 256, 257, 258, 259, 260
PIECES = {
    END: b"<|end|>",
    STEP: b"### Step",
    TORN_STOP: b".\n### Step",
    THINK: b"<think>",
    EXTRA: b"<extra_0>",
}
LOOK = "1"
"""The prompt of the small question by which cord sees whether a server is there again."""
NO_TEMPLATE = (
    "As of transformers v4.44, default chat template is no longer allowed, so you must provide a "
    "chat template if the tokenizer does not define one."
)
TOO_LONG = (
    "This model's maximum context length is 2048 tokens. However, your prompt contains 4000 input "
    "tokens, which exceeds this limit even without any output tokens. Please reduce the length of "
    "the input prompt."
)
NAN = "Out of range float values are not JSON compliant"


def completion(
    text: str, ids: list[int], finish: str = "stop", stop_reason: str | int | None = None
) -> Json:
    """One choice of `/v1/completions`."""
    return {"text": text, "token_ids": ids, "finish_reason": finish, "stop_reason": stop_reason}


def status(code: int, message: str = "busy", retry_after: str | None = None) -> Fault:
    """Answer with an error of vLLM's shape."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    body = json.dumps({"error": {"message": message, "type": "T", "param": None, "code": code}})
    return lambda handler: handler.reply(code, body.encode(), headers)


def raw(body: bytes, code: int = 200) -> Fault:
    """Answer with these bytes."""
    return lambda handler: handler.reply(code, body, {})


def hang_up(handler: _Handler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


def cut_short(handler: _Handler) -> None:
    """Promise a body, send half of it, and close."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


class Refused(Exception):
    """What `answer` raises where a healthy server refuses: (status, message)."""


class VllmAnswers:
    """The server. `faults` and `completions` are used up one by one, in order."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self.faults: deque[Fault] = deque()
        self.faulty_path = "/v1/completions"
        """Where the faults happen."""
        self.completions: deque[Json] = deque()
        self.logprob: Callable[[int, int], float | None] = lambda position, token_id: -0.5
        self.forces = False
        """It has cord's logits processor."""
        self.replays = False
        """It was started with `--enable-trace-replay --enable-scale-out`."""
        self.allows = True
        """It knows `allowed_token_ids`."""
        self.processed = False
        """Log-probabilities are those after forcing: `--logprobs-mode processed_logprobs`."""
        self.thinking_is_opened = False
        self.marked = True
        """`<extra_0>` is a token."""
        self.rewards: Callable[[list[int]], Any] = lambda ids: []
        """What a pooling server says of a prompt: a vector, or one for each token."""
        self.key: str | None = None
        self.listing: list[Json] = [{"id": "m", "root": "org/m", "max_model_len": 2048}]
        self.requests: list[tuple[str, Json]] = []
        """Path and body of every request, in order."""

    def __enter__(self) -> VllmAnswers:
        double = self

        class Handler(_Handler):
            answers = double

        self._http = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def asked(self, path: str) -> list[Json]:
        """Bodies that were sent to `path`."""
        return [body for asked_path, body in self.requests if asked_path == path]

    def answer(self, path: str, body: Json) -> Json:
        """What a healthy server answers."""
        match path:
            case "/v1/models":
                return {"object": "list", "data": self.listing}
            case "/version":
                return {"version": "0.32.0"}
            case "/tokenize" if "messages" in body:
                chat = "".join(f"<{m['role']}>{m['content']}" for m in body["messages"])
                opened = [THINK, 10] if self.thinking_is_opened else []
                return {"tokens": [*chat.encode(), *b"<assistant>", *opened]}
            case "/tokenize" if body["prompt"] == "<extra_0>" and self.marked:
                return {"tokens": [EXTRA]}
            case "/pooling":
                return {"data": [{"index": 0, "data": self.rewards(body["input"])}]}
            case "/tokenize":
                return {"tokens": list(body["prompt"].encode())}
            case "/detokenize":
                pieces = (PIECES.get(i) or bytes([i]) for i in body["tokens"])
                return {"prompt": b"".join(pieces).decode(errors="replace")}
            case "/v1/completions" if "prompt_logprobs" in body:
                return {"choices": [self._read(i, p) for i, p in enumerate(body["prompt"])]}
            case "/v1/completions" if "logprobs" in body:
                return {"choices": [self._decode(body)]}
            case "/inference/v1/generate" if self.replays:
                return {"choices": [self._replay(body["token_ids"], body["sampling_params"])]}
            case "/v1/completions" if body["prompt"] == LOOK:
                return {"choices": [{"index": 0, **completion("1", [49], "length")}]}
            case "/v1/completions":
                return {"choices": [{"index": 0, **self.completions.popleft()}]}
        raise KeyError(path)

    def _read(self, index: int, prompt: list[int]) -> Json:
        values: list[Json | None] = [None]
        for position, token_id in enumerate(prompt[1:], 1):
            value = self.logprob(position, token_id)
            values.append(None if value is None else {str(token_id): {"logprob": value}})
        return {"index": index, "finish_reason": "length", "prompt_logprobs": values}

    def _decode(self, body: Json) -> Json:
        """What is decoded behind a prompt, and the log-probabilities of that. Left alone, this
        model says 7 over and over."""
        count, prompt = body["max_tokens"], body["prompt"]
        ids: list[int] = [55] * count
        if self.allows:
            ids = body.get("allowed_token_ids", [55]) * count
        if self.forces:
            ids = list(body.get("vllm_xargs", {}).get("cord_forced_ids", ids))[:count]
        values = [self.logprob(len(prompt) + i, token) for i, token in enumerate(ids)]
        logprobs = {
            "tokens": [f"token_id:{token}" for token in ids],
            "token_logprobs": [0.0] * count if self.processed else values,
        }
        return {"index": 0, "finish_reason": "length", "logprobs": logprobs}

    def _replay(self, prompt: list[int], sampling: Json) -> Json:
        ids = sampling["trace_decode_token_ids"][: sampling["max_tokens"]]
        values = [self.logprob(len(prompt) + i, token) for i, token in enumerate(ids)]
        if self.processed:
            values = [0.0] * len(ids)
        content = [
            {"token_id": token, "logprob": value, "rank": 1, "top_logprobs": []}
            for token, value in zip(ids, values, strict=True)
        ]
        return {"index": 0, "token_ids": ids, "logprobs": {"content": content}}


class _Handler(BaseHTTPRequestHandler):
    answers: VllmAnswers
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # head and body in one packet, or each answer waits 40 ms for an ACK

    def do_GET(self) -> None:
        self._serve({})

    def do_POST(self) -> None:
        self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _serve(self, body: Json) -> None:
        self.answers.requests.append((self.path, body))
        if self.answers.key and self.headers["Authorization"] != f"Bearer {self.answers.key}":
            return self.reply(401, b'{"error":"Unauthorized"}', {})
        if self.answers.faults and self.path == self.answers.faulty_path:
            return self.answers.faults.popleft()(self)
        try:
            answer = self.answers.answer(self.path, body)
        except Refused as refused:
            return status(*refused.args)(self)
        except KeyError:
            return self.reply(404, b'{"detail":"Not Found"}', {})
        return self.reply(200, json.dumps(answer).encode(), {})

    def reply(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
