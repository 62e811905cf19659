"""A double of a vLLM server, and an engine on it."""

from collections.abc import Iterator

import pytest
from doubles.vllm_answers import VllmAnswers
from engines.vllm.asking import QUICK

from cord.engines.vllm.engine import VllmEngine


@pytest.fixture
def server() -> Iterator[VllmAnswers]:
    with VllmAnswers() as answers:
        yield answers


@pytest.fixture
def engine(server: VllmAnswers) -> VllmEngine:
    return VllmEngine(server.url, "m", patience=QUICK)
