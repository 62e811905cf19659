"""A server's key: sent to it, and shown to nobody."""

import logging

import pytest
from doubles.vllm_answers import status
from engines.vllm.asking import QUICK

from cord.engines.vllm.engine import VllmEngine
from cord.errors import EngineError, EngineUnreachable


async def test_the_key_is_sent_and_shown_nowhere(server, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    server.key = "sesame-42"
    monkeypatch.setenv("TEACHER_KEY", "sesame-42")
    engine = VllmEngine(server.url, "m", "TEACHER_KEY", patience=QUICK)
    await engine.describe()
    server.faulty_path = "/tokenize"
    server.faults.append(status(400, "you said Bearer sesame-42, which I echo"))
    with pytest.raises(EngineError) as caught:
        await engine.prompt_tokens("another")
    shown = [str(caught.value), repr(caught.value), repr(engine), repr(engine._server), caplog.text]
    assert not any("sesame" in text for text in shown)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("TEACHER_KEY", "open-it", "set the environment variable TEACHER_KEY to the server's key"),
        (None, "", "name the environment variable that holds its key in api_key_env"),
        ("TEACHER_KEY", "", "TEACHER_KEY .* is not set"),
        ("TEACHER_KEY", "open-\nit", "characters that no key can have"),
    ],
)
async def test_a_wrong_or_missing_key_is_one_sentence(
    server, monkeypatch, variable, value, sentence
):
    server.key = "sesame-42"
    monkeypatch.setenv("TEACHER_KEY", value)
    with pytest.raises(EngineError, match=sentence) as caught:
        await VllmEngine(server.url, "m", variable, patience=QUICK).describe()
    assert "open-" not in str(caught.value)
    assert not isinstance(caught.value, EngineUnreachable)
