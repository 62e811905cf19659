"""What a release is and how good it is: the parts of a card that tell of the records."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from cord.card.escaping import code, plain, table
from cord.card.fields import FIELDS
from cord.lake.tables.schemas import RECORDS

if TYPE_CHECKING:
    from cord.lake.releases.manifest import Manifest

COUNTS: Final = {
    "problems": "problems read",
    "correct": "whose best trajectory is correct",
    "records": "problems with a record here",
    "rows": "records here",
    "wrong": "without a correct trajectory to keep",
    "undecided": "whose answer could not be judged",
    "quarantined": "set aside, each with its reason",
    "below_path": "correct trajectories left out for the worth of their path",
    "duplicates": "records left out as duplicates",
    "contaminated": "records left out for what they share with an evaluation set",
}
_MOST_SHARES = 10


def opening(manifest: Manifest) -> str:
    """What this is, in a sentence or two."""
    return (
        f"{_number(manifest.rows)} long chain-of-thought solutions, each written step by step by "
        "several teacher models together and verified against a reference answer. Made by cord, a "
        "data factory for collaborative step-wise multi-teacher decoding (CoRD)."
    )


def fields() -> str:
    """A row for each column."""
    rows = [
        (code(field.name), code(field.type), FIELDS[field.name]) for field in RECORDS
    ]  # what a type says of its own is Arrow's
    return table(("field", "type", "meaning"), rows)


def counts(manifest: Manifest) -> str:
    """What became of the problems."""
    found = {"rows": manifest.rows, **manifest.counts}
    named = [(meaning, found[name]) for name, meaning in COUNTS.items() if name in found]
    others = [(name, found[name]) for name in found if name not in COUNTS]
    return table(("", "count"), [(plain(what), plain(_number(n))) for what, n in named + others])


def checked(manifest: Manifest) -> str:
    """The evaluation sets that no record shares words with."""
    said = manifest.decontamination
    sets = said.get("sets") or []
    if not sets:
        return "The records were not checked against any evaluation set."
    within = " or ".join(plain(part) for part in said.get("within") or ("question", "response"))
    rows = [
        (
            plain(_place(one["name"])),
            plain(_place(one["source"]), 120),
            _number(one["items"]),
            code(one["sha256"]),
        )
        for one in sets
    ]
    return (
        f"No record shares {plain(said['words'])} words in a row with an item of these sets in its "
        f"{within}, case, punctuation and white space aside; {_number(said['dropped'])} were left "
        f"out for it.\n\n{table(('set', 'source', 'items', 'sha256 of the items'), rows)}"
    )


def _place(named: Any) -> str:
    """Of an absolute path the last part: the rest tells of a machine."""
    return PurePath(str(named)).name if PurePath(str(named)).is_absolute() else str(named)


def quality(manifest: Manifest) -> str:
    """The signals, summed up; empty where a release has none."""
    profile: dict[str, Any] = manifest.profile
    numbers = [
        (
            code(name),
            *(_short(one[part]) for part in ("mean", "least", "p05", "p50", "p95", "most")),
        )
        for name, one in profile.get("numbers", {}).items()
    ]
    shares = [
        (code(name), ", ".join(f"{plain(v, 60)} {s:.1%}" for v, s in _largest(one)))
        for name, one in profile.get("shares", {}).items()
    ]
    flags = [(code(name), f"{share:.2%}") for name, share in profile.get("flags", {}).items()]
    parts = [
        table(("", "mean", "least", "5 %", "median", "95 %", "most"), numbers),
        table(("", "shares"), shares),
        table(("", "of the records"), flags),
    ]
    return "\n".join(part for part in parts if part)


def contract(manifest: Manifest) -> str:
    """Each expectation that the records were held against."""
    said = manifest.contract
    rows = [
        (
            code(check["expectation"]),
            plain(check["sentence"]),
            plain(check["observed"], 120),
            "held" if check["holds"] else f"**{plain(_failure(check))}**",
        )
        for check in said.get("checks") or []
    ]
    if not rows:
        return "Its contract held." if said.get("holds") else "No result of a contract was kept."
    verdict = "Every expectation that can stop a release held."
    shown = verdict if said.get("holds") else "The contract did not hold."
    return f"{shown}\n\n{table(('expectation', 'must hold', 'found', ''), rows)}"


def _failure(check: dict[str, Any]) -> str:
    return "warning" if check.get("severity") == "warn" else "failed"


def _largest(shares: dict[str, float]) -> list[tuple[str, float]]:
    shown = list(shares.items())[:_MOST_SHARES]
    rest = sum(shares.values()) - sum(share for _, share in shown)
    return [*shown, ("others", rest)] if len(shares) > len(shown) else shown


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
