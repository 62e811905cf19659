"""Near-duplicates planted in real questions: are they found, is only they found, and how fast?

The questions are GSM8K's (train). Into half of them a changed copy is planted: words are replaced,
left out or put in until the Jaccard index of the word triples lies in a band around the threshold.
A copy is *fair* if its numbers, signs and words that mean much are untouched: it must be found. A
copy with one of these changed is another problem: it must not be found, however similar.

The peer is datasketch, on the same rows in the same process: the same normalised word triples, 128
permutations, the same bands as ours (so the same chance to find a pair), the same exact check, the
same walk from best to worst. Seconds are of the processor, since others may share the machine.
"""

from __future__ import annotations

import gzip
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import numpy as np
import pyarrow as pa

from benchmarks.figures import Figure, at_least
from cord.deduplication import (
    Tokens,
    duplicate_questions,
    duplicate_trajectories,
    is_prose,
    signature,
    tokens,
)
from cord.deduplication.minhash import PERMUTATIONS, Sketches, band_count

DATA = Path(__file__).parents[2].parent / "shared" / "data"
NEAR = 0.8
BANDS = ((0.7, 0.8), (0.8, 0.85), (0.85, 1.0))
"""Of the Jaccard index; the first one lies below the threshold."""
_NUMBERS = ("3", "7", "not", "half", "more", "twice")

T = TypeVar("T")


@dataclass(frozen=True)
class Planted:
    """A changed copy of a question."""

    question: str
    similarity: float
    kind: Literal["fair", "other problem"]


def figures(quick: bool) -> list[Figure]:
    """Recall and precision at 0.8, and the time against datasketch."""
    questions = _questions()[: 3000 if quick else None]
    planted = _plant(questions)
    rows = _rows(questions, planted)
    found, ours_s = _timed(lambda: duplicate_questions(lambda: rows.to_batches(4096), NEAR))
    gone = {row["problem_id"]: row for row in found.to_pylist()}
    recall, apart = _found(planted, gone)
    precision = _precision(rows, gone)
    results = [
        at_least("near-duplicates found at Jaccard 0.8 and above", recall, 0.95, "of planted"),
        at_least("found that are near-duplicates", precision, 0.99, "of found"),
        at_least("other problems in the same words kept apart", apart, 1.0, "of planted"),
    ]
    results += _against_datasketch(rows, set(gone), ours_s)
    _print_trajectories()
    return results


def _questions() -> list[str]:
    path = DATA / "gsm8k_train.jsonl.gz"
    if not path.exists():
        raise SystemExit(f"{path} is missing: the figures need GSM8K's questions there")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["question"] for line in lines]


