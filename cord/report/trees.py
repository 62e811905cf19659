"""A problem's proposals as a tree: each under the one it continues, the winning path marked.

Which prefix a proposal stands on is in no row; the search is taken again
(`cord.preferences.replay`). Where that cannot be done (the recipe of the run that decoded it is
gone, say), rounds stay rounds and only the path is joined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cord.lake.tables.rows import Row
from cord.preferences.replay import ReplayError, replay
from cord.recipe import SearchSettings
from cord.report.blocks import figure

ROOT, UNKNOWN = -1, -2
"""Parents: the empty prefix, and one that is not known."""
KEPT, FINISHED, CUT = 1, 2, 4
"""Marks of a proposal. `CUT`: its step met the token cap."""

Settings = Callable[[str], SearchSettings | None]
"""The search settings of a run, by its id; None where they are gone."""


def told(
    head: Row, rows: Sequence[Row], names: Mapping[str, int], settings: Settings, whole: bool
) -> tuple[dict[str, Any], int]:
    """What the page has of one problem, and about how many bytes it is. `rows` are its proposals;
    without `whole` only the winning path is kept of them."""
    ways = head["ways"] or []
    best = ways[0] if ways else None
    parents = _replayed(head, rows, settings) if whole and best is not None else None
    path = [] if best is None else _climbed(best, rows, parents) or _path(best, rows)
    if not whole:
        rows, path = [rows[place] for place in path], list(range(len(path)))
    if parents is None:
        parents = [UNKNOWN] * len(rows)
    for before, place in zip([ROOT, *path], path, strict=False):
        if parents[place] == UNKNOWN:
            parents[place] = before
    problem = {
        "id": head["problem_id"],
        "question": head["question"],
        "answer": head["answer"],
        "alternatives": head["alternatives"] or [],
        "source": head["source"],
        "domain": head["domain"],
        "madeBy": head["made_by"],
        "ways": [_way(way) for way in ways],
        "missing": (best or {}).get("missing") or [],
        "drops": head["drops"] or [],
        "asides": head["asides"] or [],
        "whole": whole,
        "path": path,
        # Older rows do not say where a step of the best trajectory ends.
        "text": best["text"] if best is not None and not path else None,
        "nodes": _nodes(rows, parents, names),
    }
    size = 600 + sum(len(row["text"]) + 60 for row in rows) + len(head["question"] or "")
    return problem, size


def _nodes(
    rows: Sequence[Row], parents: Sequence[int], names: Mapping[str, int]
) -> dict[str, list[Any]]:
    """Proposals by column: short names and equal things beside each other, for gzip."""
    return {
        "parent": list(parents),
        "round": [row["round"] for row in rows],
        "authors": [
            [names[name] for name in dict.fromkeys([row["teacher"], *(row["authors"] or ())])]
            for row in rows
        ],
        "score": [figure(row["score"]) for row in rows],
        "gain": [figure(row["gain"]) for row in rows],
        "tokens": [row["tokens"] for row in rows],
        "marks": [
            KEPT * bool(row["kept"])
            + FINISHED * bool(row["finished"])
            + CUT * (row["complete"] is False)
            for row in rows
        ],
        "text": [row["text"] for row in rows],
    }


def _way(way: Mapping[str, Any]) -> dict[str, Any]:
    """A trajectory of the last beam, without its text."""
    kept = ("rank", "finished", "steps", "tokens", "proposed", "answer")
    judged = ("outcome", "method", "reason")
    scores = {name: figure(way[name]) for name in ("score", "start")}
    return {**{name: way[name] for name in (*kept, *judged)}, **scores}


def _climbed(
    best: Mapping[str, Any], rows: Sequence[Row], parents: Sequence[int] | None
) -> list[int]:
    """Places of the best trajectory's steps, up the tree from the one that ends it."""
    for place, row in enumerate(rows if parents is not None else ()):
        if row["score"] == best["score"] and (best["text"] or "").endswith(row["text"]):
            path = [place]
            while parents is not None and parents[path[-1]] != ROOT:
                path.append(parents[path[-1]])
            if "".join(rows[one]["text"] for one in reversed(path)) == best["text"]:
                return path[::-1]
    return []


def _path(best: Mapping[str, Any], rows: Sequence[Row]) -> list[int]:
    """Places of the best trajectory's steps among the proposals: each has the score that is noted
    for it, and its text stands where the last one ended. Empty where that is not so."""
    scores, text, offset = best["scores"], best["text"] or "", 0
    path: list[int] = []
    if scores is None:
        return []
    by_score: dict[float, list[int]] = {}
    for place, row in enumerate(rows):
        by_score.setdefault(row["score"], []).append(place)
    for teacher, score in zip(best["teachers"], scores, strict=True):
        after = path[-1] if path else -1
        fitting = (
            place
            for place in by_score.get(score, ())
            if place > after
            and rows[place]["teacher"] == teacher
            and text.startswith(rows[place]["text"], offset)
        )
        found = next(fitting, None)
        if found is None:
            return []
        path.append(found)
        offset += len(rows[found]["text"])
    return path if offset == len(text) else []


def _replayed(head: Row, rows: Sequence[Row], settings: Settings) -> list[int] | None:
    """Each proposal's parent; None where the rounds cannot be taken again."""
    found = settings(head["made_by"])
    if found is None or not rows:
        return None
    place_of: dict[int, int] = {}
    parents: list[int] = []
    alive = []  # what has an id must not be collected
    try:
        for decided in replay(rows, head["ways"][0]["start"], found):
            for prefix, candidate in decided.candidates:
                steps = prefix.steps
                parents.append(place_of[id(steps[-1])] if steps else ROOT)
                place_of[id(candidate.step)] = len(parents) - 1
                alive.append(candidate.step)
    except (ReplayError, KeyError):
        return None
    return parents
