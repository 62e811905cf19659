from cord.engines.prefix import prefix_segments
from cord.types import Step


def step(text: str, ids: tuple[int, ...], model: str) -> Step:
    return Step(text, "t", ("t",), ids, model, tokens=1, score=0.5, gain=0.0)


def encode(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def test_a_models_own_steps_keep_their_ids_and_others_are_tokenised_alone() -> None:
    steps = [step("ab", (7,), "me"), step("ab", (7,), "other"), step("ab", (), "me")]
    segments = prefix_segments([1, 2], steps, "me", encode)
    assert segments == ((1, 2), (7,), (97, 98), (97, 98))
