"""The gate in front of `cord query`: one SELECT, over the lake's views, and nothing else.

DuckDB's own sandbox (`enable_external_access=false` with `allowed_directories`) is the second
wall, not the first: measured on 1.5.5, `delta_scan` does not heed it, `s3://bucket/lake/../other`
passes it, and `current_setting('s3_secret_access_key')` reads what httpfs took from the
environment. So the statement is parsed by DuckDB and its tree is read here: tables must be views
of the lake or the statement's own WITH names, and functions that return tables must be on a short
list of harmless ones. Whatever has no tree (everything that is not a SELECT) is refused.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterator
from typing import Any

import duckdb

from cord.errors import UsageError

_TABLE_FUNCTIONS = {
    "generate_series",
    "json_each",
    "json_tree",
    "range",
    "repeat",
    "repeat_row",
    "unnest",
}
# `json_serialize_plan` plans a statement of its own, which nobody has looked at, and its plan holds
# what can be computed beforehand: `current_setting('s3_secret_access_key')` among it.
_FORBIDDEN_FUNCTIONS = {
    "current_setting",
    "getenv",
    "getvariable",
    "json_execute_serialized_sql",
    "json_serialize_plan",
    "which_secret",
    "write_log",
}


def views_used(parser: duckdb.DuckDBPyConnection, sql: str, views: Collection[str]) -> set[str]:
    """Names of the views that the statement reads: all of them where it asks what there is.

    Raises `UsageError` for anything but one SELECT (FROM, WITH, VALUES, DESCRIBE, SUMMARIZE and
    SHOW TABLES are SELECTs too) over `views`. `parser` only parses; nothing is run."""
    nodes = list(_nodes(_tree(parser, sql)))
    own = {entry["key"].lower() for node in nodes for entry in _with_names(node)}
    used: set[str] = set()
    for node in nodes:
        kind = node.get("type")
        if kind == "BASE_TABLE":
            used |= _of_table(node, views, own)
        elif kind == "SHOW_REF" and node.get("table_name"):
            used |= set(views)
        elif kind == "TABLE_FUNCTION":
            name = str((node.get("function") or {}).get("function_name", "")).lower()
            if name not in _TABLE_FUNCTIONS:
                raise _refused(f"the table function {name}()")
        if str(node.get("function_name", "")).lower() in _FORBIDDEN_FUNCTIONS:
            raise _refused(f"the function {node['function_name']}()")
    return used


def sentence(error: Exception) -> str:
    """A DuckDB message as one line: its hint and candidates kept, the echo of the SQL dropped."""
    text = str(error).split("\nLINE ")[0]
    text = re.split(r"\s+0: <", text)[0]  # Delta's reader adds a backtrace
    return " ".join(text.split()).rstrip(".")[:1000]


def _tree(parser: duckdb.DuckDBPyConnection, sql: str) -> Any:
    try:
        statements = parser.extract_statements(sql)
    except duckdb.Error as error:
        raise UsageError(f"the SQL cannot be read: {sentence(error)}") from error
    if len(statements) != 1:
        raise UsageError(
            f"the SQL holds {len(statements)} statements; give exactly one SELECT"
            + (" (PIVOT needs its values listed: ON column IN (...))" if statements else "")
        )
    said = parser.execute("select json_serialize_sql(?)", [sql]).fetchone()
    try:
        tree = json.loads(said[0] if said else "{}")
    except RecursionError as error:
        raise UsageError("the SQL is nested too deeply; write it with WITH") from error
    if tree.get("error", True) or not tree.get("statements"):
        raise UsageError(f"the lake is read-only: give one SELECT, not {statements[0].type.name}")
    return tree["statements"]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of the tree, at whatever depth."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _with_names(node: dict[str, Any]) -> list[dict[str, Any]]:
    names = node.get("cte_map")
    return names.get("map", []) if isinstance(names, dict) else []


def _of_table(node: dict[str, Any], views: Collection[str], own: set[str]) -> set[str]:
    catalog = str(node.get("catalog_name", "")).lower()
    schema = str(node.get("schema_name", "")).lower()
    name = str(node.get("table_name", ""))
    if catalog in ("", "memory") and schema in ("", "main"):
        if name.lower() in views:
            return {name.lower()}
        if name.lower() in own and not schema:
            return set()
    if catalog in ("", "memory", "system") and schema == "information_schema":
        return set(views)
    near = difflib.get_close_matches(name.lower(), views, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(views)}"
    asked = ".".join(part for part in (catalog, schema, name) if part)
    raise UsageError(f"there is no view {asked!r} in the lake; {hint}")


def _refused(what: str) -> UsageError:
    return UsageError(
        f"{what} is not allowed: a query reads the lake's views and nothing else; of functions "
        f"in FROM there are {', '.join(sorted(_TABLE_FUNCTIONS))}"
    )
