"""Quality signals: are loops and leaks found where they were planted and little else, and how fast?

*Loops.* The last 40 words of a real thinking are said again until half of the text is repetition,
or a tenth; Qwen3's thinkings that came to their end, and the traces of R1 and its children, are
what must not be taken for one. Those of Qwen3 that were cut off are printed by their repetition.

*Leaks.* Into the first step of a real trace a sentence with its reference answer is put, where the
question has not got it. Four models' solutions of GSM8K, a line a step, must not be said to leak
where they are right: nobody knew these by heart. Each that is is printed and counted as false. Of
the traces those that are said to leak are printed alone: some of Qwen3's tasks ask for knowledge.

*Languages.* Questions of three English sets must be told as English, or as unknown where they have
more formulas than words.

*Time.* Records of 4 KB resampled from the traces, through signals and profile, and through the
contract on them. Seconds are of the processor, of one thread, since others may share the machine.
"""

from __future__ import annotations

import gzip
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.figures import Figure, at_least, at_most
from cord.lake.runs.candidates import CANDIDATES
from cord.signals.columns import SIGNALS
from cord.signals.language import languages
from cord.signals.leak import LEAST_CHARACTERS
from cord.signals.measuring import signals
from cord.signals.profile import Profiler
from cord.signals.repetition import repetition
from data_contracts.bounds import QualityBounds, RecordBounds, RunCounts
from data_contracts.records import check_records

DATA = Path(__file__).parents[2].parent / "shared" / "data"
MILLION = 1_000_000
BATCH_ROWS = 4096
RECORD_CHARACTERS = 3600
LOOPED = QualityBounds().max_repetition
"""Repetition from which a record is an outlier, unless a recipe says otherwise."""
_LOOP_WORDS = 40
_QUESTIONS = (
    ("gsm8k_test.jsonl", "question"),
    ("math500.jsonl", "problem"),
    ("olympiadbench.jsonl", "question"),
)


def figures(quick: bool) -> list[Figure]:
    """Planted loops and leaks found, false ones, English told as English, and the time."""
    traces, cut = _traces()
    looped, false_loops = _loops([trace["text"] for trace in traces], cut)
    leaks, false_leaks = _leaks(traces)
    unknown, foreign = _languages()
    per_million, of_contract = _seconds(traces, 8 * BATCH_ROWS if quick else 32 * BATCH_ROWS)
    return [
        at_least("planted loops of half a text found", looped, 1, "share"),
        at_most("sound thinkings taken for loops", false_loops, 0, "share"),
        at_least("planted leaks found", leaks, 0.95, "share"),
        at_most("right solutions of GSM8K said to leak", false_leaks, 0.01, "share"),
        at_most("English questions taken for another language", foreign, 0.02, "share"),
        at_most("English questions of unknown language", unknown, 0.1, "share"),
        at_most("signals of a million records of 4 KB", per_million, 150, "CPU seconds"),
        at_most("contract on a million records of 4 KB", of_contract, 90, "CPU seconds"),
    ]


def _traces() -> tuple[list[dict[str, Any]], list[str]]:
    """Sound traces as rows for `signals`, and Qwen3's thinkings that were cut off."""
    traces: list[dict[str, Any]] = []
    cut: list[str] = []
    for row in _lines("traces_qwen3_tasks.jsonl.gz"):
        if not row["thinking"]:
            continue
        if row["done_reason"] == "length":
            cut.append(row["thinking"])
        else:
            item, text = row["item"], f"{row['thinking']}</think>{row['content']}"
            traces.append(_trace(item["prompt"], str(item["answer"]), text))
    traces += [
        _trace(row["problem"], row["ground_truth"], row["full_response"])
        for row in _lines("traces_math500_3models.jsonl")
    ]
    traces += [
        _trace(row["problem"], row["gt_answer"], row["solution"])
        for row in _lines("traces_math_r1distill.jsonl.gz")
    ]
    return traces, cut


