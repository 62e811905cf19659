"""The plan of a run before it is begun: what it would change against the newest release.

Everything is found by hashes and counts that are in the lake; nothing is written, no model is asked
for more than its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from cord.changes.differences import Difference, differences
from cord.changes.problems import ProblemChanges, compare_problems, contents_in, contents_of
from cord.engines import EngineInfo
from cord.errors import ContractBroken
from cord.estimate import asked_of
from cord.intake import Intake
from cord.lake.releases.release import newest_release
from cord.lake.runs.run import load_recipe_of, load_run
from cord.lake.runs.run_tables import Made, asked_in, keys_decoded, made_for
from cord.recipe import Recipe

if TYPE_CHECKING:
    from cord.lake import Lake

Basis = Literal["lake", "scaled", "paper"]
"""Where the expected tokens come from: what the last release's problems took; the same by the ratio
of what both searches ask for; assumed lengths (`cord.estimate`)."""


SCORING = ", scoring by "
"""Behind it a run's document says how its meta-prover scored, which is no other model."""
_BEHIND_THE_RECIPE = Difference(
    "rows set aside in reading, or an evaluation set", "as they were", "other ones", "release"
)


@dataclass(frozen=True, slots=True)
class Base:
    """What today's recipe and problems are held against."""

    release: str
    """`demo@3`."""
    run_id: str
    """Of the run that published it."""
    records: int
    trajectories: int
    """In the lake for that run's problems."""


@dataclass(frozen=True, slots=True)
class RefreshPlan:
    """What a run would do."""

    name: str
    """The data set's."""
    run_id: str
    base: Base | None
    """None where nothing was released before: all problems are new then."""
    changes: ProblemChanges
    set_aside: int
    """Rows for quarantine."""
    to_decode: int
    """Problems of which the lake has no trajectory, from whichever run."""
    tokens: float
    """Expected to be sampled for these."""
    basis: Basis
    differences: tuple[Difference, ...]
    same_run: bool
    """The newest release was made of exactly this."""

    def costing(self, cost: str) -> tuple[Difference, ...]:
        """The differences of one kind (`cord.changes.differences.Cost`)."""
        return tuple(one for one in self.differences if one.cost == cost)

    @property
    def invalid(self) -> dict[str, int]:
        """What of the newest release's rows the changed recipe invalidates: trajectories, verdicts,
        records."""
        if self.base is None:
            return {"trajectories": 0, "verdicts": 0, "records": 0}
        searched, judged = bool(self.costing("search")), bool(self.costing("verdicts"))
        return {
            "trajectories": self.base.trajectories if searched else 0,
            "verdicts": self.base.trajectories if searched or judged else 0,
            "records": self.base.records if searched or judged or self.costing("release") else 0,
        }

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; the unchanged problems as a number."""
        content = asdict(self)
        content["changes"]["unchanged"] = len(self.changes.unchanged)
        return {**content, "invalid": self.invalid}


def plan_refresh(lake: Lake | None, recipe: Recipe, intake: Intake, run_id: str) -> RefreshPlan:
    """Hold a recipe and what it read against the newest release of its data set.

    `lake`: None where there is none yet. Raises `LakeError`."""
    today = contents_of(intake.problems)
    keys = list(intake.identity.keys.values())
    found = keys_decoded(lake, keys) if lake is not None else set()
    to_decode = sum(key not in found for key in keys)
    newest = newest_release(lake, recipe.name) if lake is not None else None
    run = load_run(lake, newest.run_id) if lake is not None and newest is not None else None
    if lake is None or newest is None or run is None:
        nobody = ProblemChanges(new=tuple(today))
        tokens, basis = _expected(recipe, to_decode, None, None, same_search=False)
        return RefreshPlan(
            recipe.name,
            run_id,
            None,
            nobody,
            len(intake.quarantined),
            to_decode,
            tokens,
            basis,
            (),
            same_run=False,
        )
    before, _ = load_recipe_of(lake, run.run_id)
    same_search = run.search == intake.identity.search
    made = made_for(lake, run.run_id)
    changes = compare_problems(contents_in(asked_in(lake, run.run_id)), today)
    same_run = run.fingerprint == intake.identity.run
    then = {name: engine.partition(SCORING)[0] for name, engine in run.engines.items()}
    found_differences = differences(before, recipe, same_search, (then, told(intake.engines)))
    if not (same_run or changes.any or any(d.cost != "nothing" for d in found_differences)):
        found_differences += (_BEHIND_THE_RECIPE,)
    tokens, basis = _expected(recipe, to_decode, before, made, same_search)
    return RefreshPlan(
        name=recipe.name,
        run_id=run_id,
        base=Base(newest.label, run.run_id, newest.rows, made.trajectories),
        changes=changes,
        set_aside=len(intake.quarantined),
        to_decode=to_decode,
        tokens=tokens,
        basis=basis,
        differences=found_differences,
        same_run=same_run,
    )


def hold_withdrawn(plan: RefreshPlan, most: float) -> None:
    """Raise `ContractBroken` where more than the share `most` of the newest release's problems is
    withdrawn: a source that was emptied by mistake should not empty the data set."""
    share = plan.changes.share_withdrawn
    if plan.base is None or share <= most:
        return
    gone = plan.changes.withdrawn
    raise ContractBroken(
        f"{len(gone)} of the problems of {plan.base.release} ({share:.0%}) are not in the source "
        f"any more ({', '.join(gone[:3])}{', ...' if len(gone) > 3 else ''}), and at most "
        f"{most:.0%} may be withdrawn at once (contract.max_withdrawn); nothing was decoded or "
        "published: look at the source, or raise the bound in the recipe if this is meant",
        {"run_id": plan.run_id, "withdrawn": len(gone), "share": share, "max_withdrawn": most},
    )


def told(engines: Mapping[str, EngineInfo]) -> dict[str, str]:
    """`MODEL on ENGINE` by name, as a run's document has it."""
    return {name: f"{info.model} on {info.engine}" for name, info in engines.items()}


def _expected(
    recipe: Recipe, problems: int, before: Recipe | None, made: Made | None, same_search: bool
) -> tuple[float, Basis]:
    """Tokens that so many problems will take, and by what."""
    asked = asked_of(recipe.search, len(recipe.teachers)).sampled
    if before is None or made is None or not made.problems:
        return problems * asked, "paper"
    mean = made.tokens / made.problems
    if same_search:
        return problems * mean, "lake"
    asked_before = asked_of(before.search, len(before.teachers)).sampled
    return problems * mean * asked / asked_before, "scaled"
