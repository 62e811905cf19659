"""A plan in words. What stands in it came out of a source, and is never markup."""

import pytest

from cord.changes.differences import Difference
from cord.changes.problems import ProblemChanges
from cord.changes.refresh_plan import Base, RefreshPlan, hold_withdrawn
from cord.changes.words import headline, invalidated, page
from cord.errors import ContractBroken

PLAN = RefreshPlan(
    name="demo",
    run_id="demo-1",
    base=Base("demo@3", "demo-0", 61, 256),
    changes=ProblemChanges(("n",), ("c",), ("u", "v"), ("w|<b>`x`",)),
    set_aside=0,
    to_decode=2,
    tokens=1234.4,
    basis="lake",
    differences=(
        Difference("search.width", "4", "2", "search"),
        Difference("run.shards", "4", "8", "nothing"),
    ),
    same_run=False,
)


def test_the_headline_has_every_count() -> None:
    assert headline(PLAN) == (
        "against demo@3: 1 new, 1 changed, 2 unchanged, 1 withdrawn; 2 to decode, some 1,234 tokens"
    )


def test_what_is_invalid_is_said_with_fields_and_rows() -> None:
    first, second = invalidated(PLAN)
    assert "search.width: 4 -> 2: 256 trajectories and 61 records of demo@3" in first
    assert second == "run.shards: 4 -> 8: no row of it is another"


def test_an_id_is_no_markup_on_the_page() -> None:
    shown = page(PLAN)
    assert "`w¦<b>'x'`" in shown and "w|" not in shown


def test_more_withdrawn_than_the_bound_is_refused_with_what_to_do() -> None:
    hold_withdrawn(PLAN, 0.25)  # one of four
    with pytest.raises(ContractBroken, match=r"1 of the problems of demo@3.*max_withdrawn"):
        hold_withdrawn(PLAN, 0.2)
