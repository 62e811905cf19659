"""Overlaps with evaluation sets: is each planted one found, is little else, and how fast?

Thirteen words of an evaluation item are planted into a real text: an answer of GSM8K's training
set, or a piece of a trace. Their case is changed, every run of punctuation and white space among
them is another one, and every third run of punctuation alone is taken out. Twelve words planted in
the same way must not be found.

GSM8K's training set is checked against the other sets, its own test set among them. Every hit is
printed with both texts, and all of them are counted as false, though some are not.

datatrove evens out numbers (each digit is a 0) before it hashes, and so drops texts that only list
as many numbers as some item does. Seconds are of the processor, of one thread, since others may
share the machine.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import time
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.quality.datatrove_peer import MISSING, peer_python, seconds_and_flagged
from cord.decontamination import EvaluationSets, find_overlaps, read_sets

DATA = Path(__file__).parents[2].parent / "shared" / "data"
WORDS = 13
RECORD_CHARACTERS = 4000
BATCH_ROWS = 1000

_SETS = ("aime24.jsonl#problem", "amc.jsonl", "math500.jsonl", "gsm8k_test.jsonl")
_OLYMPIAD = "olympiadbench.jsonl"
_WORD = re.compile(r"[^\W_]+")
_BETWEEN = re.compile(r"[\W_]+")
_MARKS = (" ", "\n", "  \t", ", ", ". ", "; ", " $", "$ ", "} {", "\\, ", " — ", "…", "\u00a0", '"')
_CASES = (str.upper, str.lower, str.title, str.swapcase)


def figures(quick: bool) -> list[Figure]:
    """Planted overlaps found, false hits, and the time against datatrove."""
    sets = read_sets(_SETS, DATA)
    found, false = _planted(sets, 500 if quick else 5000)
    share = _gsm8k_train(read_sets((*_SETS, _OLYMPIAD), DATA))
    return [
        at_least("planted overlaps of 13 words found", found, 1, "share"),
        at_most("planted rows of 12 words taken for one", false, 0, "share"),
        at_most("GSM8K-train records hit", 100 * share, 0.1, "%"),
        *_speed(sets, 1000 if quick else 20_000),
    ]


def _planted(sets: EvaluationSets, count: int) -> tuple[float, float]:
    """(share of the rows of 13 words found, share of the rows of 12 found)."""
    rng = random.Random(13)
    items = [
        (one.name, text)
        for one in sets.sets
        for text in one.texts
        if len(_WORD.findall(text)) > WORDS
    ]
    # Of twelve words none may be two (`¾`).
    plain = [(name, text) for name, text in items if unicodedata.is_normalized("NFKC", text)]
    hosts = _clean_hosts(sets)
    shares = []
    for size, chosen in ((WORDS, items), (WORDS - 1, plain)):
        rows = []
        for _ in range(count):
            name, item = rng.choice(chosen)
            rows.append((name, _plant(_changed(item, size, rng), rng.choice(hosts), rng)))
        hits = find_overlaps([_batch([("", text) for _, text in rows])], sets, WORDS)
        pairs = set(zip(hits["problem_id"].to_pylist(), hits["set"].to_pylist(), strict=True))
        missed = [
            (name, text) for n, (name, text) in enumerate(rows) if (str(n), name) not in pairs
        ]
        shares.append(1 - len(missed) / count)
        if size == WORDS:
            for name, text in missed[:20]:
                print(f"not found, of {name}: {text[:300]!r}")
        else:
            for hit in hits.to_pylist()[:20]:
                print(f"twelve words found, of {hit['set']}: {hit['matched']!r}")
    print(f"planted {count} rows of {WORDS} and of {WORDS - 1} words into {len(hosts)} texts")
    return shares[0], shares[1]


def _changed(item: str, size: int, rng: random.Random) -> str:
    """So many words in a row of an item, in another case and with other marks among them."""
    words = list(_WORD.finditer(item))
    first = rng.randrange(len(words) - size + 1)
    row = item[words[first].start() : words[first + size - 1].end()]
    case = rng.choice(_CASES)
    row = "".join(case(word) for word in re.split(r"(\W+)", row))

    def other_marks(found: re.Match[str]) -> str:
        if not re.search(r"\s", found[0]) and rng.random() < 1 / 3:
            return ""
        return "".join(rng.choices(_MARKS, k=rng.randint(1, 2)))

    row = _BETWEEN.sub(other_marks, row)
    return unicodedata.normalize(rng.choice(("NFC", "NFD")), row)


def _plant(row: str, host: str, rng: random.Random) -> str:
    """The row at a blank of the host, fenced by words that no item has."""
    blanks = [place for place, sign in enumerate(host) if sign == " "]
    at = rng.choice(blanks)
    return f"{host[:at]} xqzzy {row} yzzqx {host[at:]}"


def _clean_hosts(sets: EvaluationSets) -> list[str]:
    texts = [row["answer"] for row in _rows("gsm8k_train.jsonl.gz")]
    texts += _pieces(_traces(), 1000, random.Random(1))
    texts = [text for text in texts if " " in text]
    hits = find_overlaps([_batch([("", text) for text in texts])], sets, WORDS - 1)
    hit = set(hits["problem_id"].to_pylist())
    return [text for place, text in enumerate(texts) if str(place) not in hit]


def _gsm8k_train(sets: EvaluationSets) -> float:
    """The share of GSM8K's training records that share 13 words with an item; prints them."""
    rows = [(row["question"], row["answer"]) for row in _rows("gsm8k_train.jsonl.gz")]
    items = {
        (one.name, id_): text
        for one in sets.sets
        for id_, text in zip(one.ids, one.texts, strict=True)
    }
    counts = {}
    for words in (WORDS, 8):
        hits = find_overlaps([_batch(rows)], sets, words).to_pylist()
        counts[words] = len({hit["problem_id"] for hit in hits})
        for hit in hits if words == WORDS else ():
            print(
                f"GSM8K-train {hit['problem_id']} ({hit['where']}), item {hit['item']} of "
                f"{hit['set']}, {hit['words']} words: {hit['matched']!r}\n"
                f"  record: {rows[int(hit['problem_id'])][0]!r}\n"
                f"  item:   {items[hit['set'], hit['item']]!r}"
            )
    print(f"of {len(rows)} records {counts[WORDS]} share 13 words in a row, {counts[8]} share 8")
    return counts[WORDS] / len(rows)


