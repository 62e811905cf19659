"""How a problem is searched: what decides its trajectories, beside models and seed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cord.prompts import INSTRUCTIONS, PLAIN_INSTRUCTIONS
from cord.recipe.section import Section
from cord.segmentation import Segmentation

PathScore = Literal["last", "mean", "steady"]
"""How the scores along a trajectory make one value (`cord.search.beam.value`)."""


class SearchSettings(Section):
    """The search over steps (method.md, part 3), or what it is compared with."""

    strategy: Literal["beam", "greedy", "mcts", "curation", "integration"] = "beam"
    """`cord.search.strategies` says what each does."""
    width: int = Field(default=4, ge=1, le=64)
    """B: how many partial trajectories live on; of curation and integration, how many whole ones
    each teacher writes."""
    rank_by: PathScore = "last"
    """What lives on: by the last step's score (the paper's), or by all along the path."""
    choose_by: PathScore | None = None
    """Which of the finished is the answer; by default `rank_by`."""
    exploration: Annotated[float, Field(ge=0, strict=False)] = 0.25
    """C of `mcts`: how much a branch that was seldom visited is worth. Scores lie in (0, 1], and a
    tree of few rounds must come to its leaves: the textbook's square root of 2 hardly goes down."""
    max_steps: int = Field(default=40, ge=1, le=10_000)
    """Of one trajectory."""
    max_step_tokens: int = Field(default=1024, ge=1)
    """Cap on one proposal; a longer step goes on in the next round."""
    max_tokens: int = Field(default=20_480, ge=1)
    """Cap on one trajectory's output tokens (paper: 20,480)."""
    max_problem_tokens: int | None = Field(default=None, ge=1)
    """No new round of a problem begins once so many tokens were sampled for it, thrown-away ones
    included."""
    quorum: Annotated[float, Field(gt=0, le=1, strict=False)] = 1.0
    """A round closes when this share of its proposals has come (0.9: 11 of 12); the laggards are
    broken off. 1 waits for all, and only then do the same seeds give the same trajectories."""
    segmentation: Segmentation = "prompt-guided"
    """Where a step ends (`cord.search.cutting`)."""
    criterion: Literal[
        "predictive-perplexity", "binary", "process-reward", "max-length", "random"
    ] = "predictive-perplexity"
    """What a step is scored by (`cord.scoring`); `binary` asks the recipe's `judge`, and
    `process-reward` its `reward_model`."""
    instructions: str = INSTRUCTIONS
    """System message that asks for `### Step n.` sections. Where steps are cut in another way, the
    default asks for none."""

    @property
    def worded(self) -> str:
        """The instructions as the models get them."""
        plain = self.segmentation != "prompt-guided" and self.instructions == INSTRUCTIONS
        return PLAIN_INSTRUCTIONS if plain else self.instructions

    @property
    def whole(self) -> bool:
        """Teachers write whole trajectories, not steps."""
        return self.strategy in ("curation", "integration")

    @property
    def chosen_by(self) -> PathScore:
        """How the answer of the search is chosen."""
        return self.choose_by or self.rank_by
