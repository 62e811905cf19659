import json
import random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cord.miniature import tokenizer, wording
from cord.miniature.problems import benchmark_problems
from cord.miniature.task import KINDS, Chain, stated_value, steps
from cord.miniature.training import AUTHORS, MODELS

TEACHERS = AUTHORS[:3]
TOKENS = tokenizer.build()


def next_token(name: str, texts: list[str]) -> torch.Tensor:
    """Probabilities of what follows each text, by one of the shipped models."""
    model = AutoModelForCausalLM.from_pretrained(MODELS / name)
    rows = [TOKENS.encode(text) for text in texts]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [TOKENS.pad_token_id] * (longest - len(row)) for row in rows])
    with torch.no_grad():
        logits = model(ids).logits
    ends = torch.tensor([len(row) - 1 for row in rows])
    return logits[torch.arange(len(rows)), ends].softmax(-1)


def given(chain: Chain, written: list[str]) -> str:
    return wording.prompt(chain.question) + wording.THINK + "".join(written)


@pytest.mark.parametrize("author", AUTHORS, ids=lambda author: author.name)
def test_the_shipped_weights_are_of_the_recipe_in_the_code(author):
    record = json.loads((MODELS / author.name / "training.json").read_text())
    assert record["steps"] == author.steps
    assert record["guesses"] == author.skill.guesses
    assert record["mastered"] == sorted(author.skill.mastered)


@pytest.mark.parametrize("author", AUTHORS, ids=lambda author: author.name)
def test_the_shipped_tokenizer_is_that_of_the_code(author):
    shipped = AutoTokenizer.from_pretrained(MODELS / author.name)
    assert shipped.get_vocab() == TOKENS.get_vocab()
    assert shipped.chat_template == TOKENS.chat_template


def test_the_weights_are_small_enough_to_ship():
    files = [path for path in MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 10_000_000


@pytest.mark.parametrize("author", TEACHERS, ids=lambda author: author.name)
def test_a_teacher_is_sure_of_its_own_kind_and_unsure_of_the_others(author):
    (own,) = author.skill.mastered
    texts, results, kinds = [], [], []
    for chain in benchmark_problems(60):
        written = steps(chain)
        for at, operation in enumerate(chain.operations):
            texts.append(given(chain, written[:at]) + written[at].rpartition("=")[0] + "=")
            results.append(TOKENS.convert_tokens_to_ids(stated_value(written[at])))
            kinds.append(operation.kind)
    right = next_token(author.name, texts)[torch.arange(len(texts)), torch.tensor(results)]
    sure = {
        kind: right[torch.tensor([each == kind for each in kinds])].mean().item() for kind in KINDS
    }
    assert sure.pop(own) > 0.95
    assert all(0.1 < share < 0.5 for share in sure.values())


def predicted(chains: list[Chain], written: list[list[str]]) -> torch.Tensor:
    """How likely the meta-prover finds the right answer behind each prefix."""
    texts = [given(chain, s) + wording.PROBE for chain, s in zip(chains, written, strict=True)]
    answers = [TOKENS.convert_tokens_to_ids(chain.answer) for chain in chains]
    return next_token("meta", texts)[torch.arange(len(chains)), torch.tensor(answers)]


def test_the_right_answer_grows_more_predictable_with_every_right_step():
    chains = [chain for chain in benchmark_problems() if len(chain.operations) == 5]
    means = [
        predicted(chains, [steps(chain)[:count] for chain in chains]).mean() for count in range(6)
    ]
    assert means == sorted(means)
    assert means[5] > 0.95


def test_a_wrong_last_step_makes_the_right_answer_improbable():
    chains = benchmark_problems(60)
    rng = random.Random(0)
    mistaken = []
    for chain in chains:
        *before, last = steps(chain)
        wrong = (int(chain.answer) + rng.randint(1, 9)) % 10
        mistaken.append([*before, f"{last.rpartition('=')[0]}={wrong}\n"])
    assert predicted(chains, mistaken).mean() < 0.05