def _speed(sets: EvaluationSets, count: int) -> Iterator[Figure]:
    """Ours on `count` records of 4 KB, datatrove's filter on some of the same."""
    rng = random.Random(4)
    questions = [row["question"] for row in _rows("gsm8k_train.jsonl.gz")]
    texts = _pieces(_traces(), count, rng)
    rows = [(rng.choice(questions), text) for text in texts]
    batches = [_batch(rows[at : at + BATCH_ROWS]) for at in range(0, count, BATCH_ROWS)]
    size = sum(len(text.encode()) for row in rows for text in row)
    begun = time.process_time()
    find_overlaps(batches, sets, WORDS, workers=1)
    ours = size / (time.process_time() - begun)
    million = 1e6 * size / count / ours
    print(f"{ours / 1e6:.0f} MB a second of one core; a million such records: {million:.0f} s")
    yield at_least("text read in a second of one core", ours / 1e6, 20, "MB")
    python = peer_python()
    if python is None:
        print(MISSING)
        return
    items = [text for one in sets.sets for text in one.texts]
    some = texts[: max(count // 20, 200)]
    seconds, flagged = seconds_and_flagged(python, items, some, WORDS)
    theirs = sum(len(text.encode()) for text in some) / seconds
    print(f"datatrove: {theirs / 1e6:.2f} MB a second, {len(flagged)} of {len(some)} texts dropped")
    yield at_least("speed against datatrove's filter", ours / theirs, 3, "times")


def _batch(rows: Sequence[tuple[str, str]]) -> pa.RecordBatch:
    columns: list[pa.Array[Any]] = [
        pa.array([str(place) for place in range(len(rows))]),
        pa.array([0] * len(rows), pa.int32()),
        pa.array([question for question, _ in rows]),
        pa.array([text for _, text in rows]),
    ]
    return pa.record_batch(columns, ["problem_id", "rank", "question", "text"])


def _pieces(text: str, count: int, rng: random.Random) -> list[str]:
    places = (rng.randrange(len(text) - RECORD_CHARACTERS) for _ in range(count))
    return [text[place : place + RECORD_CHARACTERS] for place in places]


def _traces() -> str:
    """Whole traces of reasoning models, behind one another."""
    long = [row["solution"] for row in _rows("traces_math_r1distill.jsonl.gz")]
    short = [row["thinking"] or "" for row in _rows("traces_qwen3_tasks.jsonl.gz")]
    return "\n\n".join(long + short)


def _rows(name: str) -> list[dict[str, Any]]:
    opened = gzip.open if name.endswith(".gz") else open
    with opened(DATA / name, "rt", encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines]
