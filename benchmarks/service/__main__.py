"""cord as a service: what it costs to run many shards, refresh, and look at what came out.

    python -m benchmarks.service [--quick] [--json] [--only NAME ...]

Each part prints what it did and its figures.
"""

from __future__ import annotations

from benchmarks.figures import measure_parts
from benchmarks.service import at_scale, incremental, nodes, shards, unit_costs
from benchmarks.service import report as report_page

PARTS = {
    "at-scale": at_scale.run,
    "incremental": incremental.run,
    "nodes": nodes.run,
    "report": report_page.run,
    "shards": shards.run,
    "unit-costs": unit_costs.run,
}

if __name__ == "__main__":
    measure_parts("benchmarks.service", __doc__, PARTS)
