"""A grid's tables as Markdown, for a page of documentation or a pull request."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from cord.ablation.page import Report
from cord.ablation.tables import Held, Table
from cord.intervals import Interval


def to_markdown(report: Report) -> str:
    """Every table, claim and student of a report."""
    parts = [*(_table(table) for table in report.tables if table.rows)]
    if report.claims:
        parts.append(_claims(report.claims))
    if report.students:
        names = list(report.students[0].scores)
        rows = [
            (s.name, f"{s.records}", _share(s.fidelity), *(_estimate(s.scores[n]) for n in names))
            for s in report.students
        ]
        head = ("student on", "records", "right in every step", *(f"Pass@1 {n}" for n in names))
        parts.append("### Students\n\n" + _rows(head, rows))
    return "\n".join(parts)


def _table(table: Table) -> str:
    head = ["", "accuracy", "S", "fidelity", "tokens", "seconds"]
    head += ["paper: accuracy", "paper: S"] if table.has_paper else []
    rows = []
    for row in table.rows:
        result = row.result
        figures = [
            row.label,
            _estimate(result.accuracy),
            _share(result.score.mean),
            "–" if result.fidelity is None else _estimate(result.fidelity),
            f"{result.tokens:.0f}",
            _share(result.seconds),
        ]
        if table.has_paper:
            known = row.paper
            figures += [
                _share(known.accuracy if known else None),
                _share(known.score if known else None),
            ]
        rows.append(figures)
    return f"### {table.title}\n\n" + _rows(head, rows)


def _claims(claims: Sequence[Held]) -> str:
    rows = []
    for held in claims:
        steps = (
            f"{s.above} over {s.below} {s.by.mean:+.3f} [{s.by.low:+.3f}, {s.by.high:+.3f}]"
            for s in held.steps
        )
        verdict = "holds" if held.holds else "**does not hold**"
        verdict += "" if held.certain else ", within chance"
        rows.append((held.claim.says, verdict, "; ".join(steps)))
    return "### Claims\n\n" + _rows(("claim", "", "by"), rows)


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> Iterator[str]:
        yield from (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)

    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line(cells)) + " |" for cells in lines) + "\n"


def _estimate(value: Interval) -> str:
    if math.isnan(value.mean):
        return "–"
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _share(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"
