"""Hold the records contract against a release that is out already (`cord verify`)."""

from __future__ import annotations

import pyarrow as pa

from cord.lake import Lake
from cord.lake.releases.manifest import Manifest
from cord.lake.runs.run import load_recipe_of
from cord.lake.tables.query import query
from cord.lake.tables.schemas import SCHEMAS
from data_contracts.records import check_records
from data_contracts.result import ContractResult
from tasks.check import bounds_of
from tasks.deduplicate import CANDIDATE_SCHEMA

_RECORDS_AND_VERDICTS = """
    select r.*, coalesce(v.outcome, 'missing') as outcome
    from records r left join (
        select distinct problem_id, rank, outcome from verdicts where outcome = 'correct'
    ) v on v.problem_id = r.problem_id and v.rank = r.rank
"""


def recheck_contract(lake: Lake, manifest: Manifest) -> ContractResult:
    """The contract of the run that published, on the rows as they lie in the lake now."""
    recipe, _ = load_recipe_of(lake, manifest.run_id)
    table = query(lake, _RECORDS_AND_VERDICTS, release=manifest.label)
    columns = [field.name for field in SCHEMAS["records"]] + ["outcome"]
    table = table.select(columns).cast(CANDIDATE_SCHEMA)
    return check_records(pa.table(table), bounds_of(recipe, manifest.counts))
