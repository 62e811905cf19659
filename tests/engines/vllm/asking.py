"""What tests ask of an engine, and whose patience is short."""

from doubles.vllm_answers import VllmAnswers

from cord.engines import AnswerRequest
from cord.engines.vllm.server import Patience
from cord.types import Step

QUICK = Patience(total_s=2.0, first_wait_s=0.01, longest_wait_s=0.05, first_contact_s=0.2)
IDENTITY = "vllm:m@org/m"


def scoring(*answers: str, thinking: tuple[Step, ...] = ()) -> AnswerRequest:
    return AnswerRequest("1+1?", thinking, "</think>{", answers)


def step(text: str, ids: tuple[int, ...] = (), model: str = IDENTITY) -> Step:
    return Step(text, "t", ("t",), ids, model, len(ids), 0.5, 0.1)


def completions(server: VllmAnswers) -> list[dict[str, object]]:
    return server.asked("/v1/completions")