def _trace(question: str, answer: str, text: str) -> dict[str, Any]:
    text = text.removeprefix("<think>").removeprefix("\n")
    return {
        "question": question,
        "answer": answer,
        "text": text,
        "teachers": ["a", "b"],
        "steps": 1 + text.partition("</think>")[0].count("\n\n"),
        "start_score": 0.1,
        "scores": [0.5, 0.995],
        "finished": True,
    }


def _loops(sound: list[str], cut: list[str]) -> tuple[float, float]:
    """(share of the texts that were made to loop above `LOOPED`, share of the sound ones)."""
    sound = [text.partition("</think>")[0] for text in sound]
    long = [words for text in sound if len(words := text.split()) > 2 * _LOOP_WORDS]
    found = {}
    for share in (0.5, 0.1):
        times = [round(len(words) * share / (1 - share) / _LOOP_WORDS) + 1 for words in long]
        made = [
            " ".join(words + words[-_LOOP_WORDS:] * n) for words, n in zip(long, times, strict=True)
        ]
        found[share] = repetition(pa.array(made))
    real = repetition(pa.array(sound))
    said = np.sort(repetition(pa.array(cut)))[::-1]
    half, most, every = np.nanquantile(real, [0.5, 0.99, 1])
    print(
        f"repetition of {len(sound)} sound thinkings: half up to {half:.3f}, 99 % up to {most:.3f},"
    )
    print(f"  all up to {every:.3f}")
    print(f"of {len(cut)} that were cut off: {', '.join(f'{r:.2f}' for r in said[:12])}, ...")
    print(f"with a tenth looped: {found[0.1].min():.3f} to {found[0.1].max():.3f}")
    return float((found[0.5] > LOOPED).mean()), float((real > LOOPED).mean())


def _leaks(traces: list[dict[str, Any]]) -> tuple[float, float]:
    """(share of planted leaks found, share of right solutions of GSM8K that are said to leak)."""
    several = [t for t in traces if t["steps"] > 1]
    real, solutions = _leaking(several), list(_solutions())
    false = _leaking(solutions)
    planted = [
        {**trace, "text": f"I think I know this one, it was {trace['answer']}. {trace['text']}"}
        for trace, leaks in zip(several, real, strict=True)
        if len(trace["answer"]) >= LEAST_CHARACTERS
        and not leaks
        and trace["answer"].lower() not in trace["question"].lower()
    ]
    measured = signals(pa.RecordBatch.from_pylist(planted))
    found = [bool(leaks) for leaks in measured["leaks_answer"].to_pylist()]
    for trace, leaks in zip(planted, found, strict=True):
        if not leaks:
            print(f"planted and not found: {trace['answer']!r}, asked {trace['question'][:100]!r}")
    print(f"{sum(found)} of {len(found)} planted, {sum(false)} of {len(false)} of GSM8K")
    return sum(found) / len(found), sum(false) / len(false)


def _leaking(rows: list[dict[str, Any]]) -> list[bool]:
    """Which are said to leak; these are printed."""
    found = signals(pa.RecordBatch.from_pylist(rows))["leaks_answer"].to_pylist()
    for row, leaks in zip(rows, found, strict=True):
        if leaks:
            print(f"said to leak {row['answer']!r}: {row['text'][:200]!r}")
    return [bool(leaks) for leaks in found]


def _solutions() -> Iterator[dict[str, Any]]:
    """Right solutions of several lines by four models, a step a line."""
    for row in _lines("gsm8k_model_solutions.jsonl.gz"):
        answer = row["ground_truth"].rpartition("####")[2].strip()
        for name, said in row.items():
            if name in ("question", "ground_truth"):
                continue
            lines = said["solution"].split("\n")[:-1]  # the last one states the answer
            if said["is_correct"] and len(lines) > 1:
                text = "\n".join(f"### Step {n}. {line}" for n, line in enumerate(lines, 1))
                solution = _trace(row["question"], answer, f"{text}</think>\n\n{answer}")
                yield solution | {"steps": len(lines)}


