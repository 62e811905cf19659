"""One run that is killed again and again, started again each time, and looked at in the end."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.chaos.inspection import Contents, Difference, compare, contents
from benchmarks.chaos.meters import Meter
from benchmarks.chaos.processes import kill, kill_group, left_of, marked
from benchmarks.chaos.victims import Victim
from benchmarks.chaos.workshop import Workshop, wait_s
from cord.lake.runs.run import load_run

HANGS_S = 300.0
"""A process that is left in peace and has not ended by then hangs."""
MOST_TRIES = 6
"""Of the same command, once nothing is killed any more."""
GONE_S = 20.0
"""After the end, nothing of a run lives longer."""
RESUMED = 0.3
"""Share of the restarts that are made by `cord resume`; the others run the same command again."""


@dataclass(frozen=True, slots=True)
class Life:
    """How an undisturbed run goes."""

    before_s: float
    """Until the first token."""
    decoding_s: float
    after_s: float
    """From the last token to the process's end."""
    tokens: int
    peaceful: Contents

    def left_s(self, tokens: int) -> float:
        """How long a process lives that begins when so many tokens are sampled already."""
        return self.before_s + self.decoding_s * max(0.0, 1 - tokens / self.tokens) + self.after_s


@dataclass
class Outcome:
    """What became of a trial."""

    kills: list[str] = field(default_factory=list)
    """Victims, in order."""
    in_decoding: int = 0
    """Kills that fell when tokens were sampled."""
    tokens: int = 0
    difference: Difference | None = None
    faults: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Nothing is wrong."""
        return not self.faults and self.difference is not None and self.difference.sound


def live_in_peace(workshop: Workshop, meter: Meter) -> Life:
    """Run undisturbed, learning how long each part takes. Raises RuntimeError when it fails."""
    begun = time.monotonic()
    process = workshop.run()
    start, tokens = meter.tokens, 0
    first = last = begun
    while process.poll() is None:
        if (now := meter.tokens - start) != tokens:
            first = time.monotonic() if not tokens else first
            last, tokens = time.monotonic(), now
        time.sleep(0.02)
    ended = time.monotonic()
    workshop.close()
    if process.returncode != 0:
        raise RuntimeError(f"the undisturbed run failed:\n{workshop.said[-2000:]}")
    with workshop.opened() as lake:
        peaceful = contents(lake)
    if peaceful.faults:
        raise RuntimeError(f"the undisturbed run is not sound: {peaceful.faults}")
    return Life(first - begun, last - first, ended - last, tokens, peaceful)


def endure(
    workshop: Workshop,
    meter: Meter,
    life: Life,
    victims: Iterator[Victim],
    most: int,
    rng: random.Random,
) -> Outcome:
    """Kill a run up to `most` times, then let it end, and look what it has made."""
    try:
        outcome, begun_at = Outcome(), meter.tokens
        process, at_start = _start(workshop, rng), begun_at
        while len(outcome.kills) < most:
            if process.poll() is not None:
                if process.returncode == 0:
                    break
                _note_failure(workshop, process, outcome)
                process, at_start = _start(workshop, rng), meter.tokens
            sampled = meter.tokens - begun_at
            moment = rng.uniform(0, life.left_s(sampled))
            if wait_s(process, moment):
                continue
            victim, stage = next(victims), workshop.stage
            sampled, before = meter.tokens - begun_at, time.monotonic()
            is_decoding = at_start < begun_at + sampled < begun_at + life.tokens
            if not victim.strike(workshop, process, rng):
                continue
            outcome.kills.append(victim.name)
            outcome.in_decoding += is_decoding
            print(
                f"  {workshop.mark} kill {len(outcome.kills)}: {victim.name} after {moment:.2f} s, "
                f"{sampled / life.tokens:.0%} decoded, {stage!r}"
                + (f", away {away:.1f} s" if (away := time.monotonic() - before) > 1 else ""),
                flush=True,
            )
            if process.poll() is not None:
                process, at_start = _start(workshop, rng), meter.tokens
        _let_it_end(workshop, process, outcome, rng)
        outcome.tokens = meter.tokens - begun_at
        _inspect(workshop, life, outcome)
        return outcome
    finally:
        for pid in marked(workshop.mark):
            kill(pid)


def _start(workshop: Workshop, rng: random.Random) -> subprocess.Popen[bytes]:
    known = False
    if rng.random() < RESUMED:
        try:
            with workshop.opened() as lake:
                known = load_run(lake, workshop.run_id) is not None
        except Exception:
            known = False  # there is no lake yet
    return workshop.resume() if known else workshop.run()


def _let_it_end(
    workshop: Workshop, process: subprocess.Popen[bytes], outcome: Outcome, rng: random.Random
) -> None:
    for _ in range(MOST_TRIES):
        if not wait_s(process, HANGS_S):
            outcome.faults.append(f"a process hangs: {workshop.stage}")
            kill_group(process.pid)
            process.wait()
        elif process.returncode == 0:
            return
        else:
            _note_failure(workshop, process, outcome)
        process = _start(workshop, rng)
    kill_group(process.pid)
    outcome.faults.append(f"the run does not end: {workshop.said[-500:]}")


def _note_failure(workshop: Workshop, process: subprocess.Popen[bytes], outcome: Outcome) -> None:
    """A process that was not killed itself may fail, when it says why in a sentence."""
    sentence = workshop.said.strip().splitlines()[-1]
    print(f"  {workshop.mark} ended with {process.returncode}: {sentence[:300]}", flush=True)
    if process.returncode != 1 or "fault in cord" in sentence or "Traceback" in workshop.said:
        outcome.faults.append(f"exit code {process.returncode}: {sentence}")


def _inspect(workshop: Workshop, life: Life, outcome: Outcome) -> None:
    with workshop.opened() as lake:
        outcome.difference = compare(contents(lake), life.peaceful)
    for what in (("--repair",), ("chaos@1",)):
        if code := workshop.cord("verify", *what):
            said = workshop.out or workshop.said
            outcome.faults.append(f"cord verify {' '.join(what)} ended with {code}: {said[-900:]}")
    workshop.close()
    if left := left_of(workshop.mark, GONE_S):
        outcome.faults.append(f"{len(left)} processes are left: {left}")
