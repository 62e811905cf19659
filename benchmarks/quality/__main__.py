"""What a release's data is worth: verification, duplicates, overlaps, signals, on real sets.

    python -m benchmarks.quality [--quick] [--json] [--only NAME ...]

Each part prints what it looked at (every disagreement, every hit) and its figures; what each means
is in docs/quality.md.
"""

from __future__ import annotations

from benchmarks.figures import measure_parts
from benchmarks.quality import decontamination, deduplication, signals, verification

PARTS = {
    "verification": verification.figures,
    "deduplication": deduplication.figures,
    "decontamination": decontamination.figures,
    "signals": signals.figures,
}

if __name__ == "__main__":
    measure_parts("benchmarks.quality", __doc__, PARTS)
