"""What passes is survived; what stays, or is refused, is one sentence."""

import asyncio
import time
from email.utils import formatdate

import pytest
from doubles.vllm_answers import (
    NAN,
    NO_TEMPLATE,
    TOO_LONG,
    completion,
    cut_short,
    hang_up,
    raw,
    status,
)
from engines.asking import asking
from engines.vllm.asking import QUICK, completions, scoring

from cord.engines.vllm.engine import VllmEngine
from cord.engines.vllm.server import Patience
from cord.errors import ContextTooLong, EngineError, EngineUnreachable, UnusableAnswer


@pytest.mark.parametrize(
    "fault",
    [
        *(status(code) for code in (429, 500, 502, 503, 504)),
        hang_up,
        cut_short,
        raw(b"<html>a proxy speaks</html>"),
        raw(b'{"choices": [{"text": "ab'),
        raw(b"[]"),
        raw(b'{"choices": [{"text": "a", "token_ids": [97], "finish_reason": "abort"}]}'),
    ],
)
async def test_a_failure_that_passes_is_survived(server, engine, fault):
    server.faults.extend([fault, fault])
    server.completions.append(completion("x", [120], "length"))
    assert (await engine.propose(asking(opening=""))).text == "x"


async def test_a_failure_that_stays_ends_in_one_sentence_at_the_deadline(server):
    patience = Patience(total_s=0.3, first_wait_s=0.01, longest_wait_s=0.05)
    engine = VllmEngine(server.url, "m", patience=patience)
    server.faults.extend([status(503, "overloaded")] * 1000)
    began = time.monotonic()
    with pytest.raises(EngineUnreachable, match=r"'m' on the vLLM server http.*503: overloaded"):
        await engine.propose(asking())
    assert 0.2 < time.monotonic() - began < 2


async def test_a_server_that_is_not_there_is_said_soon(engine, server):
    server.__exit__()
    with pytest.raises(EngineUnreachable, match="check that the server is up"):
        await engine.describe()
    server.__enter__()


async def test_a_server_that_never_answers_is_unreachable():
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    patience = Patience(first_contact_s=0.1, first_wait_s=0.01, answer_s=0.1)
    engine = VllmEngine(f"http://127.0.0.1:{port}/v1", "m", patience=patience)
    with pytest.raises(EngineUnreachable, match="did not answer in time"):
        await engine.describe()
    await engine.close()
    silent.close()


@pytest.mark.parametrize(
    "retry_after", ["0.3", formatdate(time.time() + 86_400, usegmt=True)], ids=["seconds", "date"]
)
async def test_retry_after_is_honoured_and_never_beyond_the_deadline(server, engine, retry_after):
    server.faults.append(status(429, retry_after=retry_after))
    server.completions.append(completion("x", [120], "length"))
    began = time.monotonic()
    if retry_after == "0.3":
        await engine.propose(asking())
        assert time.monotonic() - began >= 0.3
    else:
        with pytest.raises(EngineUnreachable, match="429"):
            await engine.propose(asking())
        assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (status(400, "top_p must be in (0, 1]"), r"refused the request \(400\): top_p must be"),
        (raw(b'{"detail":"Not Found"}', 404), "url must be a vLLM server's"),
        (status(404, "The model `m` does not exist."), "served: m"),
        (raw(b"", 307), "refused the request"),
    ],
)
async def test_a_refusal_is_one_sentence_and_is_not_tried_again(server, engine, fault, sentence):
    server.faults.append(fault)
    with pytest.raises(EngineError, match=sentence) as caught:
        await engine.propose(asking(opening=""))
    assert "'m'" in str(caught.value) and server.url in str(caught.value)
    assert len(completions(server)) == 1


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (status(400, NAN), "not numbers"),
        (raw(b'{"choices": []}'), "vLLM 0.20 or newer"),
        (raw(b'{"choices": [{"text": "a", "finish_reason": "stop"}]}'), "vLLM 0.20 or newer"),
        (
            raw(b'{"choices": [{"text": "\\ud800", "token_ids": [1], "finish_reason": "stop"}]}'),
            "text",
        ),
    ],
)
async def test_an_answer_that_says_nothing_is_asked_for_again_a_few_times(
    server, engine, fault, sentence
):
    server.faults.extend([fault] * (QUICK.unusable_tries - 1))
    server.completions.append(completion("x", [120], "length"))
    assert (await engine.propose(asking(opening=""))).text == "x"
    server.faults.extend([fault] * QUICK.unusable_tries)
    with pytest.raises(UnusableAnswer, match=sentence):
        await engine.propose(asking(opening=""))
    assert len(completions(server)) == 2 * QUICK.unusable_tries


async def test_a_model_without_a_chat_template_is_found_out_at_once(server, engine):
    server.faulty_path = "/tokenize"
    server.faults.append(status(400, NO_TEMPLATE))
    with pytest.raises(EngineError, match=r"'m' .* has no chat template, .*--chat-template"):
        await engine.describe()


async def test_a_context_that_is_too_long_is_told_apart(server, engine):
    server.faults.append(status(400, TOO_LONG))
    with pytest.raises(ContextTooLong, match="maximum context length is 2048"):
        await engine.propose(asking(opening=""))


async def test_a_prompt_beyond_the_context_is_never_sent(server, engine):
    with pytest.raises(ContextTooLong, match=r"do not fit .*2048 tokens"):
        await engine.propose(asking(question="9" * 3000))
    with pytest.raises(ContextTooLong, match=r"do not fit .*2048 tokens"):
        await engine.answer_logprobs(scoring("4" * 3000))
    assert not completions(server)


async def test_what_a_status_line_says_is_printed_without_control_characters():
    """Found by fuzzing: an empty answer has only its status line to explain it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 418 \x01\x1b[31mred\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as hostile:
        port = hostile.sockets[0].getsockname()[1]
        engine = VllmEngine(f"http://127.0.0.1:{port}/v1", "m", patience=QUICK)
        with pytest.raises(EngineError, match="418") as refused:
            await engine.describe()
        await engine.close()
    assert str(refused.value).isprintable()
