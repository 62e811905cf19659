import random

import torch

from cord.miniature import lessons, tokenizer, training, wording
from cord.miniature.problems import split_of, take
from cord.miniature.reading import batched, batches
from cord.miniature.task import FLAWLESS

TOKENS = tokenizer.build()


def test_a_branch_is_read_like_a_text_of_its_own():
    rng = random.Random(0)
    model = training.fresh_model(TOKENS, seed=1)
    teach = lessons.proving(TOKENS)
    taught = [teach(puzzle, rng) for puzzle in take("training", 3, rng)]
    batch = batched(taught, TOKENS.pad_token_id)
    with torch.no_grad():
        together = model(batch.ids, attention_mask=batch.mask, position_ids=batch.positions).logits
        for row, lesson in enumerate(taught):
            for number in range(1, max(lesson.branch) + 1):
                own = [at for at, branch in enumerate(lesson.branch) if branch == number]
                prefix = lesson.ids[: lesson.sees[own[0]]]
                text = torch.tensor([prefix + [lesson.ids[at] for at in own]])
                alone = model(text).logits[0, -len(own) :]
                assert torch.allclose(together[row, own], alone, atol=1e-4)


def test_no_held_out_problem_is_read():
    rng = random.Random(0)
    teach = lessons.writing(FLAWLESS, TOKENS)
    batch = next(batches(teach, 4, rng, TOKENS.pad_token_id))
    for row in batch.ids:
        question = TOKENS.decode(row).partition(wording.USER)[2].partition(wording.ASSISTANT)[0]
        assert split_of(question) == "training"
