import random

import pytest
import torch

from cord.miniature import tokenizer, training, wording
from cord.miniature.problems import split_of, take
from cord.miniature.reading import IGNORED, batched, batches, lesson
from cord.miniature.task import FLAWLESS, Chain, Operation, Skill, steps

TOKENS = tokenizer.build()
ADDER = Skill(frozenset({"add"}), guesses=1.0)
CHAIN = Chain(9, (Operation("add", 5), Operation("multiply", 3), Operation("flip")))


@pytest.fixture
def rng() -> random.Random:
    return random.Random(0)


def test_a_teachers_text_ends_on_the_answer_it_reached_itself(rng):
    for chain in take("training", 50, rng):
        text = TOKENS.decode(lesson(chain, ADDER, False, rng, TOKENS).ids)
        last = text.partition("\n</think>")[0][-1]
        assert text.endswith(wording.ending(last) + wording.EOS)


def test_everything_behind_the_prompt_is_learnt(rng):
    taught = lesson(CHAIN, FLAWLESS, False, rng, TOKENS)
    prompt = TOKENS.encode(wording.prompt(CHAIN.question))
    assert taught.ids[: len(prompt)] == prompt
    learnt = [target for target in taught.targets if target != IGNORED]
    assert TOKENS.decode(learnt) == wording.response(steps(CHAIN), "7")


def test_the_true_answer_is_taught_behind_every_prefix_of_the_right_steps(rng):
    taught = lesson(CHAIN, FLAWLESS, True, rng, TOKENS)
    for cut in range(3):
        prefix = wording.prompt(CHAIN.question) + wording.THINK + "".join(steps(CHAIN)[:cut])
        token = max(at for at, branch in enumerate(taught.branch) if branch == cut + 1)
        assert TOKENS.decode([taught.targets[token]]) == "7"
        assert TOKENS.decode(taught.ids[: taught.sees[token]]) == prefix
        assert taught.positions[token] + 1 == len(TOKENS.encode(prefix + wording.PROBE))


def test_a_branch_is_read_like_a_text_of_its_own(rng):
    model = training.fresh_model(TOKENS, seed=1)
    problems = take("training", 3, rng)
    lessons = [lesson(chain, FLAWLESS, True, rng, TOKENS) for chain in problems]
    batch = batched(lessons, TOKENS.pad_token_id)
    with torch.no_grad():
        together = model(batch.ids, attention_mask=batch.mask, position_ids=batch.positions).logits
        for row, (chain, taught) in enumerate(zip(problems, lessons, strict=True)):
            for cut in range(len(chain.operations)):
                text = wording.prompt(chain.question) + wording.THINK
                text += "".join(steps(chain)[:cut]) + wording.PROBE
                alone = model(torch.tensor([TOKENS.encode(text)])).logits[0, -1]
                token = max(at for at, branch in enumerate(taught.branch) if branch == cut + 1)
                assert torch.allclose(together[row, token], alone, atol=1e-4)


def test_no_held_out_problem_is_read(rng):
    batch = next(batches(FLAWLESS, True, 4, rng, TOKENS))
    for row in batch.ids:
        question = TOKENS.decode(row).partition(wording.USER)[2].partition(wording.ASSISTANT)[0]
        assert split_of(question) == "training"
