"""Draw what a soak has measured.

CORD_CHAOS_SOAK=soak.json python -m benchmarks.chaos --only soak
python -m benchmarks.chaos.soak_picture soak.json docs/soak.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PANELS = (
    ("memory_mib", "resident memory, MiB"),
    ("files", "open files"),
    ("threads", "threads"),
)


def draw(moments: list[dict[str, Any]], path: Path) -> None:
    """Memory, files and threads of `cord serve` and the Prefect server, and its database."""
    import altair as alt

    def panel(values: list[dict[str, Any]], title: str) -> alt.Chart:
        chart: alt.Chart = (
            alt.Chart(alt.InlineData(values=values), title=title)
            .mark_line(strokeWidth=1.5)
            .encode(
                x=alt.X("minutes:Q", title="minutes"),
                y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=True)),
                color=alt.Color(
                    "of:N",
                    title=None,
                    scale=alt.Scale(
                        domain=["cord serve", "Prefect server"], range=["#2563eb", "#f59e0b"]
                    ),
                ),
            )
            .properties(width=300, height=140)
        )
        return chart

    charts = [
        panel(
            [
                {"minutes": moment["at_s"] / 60, "value": moment[key][name], "of": of}
                for moment in moments
                for key, of in (("service", "cord serve"), ("server", "Prefect server"))
            ],
            title,
        )
        for name, title in PANELS
    ]
    database = [
        {
            "minutes": moment["at_s"] / 60,
            "value": moment["database_kib"] / 1024,
            "of": "Prefect server",
        }
        for moment in moments
    ]
    charts.append(panel(database, "Prefect's database, MiB"))
    picture = (charts[0] | charts[1]) & (charts[2] | charts[3])
    picture.configure_view(stroke=None).properties(background="white").save(str(path))


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
