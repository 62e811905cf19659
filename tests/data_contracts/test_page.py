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
        if tag not in ("meta", "br"):
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


PROFILE = {
    "rows": 9,
    "numbers": {
        "score": {
            "known": 9,
            "mean": 0.5,
            "least": 0.25,
            "p05": 0.3,
            "p50": 0.5,
            "p95": 0.7,
            "most": 0.75,
            "histogram": [0.2, 0.8, 0.0],
        }
    },
    "shares": {"teachers": {"<b>qwq</b>": 0.75, "phi": 0.25}},
    "flags": {"truncated": 0.125},
}


def test_a_page_has_a_section_for_each_contract_and_pictures_of_the_records() -> None:
    whole = ContractResult.of("trajectories", 9, (HELD,))
    page = render(whole, RESULT, profile=PROFILE)
    tags = Tags()
    tags.feed(page)
    assert tags.open == [] and tags.seen.count("h1") == 3 and tags.seen.count("rect") == 3
    assert "trajectories, records: does not hold" in page
    assert 'y="0.0" width="9" height="60.0"' in page, "the largest share fills the picture"
    assert "&lt;b&gt;qwq&lt;/b&gt; 75 %, phi 25 %" in page and "12.5 %" in page
    assert not re.search(r"//|src=|href=|@import|url\(", page)


def test_a_page_without_records_has_no_pictures() -> None:
    assert "The records" not in render(RESULT)
    empty = {"rows": 0, "numbers": {}, "shares": {}, "flags": {}}
    assert "The records" not in render(RESULT, profile=empty)
