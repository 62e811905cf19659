"""What `cord query` prints: every value in a form that can be read back, nothing that steers."""

import json
from collections.abc import Callable

import duckdb
import pytest

from cord.errors import UsageError
from flows.command_line.answer import TABLE_ROWS, print_answer

Printed = Callable[[str, str], str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    def run(sql: str, form: str) -> str:
        with duckdb.connect() as connection:
            print_answer(connection.execute(sql).to_arrow_reader(100), form)
        return capsys.readouterr().out

    return run


def test_numbers_are_numbers_in_json_also_sums_and_decimals(printed: Printed) -> None:
    sql = "select sum(range) s, count(*) n, 1.5::decimal(4, 2) d, avg(range) a from range(3)"
    assert json.loads(printed(sql, "json")) == [{"s": 3, "n": 3, "d": 1.5, "a": 1.0}]


def test_what_json_cannot_say_is_null_also_within_lists(printed: Printed) -> None:
    sql = "select 'nan'::double n, [1.0, '-inf'::double] l, {'x': 'nan'::float} s, null z"
    assert json.loads(printed(sql, "json")) == [
        {"n": None, "l": [1.0, None], "s": {"x": None}, "z": None}
    ]


def test_dates_intervals_and_bytes_can_be_printed_in_every_form(printed: Printed) -> None:
    sql = "select date '2026-01-02' d, time '10:00' t, interval 1 day i, 'ab'::blob b, [1] l"
    row = json.loads(printed(sql, "json"))[0]
    assert (row["d"], row["t"], row["b"]) == ("2026-01-02", "10:00:00", "ab")
    assert printed(sql, "csv").splitlines()[1].startswith("2026-01-02,10:00:00")
    assert "2026-01-02" in printed(sql, "table")


def test_a_value_that_python_cannot_hold_is_named_with_a_remedy(printed: Printed) -> None:
    with pytest.raises(UsageError, match=r"column 'd'.*d::varchar"):
        printed("select date '9999-01-01' + interval 9000 year as d", "json")


@pytest.mark.parametrize("form", ["table", "json"])
def test_control_characters_are_written_out(printed: Printed, form: str) -> None:
    shown = printed("select 'a' || chr(27) || ']0;x' || chr(7) || chr(155) || chr(8238) t", form)
    assert not set(shown) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert "1b" in shown


def test_markup_of_rich_is_shown_as_it_is(printed: Printed) -> None:
    assert "[red]x[/red]" in printed("select '[red]x[/red]' as \"[bold]c\"", "table")


def test_a_long_answer_is_whole_in_json_and_csv_and_counted_in_a_table(
    printed: Printed, capsys: pytest.CaptureFixture[str]
) -> None:
    sql = f"select range as i from range({TABLE_ROWS + 7})"
    assert len(json.loads(printed(sql, "json"))) == TABLE_ROWS + 7
    assert len(printed(sql, "csv").splitlines()) == 1 + TABLE_ROWS + 7
    with duckdb.connect() as connection:
        print_answer(connection.execute(sql).to_arrow_reader(100), "table")
    assert "7 more rows" in capsys.readouterr().err


def test_an_empty_answer_has_its_columns(printed: Printed) -> None:
    sql = "select 1 as a, [1] as b where false"
    assert json.loads(printed(sql, "json")) == []
    assert printed(sql, "csv") == '"a","b"\n'
    assert "a" in printed(sql, "table")
