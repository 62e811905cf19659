"""Great Expectations at work: measures in, checks out.

The library is imported inside the one function that needs it, because that takes seconds. Its
context is ephemeral: nothing is written, nothing is sent. Its contexts share process-wide state
(the newest is "the project"), so one gate is open at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts.expectations import Expectation
from data_contracts.result import Check

Measures = Mapping[str, NDArray[np.float64]]
"""By name, one value per row; NaN where there is nothing to measure."""

EXAMPLES = 5

_one_at_a_time = Lock()


def gate(
    suite: str,
    measures: Measures,
    expectations: Sequence[Expectation],
    label: Callable[[int], str] | None = None,
    unit: str = "rows",
) -> tuple[Check, ...]:
    """Hold the expectations against the measures; checks come in the expectations' order.

    `label` names row n, counted from 0; without it the rows have no names worth showing.
    `unit` is what a row stands for.
    """
    findings = _validate(suite, measures, expectations)
    return tuple(_check(e, findings[e.name], measures, label, unit) for e in expectations)


def _validate(
    suite: str, measures: Measures, expectations: Sequence[Expectation]
) -> dict[str, Any]:
    """Great Expectations' result for each expectation, by the expectation's name."""
    import great_expectations as gx
    import pandas as pd
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    quiet = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),  # no folder for its web site
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),  # None would mean "show them"
    )
    with _one_at_a_time:
        context = gx.get_context(mode="ephemeral", project_config=quiet)
        source = context.data_sources.add_pandas(suite)
        whole = source.add_dataframe_asset("measures").add_batch_definition_whole_dataframe("all")
        batch = whole.get_batch({"dataframe": pd.DataFrame(dict(measures), copy=False)})
        validated = batch.validate(
            gx.ExpectationSuite(name=suite, expectations=[_translate(e) for e in expectations]),
            result_format={"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES},
        )
    # Expectations that raised come first in the results, so order says nothing: go by name.
    findings: list[Any] = validated.results
    return {finding.expectation_config.meta["name"]: finding for finding in findings}


def _translate(expectation: Expectation) -> Any:
    from great_expectations import expectations

    gxe: Any = expectations  # it re-exports what it offers in a way that mypy does not follow
    meta = {"name": expectation.name, "sentence": expectation.sentence}
    column, least, most = expectation.measure, expectation.least, expectation.most
    match expectation.kind:
        case "rows":
            return gxe.ExpectTableRowCountToBeBetween(min_value=least, meta=meta)
        case "given":
            return gxe.ExpectColumnValuesToNotBeNull(column=column, meta=meta)
        case "every":
            return gxe.ExpectColumnValuesToBeInSet(
                column=column, value_set=[1.0], mostly=expectation.mostly, meta=meta
            )
        case "between":
            return gxe.ExpectColumnValuesToBeBetween(
                column=column,
                min_value=least,
                max_value=most,
                strict_min=expectation.above,
                mostly=expectation.mostly,
                meta=meta,
            )


def _check(
    expectation: Expectation,
    finding: Any,
    measures: Measures,
    label: Callable[[int], str] | None,
    unit: str,
) -> Check:
    holds = bool(finding.success)
    failed_rows = 0
    examples: tuple[str, ...] = ()
    if not finding.result:  # it raised: never let that pass for a held expectation
        holds, observed = False, f"could not be evaluated: {_exception(finding.exception_info)}"
    elif expectation.kind == "rows":
        observed = f"{finding.result['observed_value']:,}"
    else:
        failed = int(finding.result["unexpected_count"])
        observed = expectation.observed or _observed(
            expectation, measures[expectation.measure], failed, unit
        )
        if label is not None:
            failed_rows = failed
            places = finding.result.get("partial_unexpected_index_list") or []
            examples = tuple(dict.fromkeys(label(int(place)) for place in places))
    return Check(
        expectation=expectation.name,
        field=expectation.field,
        sentence=expectation.sentence,
        holds=holds,
        observed=observed,
        failed_rows=failed_rows,
        examples=examples,
        severity=expectation.severity,
        remedy=expectation.remedy,
    )


def _observed(expectation: Expectation, values: NDArray[np.float64], failed: int, unit: str) -> str:
    share = f"{failed:,} of {len(values):,} {unit}"
    if expectation.kind == "given":
        return f"missing in {share}" if failed else f"given in all {len(values):,} {unit}"
    known = values[~np.isnan(values)]
    if expectation.kind == "every" and known.size == len(values):
        return f"broken in {share}" if failed else f"held by all {len(values):,} {unit}"
    if not known.size:
        return "nothing to measure"
    if expectation.kind == "every":
        of_known = f"the {known.size:,} {unit} of {len(values):,} that tell"
        return f"broken in {failed:,} of {of_known}" if failed else f"held by all of {of_known}"
    least, most = known.min(), known.max()
    span = f"always {least:,.6g}" if least == most else f"{least:,.6g} to {most:,.6g}"
    return f"{span}; out of bounds in {share}" if failed else span


def _exception(info: Mapping[str, Any]) -> str:
    """One line; Great Expectations nests this by metric in some cases and not in others."""
    if "exception_message" in info:
        return str(info["exception_message"])
    return "; ".join(str(part.get("exception_message")) for part in info.values())
