"""Views over the lake, now and as of a release; and nothing but those."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from s3_server import S3Server

from cord.errors import LakeError, UsageError
from cord.lake import Lake
from cord.lake.releases.release import publish
from cord.lake.runs.run import RunDocument, save_run
from cord.lake.tables.query import QueryLimits, query, stream
from cord.lake.tables.schemas import SCHEMAS
from cord.lake.tables.views import VIEWS

Rows = Callable[..., pa.Table]


def release(lake: Lake, rows: pa.Table, name: str = "demo") -> None:
    publish(lake, name, rows, "run", "f", {"success": True}, {"problems": 3})


def one(lake: Lake, sql: str, release: str | None = None) -> object:
    """The only value of the only row."""
    (row,) = query(lake, sql, release).to_pylist()
    (value,) = row.values()
    return value


def test_every_view_of_an_empty_lake_is_empty_and_has_its_columns(lake: Lake) -> None:
    for view in VIEWS:
        found = query(lake, f"select * from {view}")
        assert found.num_rows == 0
        if view in SCHEMAS:
            assert found.column_names[: len(SCHEMAS[view].names)] == SCHEMAS[view].names


def test_the_readmes_question_is_answered(lake: Lake, make_rows: Rows) -> None:
    lake.tables.append_once("steps", make_rows("steps", ["p1"], kept=True, score=0.25), "a")
    lake.tables.append_once(
        "steps", make_rows("steps", ["p2"], kept=True, score=0.75, teacher="b"), "b"
    )
    lake.tables.append_once("steps", make_rows("steps", ["p3"], kept=False, score=0.1), "c")
    found = query(
        lake,
        "select teacher, count(*) n, avg(score) s from steps where kept group by 1 order by 1",
    )
    assert found.to_pylist() == [
        {"teacher": "a", "n": 1, "s": 0.25},
        {"teacher": "b", "n": 1, "s": 0.75},
    ]


def test_an_old_release_answers_as_before_after_new_ones(lake: Lake, make_rows: Rows) -> None:
    lake.tables.append_once("steps", make_rows("steps", ["p1"]), "a")
    release(lake, make_rows("records", ["p1"]))
    lake.tables.append_once("steps", make_rows("steps", ["p2"]), "b")
    lake.tables.append_once("verdicts", make_rows("verdicts", ["p2"]), "b")
    release(lake, make_rows("records", ["p1", "p2"]))
    records, steps = "select count(*) from records", "select count(*) from steps"
    assert (one(lake, records), one(lake, steps)) == (2, 2)
    assert (one(lake, records, "demo@1"), one(lake, steps, "demo@1")) == (1, 1)
    assert one(lake, "select count(*) from verdicts", "demo@1") == 0  # not there at that time
    assert one(lake, records, "demo") == 2


def test_records_unite_the_newest_release_of_every_data_set(
    folder_lake: Lake, make_rows: Rows
) -> None:
    release(folder_lake, make_rows("records", ["old"]))
    release(folder_lake, make_rows("records", ["p1", "p2"]))
    release(folder_lake, make_rows("records", ["q1"]), "other")
    found = query(folder_lake, "select dataset, problem_id from records order by all")
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("demo", "p1"),
        ("demo", "p2"),
        ("other", "q1"),
    ]


def test_messages_come_back_as_they_were(folder_lake: Lake, make_rows: Rows) -> None:
    release(folder_lake, make_rows("records", ["p1"]))
    assert query(folder_lake, "select messages from records").to_pylist() == [
        {"messages": [{"role": "user", "content": "1+1?"}]}
    ]


def test_releases_and_runs_are_views_too(folder_lake: Lake, make_rows: Rows) -> None:
    release(folder_lake, make_rows("records", ["p1"]))
    release(folder_lake, make_rows("records", ["p2"]))
    found = query(folder_lake, "select name, version, run_id, rows, parent from releases")
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("demo", 1, "run", 1, None),
        ("demo", 2, "run", 1, 1),
    ]
    began = datetime(2026, 11, 1, 12, tzinfo=UTC)
    save_run(
        folder_lake,
        RunDocument(
            run_id="r", recipe="demo", fingerprint="f", state="completed", created_at=began
        ),
    )
    assert query(folder_lake, "select run_id, state, created_at, wrong from runs").to_pylist() == [
        {
            "run_id": "r",
            "state": "completed",
            "created_at": datetime(2026, 11, 1, 12),
            "wrong": None,
        }
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "from steps",
        "table steps",
        "with steps_of as (select * from steps) select count(*) from steps_of",
        "describe steps",
        "summarize steps",
        "show tables",
        "select * from information_schema.columns",
        "select unnest(teachers) from trajectories",
        "select * from range(3)",
        "pivot steps on teacher in ('a') using count(*)",
        "select 1;",
    ],
)
def test_every_kind_of_select_is_answered(folder_lake: Lake, sql: str) -> None:
    query(folder_lake, sql)


def test_show_tables_shows_every_view(folder_lake: Lake) -> None:
    assert query(folder_lake, "show tables")["name"].to_pylist() == sorted(VIEWS)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select scor from steps", r'"scor" not found.*[Cc]andidate bindings.*"score"'),
        ("select * from step", "no view 'step' in the lake; did you mean steps?"),
        ("selec 1", 'cannot be read.*syntax error at or near "selec"'),
        ("select no_such(score) from steps", "no_such does not exist"),
        ("", "holds 0 statements; give exactly one SELECT"),
        ("select 1; select 2", "holds 2 statements"),
        ("select $1", "[Pp]arameter"),
        ("select 'a'::int", "Could not convert string 'a'"),
    ],
)
def test_a_mistake_in_the_sql_is_one_clear_sentence(folder_lake: Lake, sql: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        query(folder_lake, sql)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


BREAK_OUTS = [
    "describe '{other}/secret.csv'",
    "summarize '{other}/secret.csv'",
    "pivot '{other}/secret.csv' on a in (1) using sum(b)",
    "select list_transform([1], x -> (select a from '{other}/secret.csv'))",
    "select * from steps limit (select a from '{other}/secret.csv')",
    "select * from steps order by (select 1 from read_text('/etc/passwd'))",
    "select * from unnest((select list(content) from read_text('/etc/passwd')))",
    "select * from read_csv('/etc/passwd')",
    "select * from read_text('/etc/passwd')",
    "select * from '/etc/passwd'",
    "select * from '{other}/secret.csv'",
    'select * from "{other}/secret.csv"',
    "select * from read_parquet('{root}/../other/*')",
    "select * from glob('/etc/*')",
    "select * from delta_scan('{other}')",
    "select * from read_text('{root}/lake.json')",
    "select * from steps, lateral (select * from read_text(steps.text))",
    "select (select content from read_text('/etc/passwd'))",
    "with x as (select * from read_blob('/etc/passwd')) select * from x",
    "select * from query('select * from read_text(''/etc/passwd'')')",
    "select * from query_table('/etc/passwd')",
    "select * from json_execute_serialized_sql('x')",
    "select * from histogram('/etc/passwd', 'x')",
    "select * from sniff_csv('/etc/passwd')",
    "select * from parquet_metadata('/etc/passwd')",
    "select * from 'http://127.0.0.1:9/x.csv'",
    "select * from read_text('s3://elsewhere/x')",
    "select * from duckdb_secrets()",
    "select * from duckdb_settings()",
    "select * from which_secret('{root}', 's3')",
    "select current_setting('s3_secret_access_key')",
    "select * from enable_logging()",
    "select getenv('AWS_SECRET_ACCESS_KEY')",
    "select main.current_setting('s3_access_key_id')",
    "select * from pg_catalog.pg_settings",
    "select * from system.main.duckdb_views",
    'with "{other}/secret.csv" as (select 1) select * from main."{other}/secret.csv"',
    "copy (select 1) to '{root}/x.csv'",
    "copy steps from '/etc/passwd'",
    "attach '{root}/x.db'",
    "install spatial",
    "load spatial",
    "set enable_external_access = true",
    "reset lock_configuration",
    "pragma database_list",
    "call duckdb_secrets()",
    "create table x as select 1",
    "create macro f() as table select 1",
    "create secret s (type s3)",
    "drop view steps",
    "insert into steps values (1)",
    "export database '{root}/x'",
    "import database '{root}/x'",
    "explain select 1",
    "prepare p as select 1",
    "use memory",
    "checkpoint",
    "select 1; attach '{root}/x.db'",
]


@pytest.mark.parametrize("sql", BREAK_OUTS)
def test_nothing_but_the_lake_can_be_read_and_nothing_written(
    folder_lake: Lake, tmp_path: Path, sql: str
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "secret.csv").write_text("a,b\n1,2\n")
    before = folder_lake.store.list()
    with pytest.raises(UsageError):
        query(folder_lake, sql.format(root=folder_lake.uri, other=tmp_path / "other"))
    assert folder_lake.store.list() == before


def test_a_with_name_does_not_open_a_file_of_that_name(folder_lake: Lake, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    sql = f"""with x as (with "{secret}" as (select 1) select 1) select * from "{secret}" """
    with pytest.raises(UsageError):
        query(folder_lake, sql)


def test_credentials_cannot_be_read_by_sql_nor_from_errors(
    moto_s3: S3Server, use_s3: Callable[[S3Server], str], make_rows: Rows
) -> None:
    from cord.lake import open_lake

    lake = open_lake(use_s3(moto_s3), create=True)
    lake.tables.append_once("steps", make_rows("steps", ["p1"]), "a")
    neighbour = lake.uri.rsplit("/", 1)[0]
    lake.store._client.put_object(  # type: ignore[attr-defined]
        Bucket=neighbour.split("/")[2], Key="some/secret.csv", Body=b"a,b\n1,2\n"
    )
    for sql in (
        *BREAK_OUTS,
        "select * from '{root}/../secret.csv'",
        "select * from read_csv('{other}/secret.csv')",
        """with x as (with "{other}/secret.csv" as (select 1) select 1)
           select * from "{other}/secret.csv" """,
    ):
        with pytest.raises(UsageError) as caught:
            query(lake, sql.format(root=lake.uri, other=neighbour))
        assert moto_s3.secret_key not in str(caught.value)


def test_the_settings_hold_no_credentials_even_behind_the_gate(
    moto_s3: S3Server, use_s3: Callable[[S3Server], str]
) -> None:
    from cord.lake.stores.store import open_store
    from cord.lake.tables import query as room

    store = open_store(use_s3(moto_s3))
    connection = room._open(QueryLimits(), set())
    room._connect(connection, store, {"delta", "httpfs"})
    room._lock(connection, store)
    shown = str(connection.execute("select * from duckdb_settings()").fetchall())
    shown += str(connection.execute("select * from duckdb_secrets()").fetchall())
    assert moto_s3.endpoint.removeprefix("http://") in shown
    assert moto_s3.secret_key not in shown


def test_a_query_that_takes_too_long_is_stopped(folder_lake: Lake) -> None:
    endless = (
        "select count(*) from range(1000000000) a, range(1000000000) b where a.range < b.range"
    )
    began = time.monotonic()
    with pytest.raises(UsageError, match=r"took longer than 0.3 s.*narrow it"):
        query(folder_lake, endless, limits=QueryLimits(seconds=0.3))
    assert time.monotonic() - began < 10


LONG = """
import sys
from cord.lake import open_lake
from cord.lake.tables.query import QueryLimits, query
sql = "select count(*) as n from range(200000) a, range(10000) b where a.range * b.range < 0"
print(query(open_lake(sys.argv[1]), sql, limits=QueryLimits(seconds=300, threads=1)).to_pylist())
"""
"""Long enough for DuckDB to draw a bar, and in `python -c`, which it takes for interactive."""


@pytest.mark.slow
def test_a_long_query_draws_nothing_on_standard_output(folder_lake: Lake) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LONG, folder_lake.uri], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[{'n': 0}]\n"


def test_a_query_that_needs_too_much_memory_says_so(folder_lake: Lake) -> None:
    with pytest.raises(UsageError, match="more than 50MB of memory"):
        query(
            folder_lake,
            "select list(a.range) from range(100000000) a",
            limits=QueryLimits(memory="50MB"),
        )


def test_a_large_answer_is_streamed(folder_lake: Lake) -> None:
    with stream(folder_lake, "select * from range(100000)") as batches:
        sizes = [batch.num_rows for batch in batches]
    assert sum(sizes) == 100_000
    assert len(sizes) > 1


def test_what_the_reader_of_a_stream_raises_is_his_own(folder_lake: Lake) -> None:
    with pytest.raises(BrokenPipeError), stream(folder_lake, "select 1"):
        raise BrokenPipeError


def test_an_error_in_the_middle_of_a_stream_is_one_sentence(folder_lake: Lake) -> None:
    sql = "select if(range = 90000, 'x', '1')::int from range(100000)"
    with pytest.raises(UsageError, match="Could not convert string 'x'") as caught:
        query(folder_lake, sql)
    assert "\n" not in str(caught.value)


def test_a_missing_data_file_is_the_lakes_error(folder_lake: Lake, make_rows: Rows) -> None:
    folder_lake.tables.append_once("steps", make_rows("steps", ["p1"]), "a")
    for key in folder_lake.store.list("tables/steps/"):
        if key.endswith(".parquet"):
            Path(folder_lake.store.uri(key)).unlink()
    with pytest.raises(LakeError, match="the lake could not be read"):
        query(folder_lake, "select * from steps")


def test_a_damaged_data_file_is_the_lakes_error_and_is_named(
    folder_lake: Lake, make_rows: Rows
) -> None:
    folder_lake.tables.append_once("steps", make_rows("steps", ["p1"]), "a")
    (key,) = (k for k in folder_lake.store.list("tables/steps/") if k.endswith(".parquet"))
    path = Path(folder_lake.store.uri(key))
    size = path.stat().st_size
    for content in (b"x" * size, b"x" * 10, b"PAR1" + b"x" * (size - 8) + b"PAR1"):
        path.write_bytes(content)
        with pytest.raises(LakeError, match=f"the lake could not be read: .*{path.name}"):
            query(folder_lake, "select * from steps")


def test_columns_of_one_name_are_told_apart(folder_lake: Lake, make_rows: Rows) -> None:
    found = query(folder_lake, "select 1 as a, 2 as a, 3 as a_1, 4 as a")
    assert found.to_pylist() == [{"a": 1, "a_1": 2, "a_1_1": 3, "a_2": 4}]
    folder_lake.tables.append_once("steps", make_rows("steps", ["p1"]), "a")
    joined = query(folder_lake, "select * from steps s join steps t using (problem_id)")
    assert len(joined.to_pylist()[0]) == joined.num_columns


def test_a_question_that_is_no_unicode_is_refused(folder_lake: Lake) -> None:
    with pytest.raises(UsageError, match="UTF-8"):
        query(folder_lake, "select '\udcff'")


def test_a_damaged_table_is_one_line_without_a_backtrace(
    folder_lake: Lake, make_rows: Rows
) -> None:
    folder_lake.tables.append_once("steps", make_rows("steps", ["p1"]), "a")
    folder_lake.store.write(f"tables/steps/_delta_log/{1:020d}.json", b"junk")
    with pytest.raises(LakeError) as raised:
        query(folder_lake, "select count(*) from steps")
    assert len(str(raised.value)) < 300 and "backtrace" not in str(raised.value)
