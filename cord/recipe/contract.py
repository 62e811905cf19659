"""What the data must keep, or nothing is published."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cord.recipe.section import Section

Share = Annotated[float, Field(ge=0, le=1, strict=False)]
Softened = Literal[
    "question_length",
    "enough_records",
    "enough_correct",
    "enough_finished",
    "tokens_in_range",
    "repetition_in_range",
    "language_expected",
    "language_of_question",
    "answer_not_leaked",
    "not_truncated",
    "score_drift",
    "length_drift",
    "teacher_drift",
    "domain_drift",
]
"""Expectations that may be told to warn only. The others speak of faults, not of quality."""


class DriftBounds(Section):
    """How far a release may move away from the one before it."""

    score: Share = 0.1
    """Change of the mean score."""
    length: Annotated[float, Field(ge=0, strict=False)] = 0.5
    """Relative change of the mean number of tokens: 0.5 for half as many more, or fewer."""
    teacher_shares: Share = 0.2
    """Share of the steps that went over to other teachers (total variation distance)."""
    domains: Share = 0.2
    """The same of records and domains."""


class ContractSettings(Section):
    """Bounds that the data must keep, or nothing is published (exit 3).

    Where a bound on quality is null, its default is held all the same, but only warns."""

    min_correct: Share = 0.0
    """Least share of the problems read whose kept trajectory is correct."""
    min_records: int = Field(default=1, ge=0)
    max_record_tokens: int | None = Field(default=None, ge=1)
    """Upper bound on a record's sampled tokens; by default the search's `max_tokens`."""
    languages: tuple[str, ...] = Field(default=(), strict=False)
    """What records may think in, as ISO 639 codes: `[en, zh]`. None: in any; but a thinking in
    another language than its question is warned of."""
    max_repetition: Share | None = None
    """Largest share of a record's thinking that says ten words again; by default 0.3."""
    max_outliers: Share = 0.01
    """Share of the records that may lie outside of `languages` or `max_repetition`."""
    max_leaks: Share | None = None
    """Largest share of records with the answer in their first step, uncomputed; by default 0.01."""
    max_unfinished: Share | None = None
    """Largest share of problems whose best trajectory has no end; by default 0.5."""
    max_withdrawn: Share | None = None
    """Largest share of the newest release's problems that may be missing from the source at once;
    by default 0.5 of a scheduled refresh, which nobody watches, and any of `cord run`."""
    drift: DriftBounds | None = None
    """Against the data set's newest release."""
    warn: tuple[Softened, ...] = Field(default=(), strict=False)
    """Expectations by name that only warn, whatever is given above."""
