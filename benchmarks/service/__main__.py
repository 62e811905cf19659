"""cord as a service: what it costs to run many shards, refresh, and look at what came out.

    python -m benchmarks.service [--quick] [--json] [--only NAME ...]

Each part prints what it did and its figures.
"""

from __future__ import annotations

import argparse

from benchmarks.figures import report
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller samples; goals may be missed")
    parser.add_argument("--json", action="store_true", help="a JSON document on the last line")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    figures = []
    for name in options.only:
        print(f"== {name}", flush=True)
        figures += PARTS[name](options.quick)
    report(figures, options.json)


if __name__ == "__main__":
    main()
