"""Runs killed with SIGKILL at random moments: what they make is what an undisturbed run makes.

Each trial is a run in a lake of its own. A kill's moment is uniform over what is left of its
process's life as learned from an undisturbed run: start, planning, decoding, verification,
publication and report. CORD_CHAOS_SEED chooses victims and moments.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from benchmarks.chaos.meters import Counted
from benchmarks.chaos.servers import PrefectServer, moto, prefect_server
from benchmarks.chaos.trial import Life, Outcome, endure, live_in_peace
from benchmarks.chaos.victims import (
    PREFECTS_OWN,
    ChildProcess,
    FlowProcess,
    OuterServer,
    ProcessGroup,
    Victim,
)
from benchmarks.chaos.workshop import Workshop
from benchmarks.figures import Figure, at_least, at_most

IN_FLIGHT = 4
OWN = "own"
"""The Prefect server that a run starts for itself."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """Trials of one kind, until so many kills are done."""

    name: str
    kills: int
    a_trial: int
    """Most kills of one run; it is then left in peace."""


def measure(quick: bool) -> list[Figure]:
    """Kill, look, and count."""
    seed = int(os.environ.get("CORD_CHAOS_SEED", "7"))
    rng = random.Random(seed)
    problems = 48 if quick else 120
    print(f"seed {seed} (CORD_CHAOS_SEED), {problems} problems a run", flush=True)
    base = Path(tempfile.mkdtemp(prefix="cord-chaos-"))
    tried: dict[str, list[Outcome]] = {}
    with ExitStack() as stack:
        prefect = prefect_server(base / "prefect")
        stack.callback(prefect.kill)
        prefect.start()
        here = Local(base, prefect, problems)
        life = here.peace()
        tried["local"] = campaign(Campaign("local", 10 if quick else 90, 10), here, life, rng)
        s3 = moto(base / "moto")
        stack.callback(s3.kill)
        s3.start()
        s3.client().create_bucket(Bucket="chaos")
        there = Local(base, prefect, problems, "s3://chaos", s3.environment_for_runs())
        tried["S3"] = campaign(Campaign("s3", 3 if quick else 24, 6), there, life, rng)
    outcomes = [outcome for some in tried.values() for outcome in some]
    if all(outcome.sound for outcome in outcomes):
        shutil.rmtree(base)
    else:
        print(f"seed {seed}; everything is kept in {base}")
    return figures_of(tried, life, quick)


@dataclass
class Local:
    """Where the trials of embedded models take place."""

    base: Path
    prefect: PrefectServer
    problems: int
    bucket: str = ""
    keys: dict[str, str] | None = None

    def workshop(self, mark: str, own_prefect: bool, **run: int) -> Workshop:
        """A fresh folder and lake."""
        folder = self.base / mark
        prefect = {"PREFECT_HOME": str(folder / "prefect")}
        if not own_prefect:
            prefect = self.prefect.environment_for_runs()
        lake = f"{self.bucket}/{mark}" if self.bucket else str(folder / "lake")
        made = Workshop(folder, lake, {**prefect, **(self.keys or {})}, mark)
        made.write(self.problems, in_flight=IN_FLIGHT, **run)
        return made

    def peace(self) -> Life:
        """An undisturbed run."""
        workshop = self.workshop("peace", own_prefect=False, shards=4, workers=2)
        life = live_in_peace(workshop, Counted(workshop))
        print(
            f"in peace: {life.before_s:.1f} s to the first token, {life.decoding_s:.1f} s of "
            f"decoding, {life.after_s:.1f} s after it, {life.tokens} tokens, "
            f"{life.peaceful.count} rows, content {life.peaceful.content_hash[:12]}",
            flush=True,
        )
        return life

    def victims(self, own_prefect: bool) -> Sequence[Victim]:
        """In turn."""
        flow, group = FlowProcess(), ProcessGroup()
        server: Victim = OuterServer(self.prefect)
        if own_prefect:
            server = ChildProcess("run's own Prefect server", PREFECTS_OWN)
        return (flow, group, flow, server, ChildProcess("verifying process", "cord.verification"))


def campaign(plan: Campaign, place: Local, life: Life, rng: random.Random) -> list[Outcome]:
    """Trials until the campaign's kills are done."""
    outcomes: list[Outcome] = []
    done = 0
    while done < plan.kills:
        number = len(outcomes) + 1
        own_prefect = number % 3 == 0
        shards = rng.choice((2, 4, 8))
        mark = f"{plan.name}-{number}"
        workshop = place.workshop(mark, own_prefect, shards=shards, workers=rng.choice((1, 2, 3)))
        victims = cycle(place.victims(own_prefect))
        most = min(plan.a_trial, plan.kills - done)
        outcome = endure(workshop, Counted(workshop), life, victims, most, rng)
        show(mark, outcome, life)
        outcomes.append(outcome)
        done += len(outcome.kills)
    return outcomes


def show(mark: str, outcome: Outcome, life: Life) -> None:
    """A line for a trial, and one for each thing that is wrong with it."""
    again = outcome.tokens / life.tokens - 1
    print(
        f"{mark}: {len(outcome.kills)} kills, {outcome.in_decoding} of them while decoding, "
        f"{again:+.1%} tokens, " + ("sound" if outcome.sound else "NOT SOUND"),
        flush=True,
    )
    sentences = outcome.difference.sentences if outcome.difference is not None else ()
    for sentence in (*outcome.faults, *sentences):
        print(f"    {sentence}", flush=True)


def figures_of(tried: dict[str, list[Outcome]], life: Life, quick: bool) -> list[Figure]:
    """Of all trials."""
    outcomes = [outcome for some in tried.values() for outcome in some]
    differences = [o.difference for o in outcomes if o.difference is not None]
    kills = Counter(name for outcome in outcomes for name in outcome.kills)
    print("killed: " + ", ".join(f"{name} {n}" for name, n in kills.most_common()))
    goals = {"local": 10 if quick else 100, "S3": 3 if quick else 30}
    again = sum(o.tokens for o in outcomes) / (life.tokens * len(outcomes)) - 1
    return [
        *(
            at_least(f"kills, {name}", sum(len(o.kills) for o in some), goals[name], "kills")
            for name, some in tried.items()
        ),
        at_most("rows lost", sum(d.lost for d in differences), 0, "rows"),
        at_most("rows twice", sum(d.twice for d in differences), 0, "rows"),
        at_most(
            "releases with another content hash",
            len(outcomes) - sum(d.same_hash for d in differences),
            0,
            f"of {len(outcomes)} runs",
        ),
        at_most("runs with any other fault", sum(not o.sound for o in outcomes), 0, "runs"),
        at_most("tokens generated again", again, 0.05, "of the runs' tokens"),
    ]