def _plant(questions: list[str]) -> dict[int, Planted]:
    """A copy of every second question, by the question's place."""
    rng = random.Random(6)
    harmless = sorted(
        {
            word
            for question in questions
            for word in question.split()
            if word.isalpha() and len(word) > 3 and not signature(tokens(word))
        }
    )
    planted: dict[int, Planted] = {}
    for place in range(0, len(questions), 2):
        if not is_prose(tokens(questions[place])):
            continue
        fair = place % 8 != 6
        low, high = BANDS[place // 2 % len(BANDS)] if fair else (NEAR, 1.0)
        for _ in range(200):
            copy = _changed(questions[place], rng, harmless, fair)
            similarity = _jaccard(questions[place], copy)
            if low <= similarity < high and fair == _same_signs(questions[place], copy):
                planted[place] = Planted(copy, similarity, "fair" if fair else "other problem")
                break
    return planted


def _changed(question: str, rng: random.Random, harmless: list[str], fair: bool) -> str:
    words = question.split()
    if not fair:
        words.insert(rng.randrange(len(words)), rng.choice(_NUMBERS))
        return " ".join(words)
    for _ in range(rng.randint(1, 1 + len(words) // 10)):
        place = rng.randrange(len(words))
        match rng.choice(("replace", "leave out", "put in")):
            case "replace":
                words[place] = rng.choice(harmless)
            case "leave out" if len(words) > 1:
                del words[place]
            case _:
                words.insert(place, rng.choice(harmless))
    return " ".join(words)


def _same_signs(one: str, other: str) -> bool:
    return signature(tokens(one)) == signature(tokens(other))


def _jaccard(one: str, other: str) -> float:
    """Of the word triples as texts: computed without anything of `cord.deduplication.minhash`."""
    a, b = _triples(tokens(one)), _triples(tokens(other))
    return len(a & b) / len(a | b)


def _triples(words: Tokens) -> set[str]:
    return {" ".join(words[n : n + 3]) for n in range(len(words) - 2)}


def _rows(questions: list[str], planted: dict[int, Planted]) -> pa.Table:
    """Questions and copies, shuffled; a copy is worse than its question, and so must go."""
    rows = [(f"{place:06}", question, 1.0) for place, question in enumerate(questions)]
    rows += [(f"{place:06}-copy", copy.question, 0.5) for place, copy in planted.items()]
    random.Random(0).shuffle(rows)
    ids, texts, scores = zip(*rows, strict=True)
    return pa.table(
        {
            "problem_id": pa.array(ids, pa.string()),
            "question": pa.array(texts, pa.string()),
            "score": pa.array(scores, pa.float64()),
            "tokens": pa.array(np.full(len(rows), 100), pa.int32()),
        }
    )


def _found(planted: dict[int, Planted], gone: dict[str, dict[str, Any]]) -> tuple[float, float]:
    """The share of fair copies at the threshold or above that went, and of other problems that
    stayed; prints each kind."""
    there: Counter[tuple[str, float, float]] = Counter()
    found: Counter[tuple[str, float, float]] = Counter()
    for place, copy in planted.items():
        kind = (copy.kind, *next(band for band in BANDS if copy.similarity < band[1]))
        there[kind] += 1
        found[kind] += f"{place:06}-copy" in gone
    for (what, low, high), count in sorted(there.items()):
        says = "found" if what == "fair" else "taken for the same"
        share = f"{found[what, low, high]} of {count}"
        print(f"  planted, {what}, Jaccard {low} to {high}: {share} {says}")
    fair = [kind for kind in there if kind[0] == "fair" and kind[1] >= NEAR]
    others = [kind for kind in there if kind[0] != "fair"]
    return (
        sum(found[kind] for kind in fair) / sum(there[kind] for kind in fair),
        1 - sum(found[kind] for kind in others) / sum(there[kind] for kind in others),
    )


def _precision(rows: pa.Table, gone: dict[str, dict[str, Any]]) -> float:
    """The share of what went that is as similar to what stays as it must be, and has its signs."""
    text = {str(row["problem_id"]): str(row["question"]) for row in rows.to_pylist()}
    right = 0
    print("  found without having been planted:")
    for id_, row in sorted(gone.items()):
        one, other = text[id_], text[row["of"]]
        right += _jaccard(one, other) >= NEAR and _same_signs(one, other)
        if not id_.endswith("-copy") or not id_.startswith(row["of"]):
            print(f"    {row['kind']} {row['similarity']:.2f}: {one!r}\n      is {other!r}")
    return right / len(gone)


def _against_datasketch(rows: pa.Table, ours: set[str], ours_s: float) -> list[Figure]:
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError:
        print("  datasketch is not installed: pip install -e '.[bench]'")
        return []
    best_first = rows.sort_by([("score", "descending"), ("problem_id", "ascending")])
    ids = cast(list[str], best_first["problem_id"].to_pylist())
    texts = cast(list[str], best_first["question"].to_pylist())

    def peer(words: list[Tokens]) -> set[str]:
        index = MinHashLSH(num_perm=PERMUTATIONS, params=_lsh_shape())
        sets = [frozenset(_triples(one)) for one in words]
        kept: dict[int, frozenset[str]] = {}
        gone = set()
        hashed = ([triple.encode() for triple in one] for one in sets)
        for place, sketch in enumerate(MinHash.generator(hashed, num_perm=PERMUTATIONS)):
            own = sets[place]
            alike = index.query(sketch)
            if any(len(own & kept[o]) / len(own | kept[o]) >= NEAR for o in alike):
                gone.add(ids[place])
            else:
                index.insert(place, sketch)
                kept[place] = own
        return gone

    def alone() -> set[str]:
        with Sketches(NEAR, len(words)) as sketches:
            sketches.add(np.arange(len(words)), np.ones(len(words), np.uint64), words)
            return {ids[found.number] for found in sketches.near_duplicates()}

    theirs, theirs_s = _timed(lambda: peer([tokens(text) for text in texts]))
    words = [tokens(text) for text in texts]
    mine, mine_s = _timed(alone)
    same, same_s = _timed(lambda: peer(words))
    print(
        f"  {len(ids)} questions. The whole pass: cord {ours_s:.2f} s, {len(ours)} found; "
        f"datasketch {theirs_s:.2f} s, {len(theirs)} found (it knows no signature)\n"
        f"  MinHash and exact check alone, of all questions, words given, no signature: cord "
        f"{mine_s:.2f} s, {len(mine)} found; datasketch {same_s:.2f} s, {len(same)} found, "
        f"{len(mine ^ same)} of them by one only"
    )
    return [
        at_least("the whole pass against datasketch", theirs_s / ours_s, 3, "times faster"),
        at_least("MinHash and exact check against datasketch", same_s / mine_s, 3, "times faster"),
    ]


def _print_trajectories() -> None:
    """What of 8 samples of one model on one problem goes, by threshold: why the default is 0.9."""
    path = DATA / "math_solutions_8x100.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        problems = [json.loads(line) for line in lines]
    rows = pa.Table.from_pylist(
        [
            {
                "problem_id": f"{place:03}",
                "rank": rank,
                "text": text,
                "score": 0.0,
                "tokens": len(text),
            }
            for place, problem in enumerate(problems)
            for rank, text in enumerate(problem["response"])
        ]
    )
    for near in (None, 0.95, 0.9, 0.8, 0.7):
        found = duplicate_trajectories(rows.to_batches(), near).to_pylist()
        other_answer = sum(
            (answers := problems[int(row["problem_id"])]["pred"])[row["rank"]] != answers[row["of"]]
            for row in found
        )
        print(
            f"  trajectories, near {near}: {len(found)} of {len(rows)} go, {other_answer} of them "
            "with another answer than the one that stays"
        )


def _lsh_shape() -> tuple[int, int]:
    bands = band_count(NEAR)
    return bands, PERMUTATIONS // bands


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What it returns, and the processor's seconds: the least of three times."""
    seconds = []
    for _ in range(3):
        begin = time.process_time()
        result = work()
        seconds.append(time.process_time() - begin)
    return result, min(seconds)


if __name__ == "__main__":
    from benchmarks.figures import report

    report(figures(quick=False), as_json=False)
