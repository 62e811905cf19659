"""A contract's result as one web page, to be stored with the run and opened years later.

Great Expectations' own pages load style sheets and scripts from two other hosts; this one is whole
in itself and runs no script. Everything that came from data is escaped.
"""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from data_contracts.result import Check, ContractResult


def render(result: ContractResult) -> str:
    """HTML, complete and self-contained; what failed stands first."""
    environment = Environment(
        loader=PackageLoader("data_contracts", "."), autoescape=True, undefined=StrictUndefined
    )
    checks = sorted(result.checks, key=_urgency)
    return environment.get_template("page.html.j2").render(result=result, checks=checks)


def _urgency(check: Check) -> int:
    """Failures, then warnings, then what held; each in the contract's order."""
    if check.holds:
        return 2
    return 0 if check.severity == "stop" else 1
