"""What is written into a release, measured: verification, duplicates, overlaps, signals."""
