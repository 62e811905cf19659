"""The paper's tables in miniature, held against what the paper says and what we aim at.

    python -m benchmarks.paper [--quick] [--json] [--lake DIR]

Runs `cord ablate recipes/ablation-miniature.yaml` (24 variants, three seeds, 200 held-out problems,
21 students; 85 minutes on two slow cores) into a lake of its own, or goes on with the one that is
named, and prints each claim with its figure. With `--quick`: 40 problems, one seed, no students.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.figures import Figure, at_least, at_most, report

RECIPES = Path(__file__).parent.parent / "recipes"
RECIPE = RECIPES / "ablation-miniature.yaml"
PATHS = ("path-mean", "path-steady", "choose-mean")
CORD = "from flows.command_line import main; main()"


def quick_recipe(folder: Path) -> Path:
    """The same grid on fewer problems."""
    content = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    problems = RECIPES / content["always"]["problems"]["path"]
    content["base"] = str(RECIPES / content["base"])
    content["always"]["problems"] = {"source": "jsonl", "path": str(problems), "limit": 40}
    content["seeds"] = content["seeds"][:1]
    del content["students"]
    path = folder / "quick.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def run(recipe: Path, lake: Path) -> dict[str, Any]:
    """Carry the grid out, as a user does; returns the report's figures."""
    command = [sys.executable, "-c", CORD, "ablate", str(recipe), "--lake", str(lake), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def figures_of(told: dict[str, Any], minutes: float | None) -> list[Figure]:
    """Every claim by its weakest step, then our own aims."""
    figures = [
        at_least(claim["says"], weakest["mean"], weakest["least"], claim["measure"])
        for claim in told["claims"]
        for weakest in [min(claim["steps"], key=lambda step: step["mean"] - step["least"])]
    ]
    variants = told["variants"]
    fidelity = {name: variants[name]["fidelity"]["mean"] for name in PATHS}
    best = max(fidelity, key=lambda name: fidelity[name])
    figures.append(at_least(f"step fidelity by {best}", fidelity[best], 0.80, "share"))
    if told["students"]:
        figures += _of_students(told["students"])
    if minutes is not None:
        figures.append(at_most("the whole grid", minutes, 45.0, "minutes"))
    return figures


def _of_students(students: dict[str, Any]) -> list[Figure]:
    score = {name: one["pass@1"]["miniature"]["mean"] for name, one in students.items()}
    teacher = max(score[f"model {name}"] for name in ("ada", "ben", "cyd"))
    unit = "Pass@1"
    return [
        at_least("student on CoRD over curation", score["cord"] - score["curation"], 0.0, unit),
        at_least("student on CoRD over the best teacher", score["cord"] - teacher, 0.0, unit),
        at_least("student, path over last", score["path-mean"] - score["cord"], 0.0, unit),
    ]


def main() -> None:
    """Print the tables and the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="40 problems, one seed, no students")
    parser.add_argument("--json", action="store_true", help="figures as JSON on the last line")
    parser.add_argument("--lake", type=Path, help="go on with this lake; no time is told then")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recipe = quick_recipe(Path(folder)) if options.quick else RECIPE
        lake = options.lake or Path(folder) / "lake"
        timed = options.lake is None and not options.quick
        begun = time.monotonic()
        told = run(recipe, lake.absolute())
        minutes = (time.monotonic() - begun) / 60 if timed else None
    for name, variant in told["variants"].items():
        known = {key: variant[key] for key in ("accuracy", "score", "fidelity") if variant[key]}
        shown = "  ".join(
            f"{key} {value['mean'] or 0:.3f} [{value['low'] or 0:.3f}, {value['high'] or 0:.3f}]"
            for key, value in known.items()
        )
        print(f"{name:<18} {shown}  tokens {variant['tokens']:.0f}")
    report(figures_of(told, minutes), options.json)


if __name__ == "__main__":
    main()
