"""A million records of 4 KB through every stage behind decoding, and questions to their release.

    python -m benchmarks.scale [--quick] [--json] [--data FOLDER]

Two runs (100,000 and 1,000,000 records; `--quick`: 5,000 and 20,000) are made of real texts
(`benchmarks.scale.making`), which is not counted. Then, in a process of its own for each:
verification's cheap checks, selection with signals, duplicates, decontamination against AIME 2024,
AMC, MATH500 and GSM8K's test set, the contracts, and the release. *Linear*: seconds a record of the
large run over those of the small one.

*Questions*: an aggregate and a look-up of one problem over the release, by `cord.lake`'s query and
by plain DuckDB over the same Parquet files, each with a connection of its own, alternating, the
least of several; on a folder, and the small run's release on an S3 server on this machine. Then the
same of a version ten releases back.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, at_most, report
from benchmarks.scale.making import make_run
from benchmarks.scale.queries import query_figures

SETS = ("aime24.jsonl", "amc.jsonl", "math500.jsonl", "gsm8k_test.jsonl")
MINUTES, GIGABYTES, LINEAR = 15.0, 3.0, 1.2


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5,000 and 20,000 records")
    parser.add_argument("--json", action="store_true", help="a JSON document on the last line")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="real texts")
    options = parser.parse_args()
    sizes = (5_000, 20_000) if options.quick else (100_000, 1_000_000)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="cord-scale-") as folder:
        data = options.data.resolve()
        measured = [_measure(Path(folder) / str(size), size, data) for size in sizes]
        small, large = (sum(m["seconds"].values()) for m in measured)
        figures += [
            at_most(f"{sizes[1]:,} records", large / 60, MINUTES, "minutes"),
            at_most(f"{sizes[1]:,} records: peak memory", _gigabytes(measured[1]), GIGABYTES, "GB"),
            at_most(
                f"{sizes[1]:,} against {sizes[0]:,} records",
                (large / sizes[1]) / (small / sizes[0]),
                LINEAR,
                "times the seconds a record",
            ),
        ]
        figures += query_figures(Path(folder), *(str(size) for size in sizes))
    report(figures, options.json)


def _measure(place: Path, records: int, data: Path) -> dict[str, Any]:
    print(f"{records:,} records: being made", flush=True)
    make_run(place, records, data, SETS)
    print(f"{records:,} records: every stage", flush=True)
    command = [sys.executable, "-m", "benchmarks.scale.stages", str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            last = line
            if not line.startswith("{"):
                print(line, end="", flush=True)
    if process.returncode:
        raise SystemExit(f"the stages failed on {records:,} records")
    told: dict[str, Any] = json.loads(last)
    print(f"  all: {sum(told['seconds'].values()):.0f} s; {told['counts']}", flush=True)
    return told


def _gigabytes(measured: dict[str, Any]) -> float:
    return float(measured["peak"]) / 1e9


if __name__ == "__main__":
    main()