def _languages() -> tuple[float, float]:
    """(share of unknown, share of wrong) of English questions."""
    unknown = wrong = total = 0
    for file, column in _QUESTIONS:
        questions = [row[column] for row in _lines(file)]
        told = languages(pa.array(questions)).to_pylist()
        print(f"{file}: {told.count('en')} of {len(told)} en, {told.count(None)} unknown")
        for question, language in zip(questions, told, strict=True):
            if language not in ("en", None):
                print(f"  {language}: {question[:120]!r}")
        unknown += told.count(None)
        wrong += len(told) - told.count(None) - told.count("en")
        total += len(told)
    return unknown / total, wrong / total


def _seconds(traces: list[dict[str, Any]], rows: int) -> tuple[float, float]:
    """CPU seconds for a million records: (signals and profile, the contract)."""
    batches = list(_records(traces, rows))
    profiler = Profiler()
    begin = time.process_time()
    measured = [signals(batch) for batch in batches]
    of_signals = time.process_time() - begin
    made = [
        _candidates(batch, found, place * BATCH_ROWS)
        for place, (batch, found) in enumerate(zip(batches, measured, strict=True))
    ]
    begin = time.process_time()
    for batch in made:
        profiler.add(batch)
    of_signals += time.process_time() - begin
    bounds = RecordBounds(10**6, 10**6, RunCounts(rows, rows, 0, 0, rows))
    check_records(CANDIDATES.empty_table(), bounds)  # its library is loaded
    begin = time.process_time()
    result = check_records(pa.RecordBatchReader.from_batches(CANDIDATES, iter(made)), bounds)
    of_contract = time.process_time() - begin
    print(f"{rows:,} records, {len(result.checks)} expectations: {result.holds=}")
    scale = MILLION / rows
    return of_signals * scale, of_contract * scale


def _records(traces: list[dict[str, Any]], rows: int) -> Iterator[pa.RecordBatch]:
    """Pieces of the traces, each with a header, an end and an answer."""
    rng = random.Random(6)
    long = [t for t in traces if len(t["text"]) > 2 * RECORD_CHARACTERS]
    for _ in range(0, rows, BATCH_ROWS):
        made = []
        for trace in rng.choices(long, k=BATCH_ROWS):
            begin = rng.randrange(len(trace["text"]) - RECORD_CHARACTERS)
            text = trace["text"][begin : begin + RECORD_CHARACTERS].replace("think>", "thought")
            half = len(text) // 2
            text = f"### Step 1. {text[:half]}\n### Step 2. {text[half:]}"
            text += f"</think>\n\nThe final answer is \\boxed{{{trace['answer']}}}."
            made.append({**trace, "text": text, "steps": 2})
        yield pa.RecordBatch.from_pylist(made)


def _candidates(batch: pa.RecordBatch, measured: pa.RecordBatch, first: int) -> pa.RecordBatch:
    """The rows as the contract sees them."""
    count = len(batch)
    columns: dict[str, Any] = {name: measured[name] for name in SIGNALS.names}
    columns |= {name: batch[name] for name in ("question", "answer", "teachers", "steps")}
    columns |= {
        "problem_id": [f"problem-{first + place:08d}" for place in range(count)],
        "messages": [
            [
                {"role": "user", "content": question},
                {"role": "assistant", "content": f"<think>\n{text}"},
            ]
            for question, text in zip(
                batch["question"].to_pylist(), batch["text"].to_pylist(), strict=True
            )
        ],
        "tokens": [900] * count,
        "score": [0.995] * count,
        "run_id": ["run"] * count,
        "key": ["k" * 64] * count,
        "rank": [0] * count,
        "missing": [[]] * count,
        "domain": ["math"] * count,
        "outcome": ["correct"] * count,
    }
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in CANDIDATES]
    return pa.RecordBatch.from_arrays(arrays, schema=CANDIDATES)


def _lines(name: str) -> Iterator[dict[str, Any]]:
    path = DATA / name
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    yield from (json.loads(line) for line in content.decode().split("\n") if line)
