"""The head of a report: what the run was and came to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cord.lake.runs.run import RunDocument, observed_state, require_run, state_in_words
from cord.recipe import Recipe
from cord.report.lines import Listing
from cord.summary import Summary, summarise

if TYPE_CHECKING:
    from cord.lake import Lake

_DECODED = ("correct", "wrong", "undecided", "left out")


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure of the head."""

    name: str
    value: str
    says: str = ""
    """What the figure means, where its name does not say it."""
    tone: str = ""
    """`good`, `bad` or `mild`."""


@dataclass(frozen=True, slots=True)
class Head:
    """Everything above the pictures."""

    run: RunDocument
    state: str
    tone: str
    facts: tuple[Fact, ...]
    setting: tuple[Fact, ...]
    summary: Summary
    message: str
    is_final: bool


def head_of(lake: Lake, recipe: Recipe, run_id: str, listing: Listing) -> Head:
    """What there is to tell of a run, whatever state it is in."""
    document = require_run(lake, run_id)
    state = observed_state(lake, document)
    settled = _settled(lake, run_id)
    summary = summarise(lake, document, settled or _so_far(listing))
    tones = {"completed": "good", "running": "mild", "interrupted": "mild"}
    return Head(
        run=document,
        state=state_in_words(state, document.quarantined),
        tone=tones.get(state, "bad"),
        facts=_facts(summary, listing, settled is not None),
        setting=_setting(document, recipe, summary),
        summary=summary,
        message=document.message,
        is_final=settled is not None,
    )


def _settled(lake: Lake, run_id: str) -> dict[str, int] | None:
    content = lake.store.read(f"runs/{run_id}/counts.json")
    return None if content is None else dict(json.loads(content))


def _so_far(listing: Listing) -> dict[str, int]:
    """Counts of a run that is not settled: what is in the lake by now."""
    counts = listing.counts
    return {
        "problems": counts.total(),
        "correct": counts["correct"],
        "records": 0,
        "wrong": counts["wrong"] + counts["undecided"],
        "quarantined": counts["quarantined"],
    }


def _facts(summary: Summary, listing: Listing, is_final: bool) -> tuple[Fact, ...]:
    waiting = listing.counts["waiting"] + listing.counts["not verified"]
    dropped = sum(n or 0 for n in (summary.duplicates, summary.contaminated, summary.below_path))
    facts = [
        Fact("problems", f"{summary.problems:,}", "Rows of the source that the run has taken on."),
        Fact(
            "correct",
            _part(summary.correct, summary.problems),
            "Problems whose best trajectory is verified against the reference answer.",
            "good",
        ),
        Fact("wrong", f"{summary.wrong:,}", "Judged wrong, or not to be decided.", "bad"),
        Fact(
            "quarantined",
            f"{summary.quarantined:,}",
            "Set aside with a reason: not readable, not decodable, or nothing left of it.",
            "mild",
        ),
    ]
    if is_final:
        facts.insert(
            1, Fact("records", f"{summary.records:,}", "Problems with a record in the release.")
        )
    if dropped:
        facts.append(
            Fact(
                "left out",
                f"{dropped:,}",
                "Correct, and not published: duplicates, contaminated, or kept out by "
                "`publish.path`.",
            )
        )
    if waiting:
        facts.append(Fact("waiting", f"{waiting:,}", "Not decoded or not verified yet.", "mild"))
    return (
        *facts,
        Fact(
            "mean S",
            "–" if summary.mean_score is None else f"{summary.mean_score:.3f}",
            "Mean score of the best finished trajectories: by predictive perplexity, 1 means that "
            "the meta-prover holds the right answer for certain after reading them.",
        ),
        Fact(
            "tokens",
            _short(summary.tokens_proposed),
            "Sampled in all: "
            f"{summary.tokens_kept:,} on the best trajectories, {summary.tokens_thrown_away:,} "
            f"thrown away; {summary.tokens_reused:,} of them by earlier runs.",
        ),
        Fact(
            "tokens a record",
            _short(summary.tokens_per_record),
            "Sampled tokens for each problem with a record.",
        ),
        Fact("time", _time(summary.seconds), "From the start of its last process to its end."),
    )


def _setting(document: RunDocument, recipe: Recipe, summary: Summary) -> tuple[Fact, ...]:
    search = recipe.search
    return (
        Fact("recipe", document.recipe),
        Fact("release", document.release or "none"),
        Fact("search", f"{search.strategy}, width {search.width}, by {search.criterion}"),
        Fact("verified by", recipe.verify.domain),
        *(Fact(name, engine) for name, engine in document.engines.items()),
        Fact("created", _moment(document.created_at)),
        Fact("ended", "not yet" if document.ended_at is None else _moment(document.ended_at)),
        *(
            (Fact("away", ", ".join(f"{t} in {n} problems" for t, n in summary.missing.items())),)
            if summary.missing
            else ()
        ),
    )


def _part(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.0%})" if whole else f"{part:,}"


def _short(number: float | None) -> str:
    if number is None:
        return "–"
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            return f"{number / min(size, 1e3 if unit == 'k' else size):.3g} {unit}"
    return f"{number:,.0f}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
