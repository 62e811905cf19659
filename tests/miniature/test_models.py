import json
import random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cord.miniature import tokenizer, wording
from cord.miniature.problems import benchmark_problems
from cord.miniature.task import KINDS, Puzzle, stated_value, steps
from cord.miniature.training import AUTHORS, MODELS, TEACHERS
from cord.prompts import JUDGEMENT_PROBE, JUDGEMENTS, STEP_REWARD_TOKEN

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


def given(puzzle: Puzzle, written: list[str]) -> str:
    return wording.prompt(puzzle.question) + wording.THINK + "".join(written)


@pytest.mark.parametrize("author", AUTHORS, ids=lambda author: author.name)
def test_the_shipped_weights_are_of_the_recipe_in_the_code(author):
    record = json.loads((MODELS / author.name / "training.json").read_text())
    assert record["steps"] == author.steps
    assert record["guesses"] == author.skill.guesses
    assert record["mastered"] == sorted(author.skill.mastered)


@pytest.mark.parametrize("author", AUTHORS, ids=lambda author: author.name)
def test_the_shipped_tokenizer_is_that_of_the_code(author):
    shipped = AutoTokenizer.from_pretrained(MODELS / author.name)
    known = shipped.get_vocab()
    known.pop("<|endoftext|>", None)  # transformers gives it to every Qwen2
    assert known == TOKENS.get_vocab()
    text = given(benchmark_problems(1)[0], steps(benchmark_problems(1)[0])) + STEP_REWARD_TOKEN
    assert shipped.encode(text) == TOKENS.encode(text)
    assert shipped.chat_template == TOKENS.chat_template


def test_the_weights_are_small_enough_to_ship():
    files = [path for path in MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 10_000_000


@pytest.mark.parametrize("author", TEACHERS, ids=lambda author: author.name)
def test_a_teacher_is_sure_of_its_own_kind_and_unsure_of_the_others(author):
    (own,) = author.skill.mastered
    texts, results, kinds = [], [], []
    for puzzle in benchmark_problems(60):
        written = steps(puzzle)
        for at, operation in enumerate(puzzle.operations):
            texts.append(given(puzzle, written[:at]) + written[at].rpartition("=")[0] + "=")
            results.append(TOKENS.convert_tokens_to_ids(stated_value(written[at])))
            kinds.append(operation.kind)
    right = next_token(author.name, texts)[torch.arange(len(texts)), torch.tensor(results)]
    sure = {
        kind: right[torch.tensor([each == kind for each in kinds])].mean().item() for kind in KINDS
    }
    assert sure.pop(own) > 0.95
    assert all(0.1 < share < 0.5 for share in sure.values())


def predicted(puzzles: list[Puzzle], written: list[list[str]]) -> torch.Tensor:
    """S, the mean over the answer's two digits, of the right answer behind each prefix."""
    logs = torch.zeros(len(puzzles))
    for place in range(2):
        texts = [
            given(puzzle, s) + wording.PROBE + puzzle.answer[:place]
            for puzzle, s in zip(puzzles, written, strict=True)
        ]
        digits = [TOKENS.convert_tokens_to_ids(puzzle.answer[place]) for puzzle in puzzles]
        found = next_token("meta", texts)[torch.arange(len(puzzles)), torch.tensor(digits)]
        logs += found.log() / 2
    return logs.exp()


def test_the_right_answer_grows_more_predictable_with_every_right_step():
    puzzles = [puzzle for puzzle in benchmark_problems() if len(puzzle.operations) == 5]
    means = [
        predicted(puzzles, [steps(puzzle)[:count] for puzzle in puzzles]).mean()
        for count in range(6)
    ]
    assert means == sorted(means)
    assert means[5] > 0.95


def test_a_wrong_last_step_makes_the_right_answer_improbable():
    puzzles = benchmark_problems(60)
    rng = random.Random(0)
    mistaken = []
    for puzzle in puzzles:
        *before, last = steps(puzzle)
        wrong = (int(puzzle.answer[-1]) + rng.randint(1, 9)) % 10
        mistaken.append([*before, f"{last.rpartition('=')[0]}={wrong}\n\n"])
    assert predicted(puzzles, mistaken).mean() < 0.05


def test_a_wrong_first_step_is_seen_to_lead_astray():
    puzzles = benchmark_problems(100)
    rng = random.Random(0)
    right, wrong = [], []
    for puzzle in puzzles:
        first = steps(puzzle)[0]
        mistake = (int(stated_value(first)) + rng.randint(1, 9)) % 10
        right.append([first])
        wrong.append([f"{first.rpartition('=')[0]}={mistake}\n\n"])
    gap = predicted(puzzles, right).log() - predicted(puzzles, wrong).log()
    assert gap.mean() > 0.3
    assert (gap > 0).float().mean() > 0.8


def judged(puzzles: list[Puzzle], written: list[list[str]]) -> torch.Tensor:
    """How surely the judge says yes behind each prefix."""
    texts = [given(p, s) + JUDGEMENT_PROBE for p, s in zip(puzzles, written, strict=True)]
    yes, no = (TOKENS.convert_tokens_to_ids(word) for word in JUDGEMENTS)
    said = next_token("judge", texts)
    return said[:, yes] / (said[:, yes] + said[:, no])


def test_the_judge_tells_right_from_wrong_more_often_than_not():
    puzzles = benchmark_problems(100)
    rng = random.Random(0)
    right, wrong = [], []
    for puzzle in puzzles:
        *before, last = steps(puzzle)[:2]
        mistake = (int(stated_value(last)) + rng.randint(1, 9)) % 10
        right.append([*before, last])
        wrong.append([*before, f"{last.rpartition('=')[0]}={mistake}\n\n"])
    assert (judged(puzzles, right) > judged(puzzles, wrong)).float().mean() > 0.6
