from dataclasses import replace

import pyarrow as pa

from cord.changes.problems import compare_problems, contents_in, contents_of
from cord.types import Problem

A = Problem("a", "1+1?", "2", ("two",))
B = Problem("b", "2+2?", "4")
C = Problem("c", "3+3?", "6", domain="numeric")


def test_each_problem_is_of_one_kind_and_the_order_is_the_sources() -> None:
    before = contents_of([A, B, C])
    new = Problem("d", "4+4?", "8")
    found = compare_problems(before, contents_of([new, replace(C, domain=None), A]))
    assert found.new == ("d",)
    assert found.changed == ("c",)
    assert found.unchanged == ("a",)
    assert found.withdrawn == ("b",)
    assert found.any and found.share_withdrawn == 1 / 3


def test_question_answers_and_domain_are_the_content_and_the_place_is_not() -> None:
    was = contents_of([A])
    for changed in ({"question": "1+1 =?"}, {"answer": "3"}, {"alternatives": ()}):
        assert compare_problems(was, contents_of([replace(A, **changed)])).changed == ("a",)
    assert not compare_problems(was, contents_of([replace(A, source="elsewhere:1")])).any


def test_rows_of_a_plan_have_the_content_of_the_problems_they_were_made_of() -> None:
    rows = pa.Table.from_pylist(
        [
            {
                "problem_id": p.id,
                "question": p.question,
                "answers": list(p.answers),
                "domain": p.domain,
            }
            for p in (A, B, C)
        ]
    )
    assert contents_in(rows) == contents_of([A, B, C])


def test_where_there_was_nothing_no_share_is_withdrawn() -> None:
    assert compare_problems({}, contents_of([A])).share_withdrawn == 0.0
