"""Verification against judgements and answers of real sets: agreement, other notations, strangers.

Prints each disagreement, each notation that is not accepted and each answer to another problem
that is, with the verdict's reason.
"""

from __future__ import annotations

import gzip
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.quality.notations import notations
from cord.types import Verdict
from cord.verification import Verifier
from cord.verification.math import normalise, reference_answer

DATA = Path(__file__).parents[3] / "shared" / "data"
SETS = {"MATH500": "math500.jsonl", "OlympiadBench": "olympiadbench.jsonl"}
AUTHORS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
WORKERS = 2
STRANGERS = 5
"""Answers to other problems that each reference is held against."""
RECORDS, CHARACTERS = 100_000, 4_096
SEED = 7

Asked = tuple[str, str, str]
"""(domain, response, reference)."""


def figures(quick: bool) -> list[Figure]:
    """Measure; `quick` takes a tenth of each set."""
    share = 10 if quick else 1
    with Verifier(workers=WORKERS) as verifier:
        found = [_agreement(verifier, share), _agreement_gsm8k(verifier, share)]
        for name, file in SETS.items():
            references = list(dict.fromkeys(row["answer"] for row in _rows(file)))[::share]
            found += [
                _notations(verifier, name, references),
                _strangers(verifier, name, references),
            ]
        found += _cheap_path(verifier, RECORDS // share)
        return found


def _agreement(verifier: Verifier, share: int) -> Figure:
    """Share of Qwen2.5-Math's sampled solutions whose verdict is the published judgement. An
    undecided one agrees with neither."""
    asked: list[Asked] = []
    judged: list[bool] = []
    for row in list(_rows("math_solutions_8x100.jsonl.gz"))[::share]:
        for solution, right in zip(row["code"], row["score"], strict=True):
            asked.append(("math", solution, row["gt"]))  # the reference that was judged against
            judged.append(right)
    return _agreeing("math agrees with math_solutions_8x100", verifier, asked, judged, 0.99)


def _agreement_gsm8k(verifier: Verifier, share: int) -> Figure:
    """The same of four models' solutions to GSM8K, judged as numbers."""
    asked: list[Asked] = []
    judged: list[bool] = []
    for row in list(_rows("gsm8k_model_solutions.jsonl.gz"))[::share]:
        for author in AUTHORS:
            reference = row["ground_truth"].rpartition("A:")[2].strip()
            asked.append(("numeric", row[author]["solution"], reference))
            judged.append(row[author]["is_correct"])
    return _agreeing("numeric agrees with gsm8k_model_solutions", verifier, asked, judged, 0.99)


def _agreeing(
    name: str, verifier: Verifier, asked: Sequence[Asked], judged: Sequence[bool], goal: float
) -> Figure:
    verdicts = _judge(verifier, asked)
    outcomes = ["correct" if right else "wrong" for right in judged]
    disagreed = [
        (one, verdict, outcome)
        for one, verdict, outcome in zip(asked, verdicts, outcomes, strict=True)
        if verdict.outcome != outcome
    ]
    counted = Counter(verdict.outcome for verdict in verdicts)
    print(f"{name}: {len(asked)} solutions, {dict(counted)}, {len(disagreed)} disagreements")
    for (_, _, reference), verdict, outcome in disagreed:
        print(f"  {verdict.outcome}, not {outcome}, to {reference!r}: {verdict.reason}")
    return at_least(name, 1 - len(disagreed) / len(asked), goal, "of solutions")


def _notations(verifier: Verifier, name: str, references: Sequence[str]) -> Figure:
    """Share of other notations of a set's own reference answers that are accepted."""
    asked: list[Asked] = []
    rules: list[str] = []
    for reference in references:
        for rule, other in notations(reference):
            asked.append(("math", other, reference))
            rules.append(rule)
    verdicts = _judge(verifier, asked)
    refused = [
        (rule, one, verdict)
        for rule, one, verdict in zip(rules, asked, verdicts, strict=True)
        if verdict.outcome != "correct"
    ]
    print(f"{name}: {len(references)} answers in {len(asked)} other notations, by rule:")
    print("  " + ", ".join(f"{count} {rule}" for rule, count in Counter(rules).most_common()))
    for rule, (_, other, reference), verdict in refused:
        print(f"  {rule}: {verdict.outcome}: {other!r} for {reference!r}: {verdict.reason}")
    accepted = 1 - len(refused) / len(asked)
    return at_least(f"{name}'s answers in other notations accepted", accepted, 0.995, "of them")


def _strangers(verifier: Verifier, name: str, references: Sequence[str]) -> Figure:
    """Share of answers to other problems that are accepted; those that are the same text are the
    same answer, and left out."""
    drawn = random.Random(SEED)
    asked = [
        ("math", other, reference)
        for reference in references
        for other in drawn.sample(list(references), min(STRANGERS, len(references)))
        if normalise(reference_answer(other)) != normalise(reference_answer(reference))
    ]
    verdicts = _judge(verifier, asked)
    counted = Counter(verdict.outcome for verdict in verdicts)
    print(f"{name}: {len(asked)} answers to other problems, {dict(counted)}")
    for (_, other, reference), verdict in zip(asked, verdicts, strict=True):
        if verdict.outcome == "correct":
            print(f"  accepted: {other!r} for {reference!r}: {verdict.reason}")
    accepted = counted["correct"] / len(asked)
    return at_most(f"{name}: answers to other problems accepted", accepted, 0.005, "of them")


def _cheap_path(verifier: Verifier, count: int) -> list[Figure]:
    """Processor time of one process for a right answer in the reference's own notation: where the
    answer stands in its column, and where it is found in a record of 4 KB."""
    solutions = list(_rows("gsm8k_train.jsonl.gz"))
    drawn = random.Random(SEED)
    records: list[tuple[str, str, str]] = []
    for _ in range(count):
        text = ""
        while len(text) < CHARACTERS:
            row = drawn.choice(solutions)
            text += row["answer"] + "\n\n"
        answer = row["answer"].rpartition("####")[2].strip()
        closing = f"</think>\n\nThe final answer is \\boxed{{{answer}}}."
        records.append((text[-CHARACTERS:] + closing, answer, answer))
    begun = time.process_time()
    for _, answer, reference in records:
        verdict = verifier.judge_at_once("math", answer, (reference,))
        assert verdict is not None
        assert verdict.outcome == "correct"
    of_column = time.process_time() - begun
    begun = time.process_time()
    for text, _, reference in records:
        assert verifier.verify("math", text, reference).outcome == "correct"
    of_text = time.process_time() - begun
    goal = 60.0
    return [
        at_most("verify, by the answer's column", of_column / count * 1e6, goal, "us a record"),
        at_most("verify, by a text of 4 KB", of_text / count * 1e6, goal, "us a record"),
    ]


def _judge(verifier: Verifier, asked: Sequence[Asked]) -> list[Verdict]:
    with ThreadPoolExecutor(WORKERS) as threads:
        return list(threads.map(lambda one: verifier.verify(*one), asked))


def _rows(file: str) -> Iterator[dict[str, Any]]:
    data = (DATA / file).read_bytes()
    text = (gzip.decompress(data) if file.endswith(".gz") else data).decode()
    return (json.loads(line) for line in text.split("\n") if line.strip())
