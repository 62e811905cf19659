from cord.ablation.measures import Measured, Measures
from cord.ablation.recipe import Ablation
from cord.ablation.tables import held, results_of, tables_of


def one(problem: int, correct: bool, faithful: bool | None = None, score: float = 0.5) -> Measured:
    return Measured(
        problem_id=f"p{problem}",
        correct=correct,
        path=(0.1, score),
        teachers=("ada",),
        faithful=faithful,
        tokens=10,
    )


def cell(*problems: Measured, seconds: float | None = 2.0) -> Measures:
    return Measures(problems=problems, quarantined=0, seconds=seconds)


ABLATION = Ablation.model_validate(
    {
        "name": "two",
        "base": "demo.yaml",
        "seeds": [1, 2],
        "variants": {"cord": {}, "ada": {}, "ben": {}, "none": {}},
        "tables": [
            {"title": "T", "paper": "search", "rows": {"beam": "cord", "mine": "ada", "x": "none"}}
        ],
        "claims": [
            {"says": "cord is best", "order": ["cord", ["ada", "ben"]]},
            {"says": "by a lot", "order": ["cord", "ada"], "by": 0.9},
            {"says": "not known", "order": ["cord", "none"]},
        ],
    },
    strict=False,
)
MEASURED = {
    ("cord", 1): cell(one(0, True, True), one(1, True, False)),
    ("cord", 2): cell(one(0, True, True), one(1, False, False)),
    ("ada", 1): cell(one(0, False), one(1, False), seconds=None),
    ("ben", 1): cell(one(0, True)),  # one problem came to nothing
}


def test_figures_are_means_over_problems_and_seeds():
    results = results_of(ABLATION, MEASURED)
    assert list(results) == ["cord", "ada", "ben"]
    assert results["cord"].accuracy.mean == 0.75
    assert results["cord"].fidelity is not None
    assert results["cord"].fidelity.mean == 2 / 3  # of the right ones
    assert results["ada"].fidelity is None
    assert results["cord"].tokens == 10
    assert (results["cord"].seconds, results["ada"].seconds) == (2.0, None)


def test_a_problem_that_came_to_nothing_is_wrong():
    ben = results_of(ABLATION, MEASURED)["ben"]
    assert ben.accuracy.mean == 0.5
    assert ben.score.mean == 0.25


def test_a_table_has_a_row_for_each_variant_that_has_a_cell_and_the_papers_figure_where_it_is():
    (table,) = tables_of(ABLATION, results_of(ABLATION, MEASURED))
    assert [row.label for row in table.rows] == ["beam", "mine"]
    assert table.rows[0].paper is not None and table.rows[0].paper.accuracy == 0.931
    assert table.rows[1].paper is None


def test_a_claim_is_held_against_the_best_of_a_group_and_left_out_where_cells_are_missing():
    best, by_a_lot = held(ABLATION, results_of(ABLATION, MEASURED))
    assert best.holds
    assert (best.steps[0].above, best.steps[0].below) == ("cord", "ben")
    assert best.steps[0].by.mean == 0.25
    assert not by_a_lot.holds
