from __future__ import annotations

import re
from html.parser import HTMLParser

from data_contracts.page import render
from data_contracts.result import Check, ContractResult

HELD = Check("question_given", "question", "every record has its question", True, "in all 9 rows")
WARNED = Check("question_length", "question", "none is long", False, "11", 1, ("p1",), "warn")
FAILED = Check(
    "score_in_range",
    "score",
    "every score is above 0 and at most 1",
    False,
    "2 to 3; out of bounds in 6 of 9 rows",
    6,
    ("<script>alert(1)</script>", "p2"),
    remedy="run `cord check`",
)
RESULT = ContractResult.of("records", 9, (HELD, WARNED, FAILED), ("enough_correct",))


class Tags(HTMLParser):
    """Which tags a page has, and whether they close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_says_what_failed_on_which_rows_and_what_to_do() -> None:
    page = render(RESULT)
    for said in (
        "does not hold",
        "every score is above 0",
        "6 of 9 rows",
        "p2",
        "run `cord check`",
    ):
        assert said in page
    assert "enough_correct" in page and "Not looked at" in page


def test_failures_stand_before_warnings_before_what_held() -> None:
    names = re.findall(
        r"<code>(score_in_range|question_length|question_given)</code>", render(RESULT)
    )
    assert names == ["score_in_range", "question_length", "question_given"]


def test_what_came_from_data_is_escaped_and_no_script_runs() -> None:
    tags = Tags()
    tags.feed(render(RESULT))
    assert tags.open == [] and "script" not in tags.seen
    assert "&lt;script&gt;" in render(RESULT)


def test_the_page_names_no_other_host() -> None:
    page = render(RESULT)
    assert not re.search(r"//|src=|href=|@import|url\(", page)


def test_the_same_result_gives_the_same_page() -> None:
    assert render(RESULT) == render(RESULT)
