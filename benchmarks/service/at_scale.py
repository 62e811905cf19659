"""A million problems on 256 GPUs, reckoned from measured unit costs and a simulation with a seed.

`docs/scale.md` quotes what this prints. Every unit below names the command that measures it; list
prices and failure rates are parameters. Bytes of rounds are made here, of the size that three 32B
teachers give, and written as the journal and the tables write them.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.figures import Figure, at_most
from benchmarks.service.simulation import MEAN_ROUNDS, Cluster, simulate
from cord.journal import Entry, Header, entry_line, header_line
from cord.types import Candidate, Cost, Round, Step

GPUS, CELL_GPUS, HOST_GPUS = 256, 4, 8
ROUNDS, CANDIDATES, STEP_TOKENS, CHARACTERS = 25, 12, 200, 800
"""Of a problem: rounds, proposals a round (3 teachers, B = 4), and what a step is."""
PAPER_S = {"CoRD, the beam": 288.7, "curation": 168.3, "MCTS": 589.2}
"""Seconds a problem on four H200, by the paper."""
CAPPED = 0.82
"""Of the time, with steps of at most 512 tokens: `python -m benchmarks.scheduler`."""


@dataclass(frozen=True)
class Units:
    """What one of each costs."""

    shard_puts: float = 17.0
    """S3 requests of a shard besides its journal: `benchmarks.service --only unit-costs`."""
    shard_gets: float = 281.0
    """HEAD among them: most read a table's log."""
    shard_lists: float = 38.0
    task_run_events: float = 4.5
    """Prefect: 3.5 events and a line of log, counted in the database of the same run."""
    task_run_server_cpu_s: float = 0.007
    task_run_kib: float = 23.0
    """In its database, events and logs included: 8.5 MiB for 377 of `cord run`'s."""
    core_candidates_s: float = 1500.0
    """Candidates a second that one core of a flow process searches: `benchmarks.overhead`."""
    commit_ms: float = 26.0
    commit_ms_each_thousand: float = 15.0
    """A Delta commit of a table with so many thousand commits before it."""


@dataclass(frozen=True)
class Prices:
    """Dollars, list prices of S3 Standard in us-east-1."""

    put_thousand: float = 0.005
    get_thousand: float = 0.0004
    gb_month: float = 0.023
    gpu_hour: float = 3.0


