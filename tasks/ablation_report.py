"""Write a grid's report into the lake, `ablations/NAME/`: a page, the figures, the pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from cord.ablation.markdown import to_markdown
from cord.ablation.measures import Measures
from cord.ablation.page import Report, StudentResult, render, to_json
from cord.ablation.pictures import pictures_of
from cord.ablation.recipe import Ablation
from cord.ablation.tables import held, results_of, tables_of
from cord.lake import Lake
from tasks import artifacts


def report_grid(
    lake: Lake,
    ablation: Ablation,
    measured: Mapping[tuple[str, int], Measures],
    students: Sequence[StudentResult],
    missing: Sequence[str],
) -> Report:
    """Put the report together from the cells' measures, and keep it; what was there before is
    replaced, since it is made of what the lake has."""
    results = results_of(ablation, measured)
    report = Report(
        ablation=ablation,
        results=results,
        tables=tables_of(ablation, results),
        claims=held(ablation, results),
        students=students,
        pictures=pictures_of(results, ablation.pictured),
        missing=missing,
    )
    folder = report_folder(ablation)
    for name, svg in report.pictures:
        lake.store.write(f"{folder}/{name}.svg", svg.encode())
    figures = json.dumps(to_json(report), indent=2, ensure_ascii=False) + "\n"
    lake.store.write(f"{folder}/report.json", figures.encode())
    lake.store.write(f"{folder}/report.md", to_markdown(report).encode())
    lake.store.write(f"{folder}/report.html", render(report).encode())
    artifacts.table(
        ablation.name,
        "variants",
        [
            {
                "variant": name,
                "accuracy": str(result.accuracy),
                "S": str(result.score),
                "fidelity": "-" if result.fidelity is None else str(result.fidelity),
                "tokens": round(result.tokens, 1),
            }
            for name, result in results.items()
        ],
        f"Variants of {ablation.name}, over {len(ablation.seeds)} seeds",
    )
    return report


def report_folder(ablation: Ablation) -> str:
    """Where its report lies in the lake."""
    return f"ablations/{ablation.name}"
