"""What a release's data is worth: verification, duplicates, overlaps, signals, on real sets.

    python -m benchmarks.quality [--quick] [--json] [--only NAME ...]

Each part prints what it looked at (every disagreement, every hit) and its figures; what each means
is in docs/quality.md.
"""

from __future__ import annotations

import argparse

from benchmarks.figures import report
from benchmarks.quality import decontamination, deduplication, signals, verification

PARTS = {
    "verification": verification.figures,
    "deduplication": deduplication.figures,
    "decontamination": decontamination.figures,
    "signals": signals.figures,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
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
