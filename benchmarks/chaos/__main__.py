"""Run the parts one after another, and print all figures at the end."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import time

from benchmarks.figures import Figure, report

PARTS = ("kills", "s3_faults", "publishers", "fuzz", "journal_cost", "soak")
NOT_QUICK = ("soak", "journal_cost")


def main() -> None:
    """Print what happens, and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a few minutes instead of hours")
    parser.add_argument("--json", action="store_true", help="figures as JSON on the last line")
    parser.add_argument("--only", default="", help=f"some of {','.join(PARTS)}")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    wanted = [p for p in options.only.split(",") if p] or [
        part for part in PARTS if not (options.quick and part in NOT_QUICK)
    ]
    figures: list[Figure] = []
    for part in wanted:
        print(f"== {part}", flush=True)
        begun = time.monotonic()
        figures += importlib.import_module(f"benchmarks.chaos.{part}").measure(options.quick)
        print(f"== {part} took {time.monotonic() - begun:.0f} s", flush=True)
    report(figures, options.json)
    raise SystemExit(0 if all(figure.holds for figure in figures) else 1)


if __name__ == "__main__":
    main()
