"""Nothing lost, nothing twice: processes killed, servers that fail, many at once, any input.

    python -m benchmarks.chaos [--quick] [--json] [--only kills,soak] [--seed 7]

Each part is a module (or package) here with `measure(quick)`, and prints as it goes.
"""
