"""Hold the records contract against a release that is out already (`cord verify`)."""

from __future__ import annotations

from cord.lake import Lake
from cord.lake.releases.manifest import Manifest
from cord.lake.runs.run import load_recipe_of
from cord.lake.tables.query import WORK, stream
from data_contracts.records import RECORD_SCHEMA, check_records
from data_contracts.result import ContractResult
from tasks.check import bounds_of

_COLUMNS = ", ".join(f"r.{name}" for name in RECORD_SCHEMA.names if name != "outcome")
# S608: nothing here comes from outside.
_RECORDS_AND_VERDICTS = f"""
    select {_COLUMNS}, coalesce(v.outcome, 'missing') as outcome
    from records r left join (
        select distinct problem_id, rank, outcome from verdicts where outcome = 'correct'
    ) v on v.problem_id = r.problem_id and v.rank = r.rank
"""  # noqa: S608


def recheck_contract(lake: Lake, manifest: Manifest) -> ContractResult:
    """The contract of the run that published, on the rows as they lie in the lake now."""
    recipe, _ = load_recipe_of(lake, manifest.run_id)
    bounds = bounds_of(recipe, manifest.counts)
    with stream(lake, _RECORDS_AND_VERDICTS, release=manifest.label, limits=WORK) as batches:
        return check_records(batches, bounds)
