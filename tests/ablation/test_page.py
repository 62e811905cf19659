from cord.ablation.markdown import to_markdown
from cord.ablation.measures import Measured, Measures
from cord.ablation.page import Report, StudentResult, render, to_json
from cord.ablation.recipe import Ablation
from cord.ablation.tables import held, results_of, tables_of
from cord.intervals import Interval

HOSTILE = "<img src=x onerror=alert(1)>"


def report() -> Report:
    ablation = Ablation.model_validate(
        {
            "name": "two",
            "base": HOSTILE,
            "seeds": [1],
            "variants": {"cord": {}, "greedy": {}},
            "tables": [{"title": HOSTILE, "paper": "search", "rows": {"beam": "cord"}}],
            "claims": [{"says": HOSTILE, "order": ["cord", "greedy"]}],
        },
        strict=False,
    )
    row = Measured(
        problem_id="p", correct=True, path=(0.1, 0.9), teachers=("a",), faithful=True, tokens=5
    )
    cell = Measures(problems=(row,), quarantined=0, seconds=1.0)
    results = results_of(ablation, {("cord", 1): cell, ("greedy", 1): cell})
    return Report(
        ablation=ablation,
        results=results,
        tables=tables_of(ablation, results),
        claims=held(ablation, results),
        students=[StudentResult(HOSTILE, 3, None, {HOSTILE: Interval(1.0, 1.0, 1.0)})],
        pictures=[("one", "<svg></svg>")],
        missing=[HOSTILE],
    )


def test_the_page_loads_nothing_runs_nothing_and_escapes_everything():
    page = render(report())
    assert HOSTILE not in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "data:image/svg+xml;base64," in page


def test_the_tables_are_there_as_markdown():
    told = to_markdown(report())
    assert "| beam | 1.000 [1.000, 1.000] | 0.900 |" in told
    assert "0.931" in told and "holds" in told


def test_the_figures_are_there_for_programs():
    told = to_json(report())
    assert told["variants"]["cord"]["accuracy"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert told["claims"][0]["holds"]
    assert told["tables"][0]["rows"]["beam"]["paper"]["accuracy"] == 0.931
    assert told["missing"] == [HOSTILE]
