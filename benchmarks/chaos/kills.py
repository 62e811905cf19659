"""Runs killed with SIGKILL at random moments: what they make is what an undisturbed run makes.

Each trial is a run in a lake of its own. A kill's moment is uniform over what is left of its
process's life as learned from an undisturbed run: start, planning, decoding, verification,
publication and report. CORD_CHAOS_SEED chooses victims and moments, CORD_CHAOS_PLACES some of the
places where trials are made.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from benchmarks.chaos.places import PLACES, Place
from benchmarks.chaos.servers import prefect_server
from benchmarks.chaos.trial import Life, Outcome, endure, live_in_peace
from benchmarks.figures import Figure, at_least, at_most


@dataclass(frozen=True, slots=True)
class Campaign:
    """Trials in one place, until so many kills are done."""

    place: str
    kills: int
    a_trial: int
    """Most kills of one run; it is then left in peace."""
    problems: int


WHOLE = (
    Campaign("local", 64, 8, 120),
    Campaign("worker", 16, 8, 120),
    Campaign("vllm", 24, 12, 60),
    Campaign("s3", 18, 9, 120),
    Campaign("ceph", 14, 7, 120),
)
QUICK = (Campaign("local", 6, 6, 16), Campaign("s3", 3, 3, 16))
ON_S3 = ("s3", "ceph")


@dataclass
class Tried:
    """What a campaign came to."""

    campaign: Campaign
    life: Life
    outcomes: list[Outcome]

    @property
    def kills(self) -> int:
        """In all of its trials."""
        return sum(len(outcome.kills) for outcome in self.outcomes)


def measure(quick: bool) -> list[Figure]:
    """Kill, look, and count."""
    seed = int(os.environ.get("CORD_CHAOS_SEED", "7"))
    only = os.environ.get("CORD_CHAOS_PLACES", "")
    wanted = [c for c in (QUICK if quick else WHOLE) if not only or c.place in only.split(",")]
    base = Path(tempfile.mkdtemp(prefix="cord-chaos-"))
    print(f"seed {seed} (CORD_CHAOS_SEED), in {base}", flush=True)
    tried: list[Tried] = []
    lives: dict[str, Life] = {}
    with ExitStack() as stack:
        prefect = prefect_server(base / "prefect")
        stack.callback(prefect.kill)
        prefect.start()
        for campaign in wanted:
            with PLACES[campaign.place](base, prefect, campaign.problems) as place:
                if place.kind not in lives:
                    lives[place.kind] = in_peace(place)
                tried.append(carry_out(campaign, place, lives[place.kind], seed))
    outcomes = [outcome for one in tried for outcome in one.outcomes]
    if all(outcome.sound for outcome in outcomes):
        shutil.rmtree(base)
    else:
        print(f"seed {seed}; everything is kept in {base}")
    return figures_of(tried, quick)


def in_peace(place: Place) -> Life:
    """An undisturbed run in such a place."""
    workshop = place.workshop(f"peace-{place.kind}", shards=4, workers=2)
    life = live_in_peace(workshop, place.meter(workshop))
    print(
        f"in peace, {place.kind}: {life.before_s:.1f} s to the first token, "
        f"{life.decoding_s:.1f} s of decoding, {life.after_s:.1f} s after it, {life.tokens} tokens,"
        f" {life.peaceful.count} rows, content {life.peaceful.content_hash[:12]}",
        flush=True,
    )
    return life


def carry_out(campaign: Campaign, place: Place, life: Life, seed: int) -> Tried:
    """Trials until the campaign's kills are done."""
    rng = random.Random(f"{seed} {campaign.place}")
    tried = Tried(campaign, life, [])
    while tried.kills < campaign.kills:
        number = len(tried.outcomes) + 1
        mark = f"{campaign.place}-{number}"
        run = {"shards": rng.choice((2, 4, 8)), "workers": rng.choice((1, 2, 3))}
        own_prefect = place.own_prefect and number % 3 == 0
        workshop = place.workshop(mark, own_prefect, **run)
        victims = cycle(place.victims(own_prefect))
        most = min(campaign.a_trial, campaign.kills - tried.kills)
        outcome = endure(workshop, place.meter(workshop), life, victims, most, rng)
        show(mark, outcome, life)
        tried.outcomes.append(outcome)
    return tried


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


def figures_of(tried: list[Tried], quick: bool) -> list[Figure]:
    """Of all trials."""
    outcomes = [outcome for one in tried for outcome in one.outcomes]
    differences = [o.difference for o in outcomes if o.difference is not None]
    victims = Counter(name for outcome in outcomes for name in outcome.kills)
    print("killed: " + ", ".join(f"{name} {n}" for name, n in victims.most_common()))
    on_s3 = sum(one.kills for one in tried if one.campaign.place in ON_S3)
    here = sum(one.kills for one in tried) - on_s3
    needed = sum(one.life.tokens * len(one.outcomes) for one in tried)
    again = sum(outcome.tokens for outcome in outcomes) / needed - 1
    other = len(outcomes) - sum(d.same_hash for d in differences)
    # A lake on a folder and one on S3 hold the same.
    peaceful = {one.life.peaceful.content_hash for one in tried if one.campaign.place != "vllm"}
    other += max(0, len(peaceful) - 1)
    return [
        at_least("kills, local lake", here, 6 if quick else 100, "kills"),
        at_least("kills, lake on S3", on_s3, 3 if quick else 30, "kills"),
        at_most("rows lost", sum(d.lost for d in differences), 0, "rows"),
        at_most("rows twice", sum(d.twice for d in differences), 0, "rows"),
        at_most("releases with another content hash", other, 0, f"of {len(outcomes)}"),
        at_most("runs with any other fault", sum(not o.sound for o in outcomes), 0, "runs"),
        at_most("tokens generated again", again, 0.05, "of the runs' tokens"),
    ]
