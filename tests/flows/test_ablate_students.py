"""What is told of a grid's students."""

from cord.ablation.recipe import Ablation
from flows.ablate_students import student_results

ABLATION = Ablation(name="grid", base="r.yaml", seeds=(1, 2), variants={"ada": {}})


def test_a_teacher_is_told_apart_from_the_student_on_its_data() -> None:
    taught = [
        {"name": "ada", "records": 0, "shares": {"held-out": {"a": 0.0, "b": 0.5}}},
        {"name": "ada", "records": 8, "shares": {"held-out": {"a": 1.0, "b": 0.5}}},
        {"name": "ada", "records": 6, "shares": {"held-out": {"a": 1.0, "b": 1.0}}},
    ]
    model, student = student_results(ABLATION, taught, {})
    assert (model.name, model.records) == ("model ada", 0)
    assert model.scores["held-out"].mean == 0.25
    assert (student.name, student.records) == ("ada", 7)
    assert student.scores["held-out"].mean == 0.875
