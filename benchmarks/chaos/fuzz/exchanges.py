"""Whatever bytes come over a connection: a JSON object, a failure that may pass, or a refusal."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass

from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.chaos.fuzz.answers import NAMES, VLLM_ANSWERS
from benchmarks.chaos.fuzz.mutation import near_json, texts, torn, written
from benchmarks.chaos.fuzz.trying import Property
from cord.engines.api_key import ApiKey
from cord.engines.vllm.wire import PassingError, Wire
from cord.errors import EngineError
from cord.recipe import Model

BODIES = (
    *(written(answer) for _, answer in VLLM_ANSWERS),
    b"",
    b"{}",
    b"null",
    b"[1]",
    b'"x"',
    b"\xff\xfe{\x00}\x00",
    b"<html>502 Bad Gateway</html>",
    b"data: {}\n\ndata: [DONE]\n\n",
    b'{"choices": [{"finish_reason": "abort"}]}',
    b'{"error": {"message": "\\ud800 maximum context length"}}',
    b'{"error": {"message": {"a": [1]}}}',
    b'{"error": "does not exist"}',
    b"[" * 5000,
    b'{"a":' * 1500,
    b'{"a": ' + b"9" * 5000 + b"}",
)
SNIPPETS = (
    *(b"NaN", b"-Infinity", b"1e999", b"\\ud800", b"\xff", b"\x00", b"{", b"}", b"[", b"]", b","),
    *(b'"', b"9" * 4400, b"[" * 1200, b"null", b"true", b"\xef\xbb\xbf", b'"choices": 1, '),
)
HEADERS = (
    *(
        b"Retry-After: %s" % value
        for value in (b"0", b"-1", b"nan", b"inf", b"1e999", b"x", b"9" * 30)
    ),
    b"Retry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    b"Retry-After: Mon, 32 Foo 2026 99:99:99 +9999999",
    b"Retry-After: Fri, 31 Dec 0000 23:59:59 -0000",
    *(b"Content-Type: text/html; charset=%s" % name for name in (b"utf-7", b"base64", b"idna")),
    *(
        b"Content-Type: text/x; charset=%s" % name
        for name in (b"rot13", b"zlib", b"undefined", b'"')
    ),
    *(b"Content-Encoding: %s" % name for name in (b"gzip", b"deflate", b"br", b"zstd", b"x")),
    *(b"Content-Length: %s" % value for value in (b"0", b"3", b"-1", b"x", b"9" * 40)),
    *(b"Transfer-Encoding: chunked", b"Location: http://[", b"Set-Cookie: =;;\xff", b"A: \xe9\x80"),
    *(b"no colon", b": x", b"A B: c", b"X: " + b"y" * 70_000, b"", b"Connection: upgrade"),
)
STATUSES = (
    200,
    200,
    200,
    200,
    400,
    401,
    404,
    408,
    418,
    422,
    429,
    500,
    503,
    204,
    301,
    304,
    100,
    999,
)
URLS = ("http://127.0.0.1:{}/v1", "http://127.0.0.1:{}", "http://localhost:{}/v1/")


@dataclass(frozen=True)
class Exchange:
    """The bytes that a server answers with, before it closes the connection."""

    answer: bytes


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    """Answers with a right frame and any body, and some with a wrong frame."""
    body = draw(_bodies())
    status = draw(st.sampled_from(STATUSES))
    headers = draw(st.lists(st.sampled_from(HEADERS), max_size=2))
    if draw(st.integers(0, 9)) == 0:
        body = gzip.compress(body)
        headers.append(b"Content-Encoding: gzip")
    if not any(header.lower().startswith((b"content-length", b"transfer")) for header in headers):
        headers.append(b"Content-Length: %d" % len(body))
    raw = b"HTTP/1.1 %d Said\r\n%s\r\n\r\n%s" % (status, b"\r\n".join(headers), body)
    if draw(st.integers(0, 7)) == 0:
        raw = draw(torn(raw, (*SNIPPETS, b"\r\n", b"\r", b"\n", b"HTTP/1.1 200 OK\r\n\r\n")))
    return Exchange(raw)


def _bodies() -> st.SearchStrategy[bytes]:
    right = st.sampled_from(BODIES)
    near = st.sampled_from(VLLM_ANSWERS).flatmap(lambda one: near_json(one[1], NAMES)).map(written)
    return st.one_of(right, near, right.flatmap(lambda body: torn(body, SNIPPETS)))


class _Server:
    """A real server that answers each request with the same bytes."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.answer = b""
        self._open = self.loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        )
        self.port = self._open.sockets[0].getsockname()[1]
        urls = [url.format(self.port) for url in URLS]
        self.wires = [Wire(url, "m", ApiKey(None), 5.0, 2) for url in urls]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            writer.write(self.answer)
            await writer.drain()
            writer.write_eof()
            await reader.read()  # until the other side closes too: no reset overtakes the answer
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


_servers: list[_Server] = []


def an_object_or_a_failure_in_words(exchange: Exchange) -> None:
    """One real exchange over a connection of its own."""
    if not _servers:
        _servers.append(_Server())
    (server,) = _servers
    server.answer = exchange.answer
    wire = server.wires[len(exchange.answer) % len(URLS)]
    server.loop.run_until_complete(_exchange(wire))


async def _exchange(wire: Wire) -> None:
    try:
        answer = await wire.exchange("POST", "/v1/completions", {"prompt": "1"}, 5.0)
    except (PassingError, EngineError) as error:
        _check_failure(error)
    else:
        assert isinstance(answer, dict)


def _check_failure(failure: PassingError | EngineError) -> None:
    said = str(failure)
    assert 0 < len(said.encode()) < 2000
    assert said.isprintable(), said
    assert not isinstance(failure, PassingError) or 0 <= failure.wait_s < float("inf")


def any_url_is_refused_in_words(url: str) -> None:
    """What may stand in a recipe as a url."""
    try:
        url = Model(model="m", url=url).url or ""
    except ValidationError:
        return
    if not _servers:
        _servers.append(_Server())
    _servers[0].loop.run_until_complete(_exchange_once(url))


async def _exchange_once(url: str) -> None:
    wire = Wire(url, "m", ApiKey(None), 5.0, 2)
    try:
        await _exchange(wire)
    finally:
        await wire.close()


urls = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "http://", "https://", "http:", "http:///", "ftp://", "//", "HTTP://"]),
    st.sampled_from(["", "[", "[::1", "[::1]", "127.0.0.1", "127.0.0.1.", "%zz", "\u2028", "xn--a"])
    | texts,
    st.sampled_from([":1", ":0", ":99999", ":-1", ":x", "", ":" + "9" * 30]),
    st.sampled_from(["", "/v1", "/%zz", "/\u00e9", "//", "/v1#x", "/\ud800"]),
)

PROPERTIES = (
    Property(
        "engine's response parser, over HTTP",
        "an object, or a failure in words",
        exchanges(),
        an_object_or_a_failure_in_words,
    ),
    Property(
        "engine's url",
        "any url is used, or refused in words",
        urls,
        any_url_is_refused_in_words,
        share=0.03,
    ),
)
