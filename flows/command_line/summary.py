"""A finished run for a person: what it came to, who wrote it, what it cost.

Its tables fit into 80 columns; `--json` and `summary.json` have every digit.
"""

from __future__ import annotations

from typing import Any

from cord.lake.runs.run import state_in_words
from flows.command_line.terminal import out, print_table, say


def print_summary(summary: dict[str, Any]) -> None:
    """The summary of a run, for a person."""
    problems = summary["problems"]
    state = state_in_words(summary.get("state", ""), summary["quarantined"])
    rows = [
        *([("state", state)] if state else []),
        ("problems", f"{problems}"),
        ("correct", f"{summary['correct']} ({_percent(summary['correct'], problems)})"),
        ("records", f"{summary['records']}"),
        ("wrong", f"{summary['wrong']}"),
        ("quarantined", f"{summary['quarantined']}"),
        *_left_out(summary),
        ("mean score", "-" if summary["mean_score"] is None else f"{summary['mean_score']:.3f}"),
        *_cost_rows(summary),
        ("seconds", _seconds(summary["seconds"])),
        ("release", summary["release"] or "none"),
    ]
    print_table(("run", summary["run_id"]), rows)
    if summary["shares"]:
        longest = max(4, min(24, out.width - 50))
        widest = max(share["share"] for share in summary["shares"]) or 1
        bars = [
            (
                s["teacher"],
                f"{s['share']:.1%}",
                s["median_gain"],
                ("█" if out.encoding.startswith("utf") else "#")
                * round(longest * s["share"] / widest),
            )
            for s in summary["shares"]
        ]
        print_table(("teacher", "share of steps", "median gain", ""), bars)
        _print_costs(summary["shares"])
    if summary["servers"]:
        _print_servers(summary["servers"])
    if summary["quarantined"]:
        say(
            "what was set aside, and why: "
            'cord query "select source, problem_id, reason from quarantine"'
        )
    if summary.get("duplicates") or summary.get("contaminated"):
        say(
            "what was left out, and its evidence: "
            'cord query "select problem_id, rank, reason, matched from dropped"'
        )


def _left_out(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Correct trajectories that are no records; older summaries know of none."""
    below = summary.get("below_path")
    of_path = [] if below is None else [("kept out by publish.path", f"{below} trajectories")]
    dropped = [
        (name, f"{summary[name]} records left out")
        for name in ("duplicates", "contaminated")
        if summary.get(name)
    ]
    return [*of_path, *dropped]


def _cost_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """What the whole run cost, one line each."""
    proposed = f"{summary['tokens_proposed']:,} proposed"
    if summary["tokens_reused"]:
        proposed += f" ({summary['tokens_reused']:,} by earlier runs)"
    parts = f"{summary['tokens_kept']:,} kept, {summary['tokens_thrown_away']:,} thrown away"
    each, judge = summary["tokens_per_record"], summary["meta_prover"]
    cached = "" if summary["cache_hits"] is None else f", {summary['cache_hits']:.1%} from a cache"
    rows = [
        ("tokens", f"{proposed}: {parts}"),
        ("tokens a record", "-" if each is None else f"{each:,.0f}"),
        ("prompts", f"{summary['prompt_tokens']:,} tokens{cached}"),
    ]
    if judge["requests"] is not None:
        work = f"{judge['requests']:,} requests, {_seconds(judge['seconds_busy'])} s busy"
        rows.append(
            (judge.get("role", "meta-prover"), f"{judge['engine']}: {work}".removeprefix(": "))
        )
    if missing := [f"{teacher} in {n}" for teacher, n in summary["missing"].items()]:
        rows.append(
            ("teachers missing", ", ".join(missing) + f" of {summary['problems']} problems")
        )
    return rows


def _print_costs(shares: list[dict[str, Any]]) -> None:
    rows = [
        (
            s["teacher"],
            *(_short(s[n]) for n in ("proposals", "tokens_proposed", "tokens_kept")),
            *(_short(s[n]) for n in ("tokens_thrown_away", "prompt_tokens")),
            _share(s["cache_hits"]),
            _seconds(s["seconds_busy"]),
        )
        for s in shares
    ]
    names = ("teacher", "asked", "tokens", "kept", "thrown", "read", "cached", "busy s")
    print_table(names, rows)


def _print_servers(servers: list[dict[str, Any]]) -> None:
    rows = [
        (
            s["server"],
            *(_short(s[n]) for n in ("prompt_tokens", "generation_tokens")),
            _share(s["cache_hits"]),
        )
        for s in servers
    ]
    print_table(("server, by its own count", "read", "tokens", "cached"), rows)


def _short(number: int | None) -> str:
    """A number in at most five characters, to keep a table narrow: 9999, 12.3k, 4.56M."""
    if number is None or number < 10_000:
        return "-" if number is None else str(number)
    for size, unit in ((1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T")):
        if number < 999.5 * size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0e}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