def run(quick: bool) -> list[Figure]:
    """Print the plan; `quick` simulates a tenth of the problems."""
    problems = 1_000_000
    plan = Cluster(problems=problems // 10 if quick else problems)
    print(f"{problems} problems on {GPUS} GPUs: {GPUS // CELL_GPUS} cells of {CELL_GPUS}")
    _gpu_time(problems)
    done = simulate(plan)
    print(
        f"simulated, {plan.problems} problems in shards of {plan.shard}, a host lost every "
        f"{plan.mtbf_days:.0f} days: {done.days:.1f} days, {done.failures} hosts lost, "
        f"{done.lost:.5%} of the time in rounds done again, {done.down:.3%} waiting for a host, "
        f"{done.idle:.2%} idle at the end"
    )
    _shards(quick)
    _failing()
    per_day = 86_400 * plan.cells / plan.problem_s
    days = done.days + (problems - plan.problems) / per_day
    _lake(problems, plan, days)
    _prefect(problems, plan, days)
    _flow_process(plan)
    _breaks(problems, plan)
    return [
        at_most("GPU time lost to failing hosts", done.lost + done.down, 0.01, "of all"),
        at_most("GPU time in rounds done again", done.lost, 0.001, "of all"),
    ]


def _gpu_time(problems: int) -> None:
    for name, seconds in PAPER_S.items():
        days = problems * seconds / (GPUS // CELL_GPUS) / 86_400
        hours = problems * seconds * CELL_GPUS / 3600
        cost = hours * Prices.gpu_hour / 1e6
        print(f"  {name}: {days:.1f} days, {hours:,.0f} GPU-hours, {cost:.2f} million dollars")
    days = CAPPED * problems * PAPER_S["CoRD, the beam"] / (GPUS // CELL_GPUS) / 86_400
    print(f"  CoRD, steps of at most 512 tokens: {days:.1f} days")


def _shards(quick: bool) -> None:
    """How large a shard may be before the end of the run costs something."""
    problems = 20_000 if quick else 100_000
    ideal = problems * PAPER_S["CoRD, the beam"] / (GPUS // CELL_GPUS) / 86_400
    for shard in (25, 100, 400, 1600):
        done = simulate(Cluster(problems=problems, shard=shard, mtbf_days=math.inf))
        over = (done.days - ideal) * 24
        print(f"  shards of {shard}: the run ends {over:.1f} h after full use would end it")


def _failing() -> None:
    """Expected: a failure costs the problems in flight half a round, and the host the repair."""
    plan = Cluster()
    half_round = plan.place_s / MEAN_ROUNDS / 2
    for mtbf in (264.0, 90.0, 30.0, 7.0):
        again, waits = (s / (mtbf * 86_400) for s in (half_round, plan.repair_s))
        print(f"  a host lost every {mtbf:.0f} days: {again:.4%} done again, {waits:.2%} waiting")


def _lake(problems: int, plan: Cluster, days: float) -> None:
    shards = problems // plan.shard
    line, parquet = _round_bytes()
    kept = problems * ROUNDS * parquet / 1e9
    # A round is a write of its own unless others of the shard come in the same 50 ms to 1 s.
    journal_puts = problems * ROUNDS
    puts = shards * (Units.shard_puts + Units.shard_lists) + journal_puts
    gets = shards * Units.shard_gets
    dollars = puts / 1e3 * Prices.put_thousand + gets / 1e3 * Prices.get_thousand
    rate = journal_puts / (days * 86_400)
    print(
        f"the lake: {shards} shards. A journal line of a round is {line / 1e3:.1f} KB, "
        f"{line * ROUNDS / 1e3:.0f} KB a problem, {line * ROUNDS * problems / 1e9:.0f} GB in all, "
        f"of which those of {plan.cells * plan.in_flight * 2} problems are there at once: "
        f"{line * ROUNDS * plan.cells * plan.in_flight * 2 / 1e9:.1f} GB\n"
        f"  its rows {parquet / 1e3:.1f} KB a round in Parquet: {kept:.0f} GB kept, "
        f"{kept * Prices.gb_month:.0f} dollars a month\n"
        f"  S3: {puts / 1e6:.1f} million PUT and LIST ({rate:.1f} a second), {gets / 1e6:.2f} "
        f"million GET, {dollars:.0f} dollars; {shards * 5} Parquet files where each shard "
        f"commits for itself, {256 * 5} where they go in 256 batches"
    )


def _prefect(problems: int, plan: Cluster, days: float) -> None:
    shards = problems // plan.shard
    for name, runs in (("a task run for decode and for verify", 2 * shards), ("batches", 256)):
        events = runs * Units.task_run_events
        print(
            f"Prefect, {name}: {runs} task runs, {events:.0f} events and requests in {days:.0f} "
            f"days ({events / (days * 86_400):.4f} a second), "
            f"{runs * Units.task_run_server_cpu_s:.0f} s of its CPU, "
            f"{runs * Units.task_run_kib / 1024:.0f} MiB of its database"
        )
    beats = plan.cells * days * 86_400 / 15
    print(f"  heartbeats of {plan.cells} flow processes: {beats / 1e6:.1f} million events")


def _flow_process(plan: Cluster) -> None:
    candidates = ROUNDS * CANDIDATES / PAPER_S["CoRD, the beam"]
    print(
        f"a flow process: {candidates:.2f} candidates a second of its cell, "
        f"{candidates / Units.core_candidates_s:.3%} of a core; {plan.in_flight} problems "
        f"in flight of at most {ROUNDS * 4 * STEP_TOKENS * 28 / 1024 / 4:.0f} KiB of token ids each"
    )


def _breaks(problems: int, plan: Cluster) -> None:
    rate = plan.cells * plan.in_flight / (plan.place_s / ROUNDS)
    print(
        f"what breaks first: S3 takes 3,500 PUT a second a prefix, this asks {rate:.1f}: at "
        f"{3500 / rate * GPUS:,.0f} GPUs"
    )
    for thousand in (1, 10, 100):
        once = Units.commit_ms + Units.commit_ms_each_thousand * thousand
        print(f"  a commit to a table of {thousand},000 commits: {once / 1e3:.2f} s of CPU")
    hashes = problems * (112 * 8 + 100)
    print(f"  duplicates: signatures of {problems} records, {hashes / 1e9:.1f} GB")


def _round_bytes() -> tuple[float, float]:
    """Bytes of a round in the journal, and of its rows in Parquet."""
    drawn = random.Random(7)
    words = ["".join(drawn.choices("etaoinshrdlu", k=drawn.randint(2, 9))) for _ in range(3000)]

    def text() -> str:
        said = " ".join(drawn.choices(words, k=CHARACTERS // 5))
        return f"### Step 3. {said}"[:CHARACTERS]

    def candidate(place: int) -> Candidate:
        ids = tuple(drawn.randrange(150_000) for _ in range(STEP_TOKENS))
        said, score = text(), drawn.random()
        step = Step(said, f"t{place % 3}", (f"t{place % 3}",), ids, "qwq", STEP_TOKENS, score, 0.1)
        return Candidate(place // 3, step, kept=place < 4, cost=Cost(1, STEP_TOKENS, 4000))

    candidates = tuple(candidate(place) for place in range(CANDIDATES))
    costs = tuple((f"t{i}", Cost(4, 4 * STEP_TOKENS, 16_000)) for i in range(3))
    _, line = entry_line(Entry("0" * 64, "p0", "", 0.1, Round(3, candidates, costs=costs)))
    header = header_line(Header(cord="1", run_id="r", engines={"t0": "Qwen/QwQ-32B on vllm"}))
    rows = pa.table({"text": [one.step.text for one in candidates]})
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", compression_level=3)
    return len(line) + len(header), float(len(sink.getvalue())) + 60 * CANDIDATES
