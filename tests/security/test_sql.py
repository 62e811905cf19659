"""`cord query` reads the lake's views and nothing else: attacks that must not pass the gate.

What is behind the gate, should one pass, is in tests/lake/tables/test_query.py."""

from __future__ import annotations

import duckdb
import pytest
from s3_server import S3Server

from cord.errors import UsageError
from cord.lake import open_lake
from cord.lake.tables.query import query
from cord.lake.tables.select_only import views_used
from cord.lake.tables.views import VIEWS

READS = (
    "read_text('/etc/passwd')",
    "read_csv('/etc/passwd')",
    "read_csv_auto('/etc/passwd')",
    "read_blob('/etc/passwd')",
    "read_json('/x')",
    "read_json_auto('/x')",
    "read_ndjson_objects('/x')",
    "read_parquet('/x')",
    "parquet_scan('/x')",
    "parquet_metadata('/x')",
    "parquet_schema('/x')",
    "sniff_csv('/etc/passwd')",
    "glob('/etc/*')",
    "delta_scan('/x')",
    "delta_scan('s3://other/lake')",
    "iceberg_scan('/x')",
    "duckdb_secrets()",
    "duckdb_settings()",
    "duckdb_logs()",
    "which_secret('s3://x', 's3')",
    "query('select 1')",
    "query_table('steps')",
    "query_table(['steps', '/etc/passwd'])",
    "json_execute_serialized_sql(json_serialize_sql('select 1'))",
    "arrow_scan(1, 2, 3)",
    "pandas_scan(1)",
    "seq_scan('steps')",
    "'/etc/passwd'",
    '"/etc/passwd"',
    "'/etc/passwd.csv'",
    "'s3://other/x.parquet'",
    "'http://127.0.0.1/x.csv'",
    "sqlite_master",
    "pg_catalog.pg_settings",
    "other.main.steps",
)
PLACES = (
    "select * from {}",
    "from {}",
    "with a as (select * from {}) select * from a",
    "with a as materialized (from {}) from a",
    "with recursive a as (select 1 union all select 1 from {}) select * from a",
    "select (select 1 from {})",
    "select exists(from {})",
    "select * from steps, lateral (select * from {})",
    "select * from steps left join {} on true",
    "select * from steps positional join {}",
    "select * from steps union all select * from {}",
    "select * from steps where text in (select 1 from {})",
    "select * from steps order by (select 1 from {})",
    "select * from steps limit (select 1 from {})",
    "select * from steps qualify (select true from {})",
    "select * replace ((select 1 from {}) as text) from steps",
    "select count(*) filter (where (select true from {})) from steps",
    "select sum(1) over (order by (select 1 from {})) from steps",
    "select list_transform([1], x -> (select 1 from {}))",
    "select {{'a': (select 1 from {})}}",
    "select * from unnest((select [1] from {}))",
    "select * from range((select 1 from {}))",
    "values ((select 1 from {}))",
    "describe select * from {}",
    "summarize select * from {}",
    "pivot (from {}) on a in (1) using count(*)",
    "unpivot (from {}) on a into name n value v",
)
CALLS = (
    "getenv('HOME')",
    "GetEnv('HOME')",
    "\"getenv\"('HOME')",
    "system.main.getenv('HOME')",
    "'HOME'.getenv()",
    "current_setting('s3_secret_access_key')",
    "main.current_setting('s3_secret_access_key')",
    "getvariable('x')",
    "which_secret('s3://x', 's3')",
    "write_log('x')",
    "json_serialize_plan('select 1')",
    "JSON_SERIALIZE_PLAN('select 1', optimize := true)",
)
AROUND = (
    "select {}",
    "select try({})",
    "select case when true then {} end",
    "select [{}]",
    "select map {{{}: 1}}",
    "select apply([1], x -> {})",
    "select cast({} as varchar) collate nocase",
    "select * from repeat({}, 3)",
    "select * from json_each({})",
    "select * from steps where text = {}",
    "select sum(1) over (partition by {})",
)
STATEMENTS = (
    "copy steps to '/tmp/x'",
    "copy (select 1) to '/tmp/x'",
    "attach '/tmp/x.db'",
    "install httpfs",
    "load httpfs",
    "pragma database_list",
    "set memory_limit = '1GB'",
    "reset all",
    "use memory",
    "create table t(x int)",
    "create macro m() as table select 1",
    "create view v as select 1",
    "create secret (type s3, key_id 'x')",
    "insert into steps values (1)",
    "update steps set text = ''",
    "delete from steps",
    "drop view steps",
    "alter view steps rename to t",
    "merge into steps using runs on true when matched then delete",
    "export database '/tmp/x'",
    "import database '/tmp/x'",
    "call pragma_version()",
    "explain analyze select 1",
    "prepare x as select 1",
    "execute x",
    "begin",
    "checkpoint",
    "vacuum",
    "select 1; select 2",
    "describe '/etc/passwd'",
    "summarize '/etc/passwd.csv'",
)


@pytest.fixture(scope="module")
def parser() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def passes(parser: duckdb.DuckDBPyConnection, sql: str) -> bool:
    try:
        views_used(parser, sql, VIEWS)
    except UsageError:
        return False
    return True


def test_nothing_but_views_is_read_wherever_it_stands(parser: duckdb.DuckDBPyConnection) -> None:
    asked = [place.format(read) for place in PLACES for read in READS]
    assert [sql for sql in asked if passes(parser, sql)] == []


def test_no_function_tells_of_the_process_wherever_it_stands(
    parser: duckdb.DuckDBPyConnection,
) -> None:
    asked = [around.format(call) for around in AROUND for call in CALLS]
    assert [sql for sql in asked if passes(parser, sql)] == []


def test_nothing_is_done_but_asked(parser: duckdb.DuckDBPyConnection) -> None:
    assert [sql for sql in STATEMENTS if passes(parser, sql)] == []


def test_the_places_themselves_are_allowed(parser: duckdb.DuckDBPyConnection) -> None:
    """Or the attacks would prove nothing. (What range and the like take is a matter of values.)"""
    asked = [place.format("runs") for place in PLACES]
    assert [sql for sql in asked if not passes(parser, sql)] == []
    asked = [around.format("upper('x')") for around in AROUND]
    assert [sql for sql in asked if not passes(parser, sql)] == []


@pytest.mark.slow
def test_a_plan_does_not_hold_the_lakes_keys(
    moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto_s3.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-in-the-plan")
    lake = open_lake(f"s3://{moto_s3.new_bucket()}/lake", create=True)
    inner = "select current_setting(''s3_secret_access_key'')"
    with pytest.raises(UsageError, match="json_serialize_plan"):
        query(lake, f"select json_serialize_plan('{inner}', optimize := true), (from steps)")
