"""`cord verify`: is what lies in the lake as it was stated, and is the lake sound?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from cord.errors import ContractBroken, CordError, UsageError
from cord.lake import Lake, open_lake
from flows.command_line.options import Json, LakeUri
from flows.command_line.terminal import print_json, say

if TYPE_CHECKING:
    from cord.inspection import Finding
    from cord.inspection.mending import Repair

_WITHOUT_ADDRESS = "--lake"


class _Verify(TyperCommand):
    """`--lake` without an address means the lake that is meant without `--lake`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See Typer. An option that may have a value or not is none of its kinds."""
        followers = [*args, "--"][1:]
        kept = [
            argument
            for argument, follower in zip(args, followers, strict=False)
            if argument != _WITHOUT_ADDRESS or not follower.startswith("-")
        ]
        return super().parse_args(ctx, kept)


def add_to(app: typer.Typer) -> None:
    """Hang this command onto the command line."""
    app.command(cls=_Verify)(verify)


def verify(
    release: Annotated[
        str | None,
        typer.Argument(help="A release, as demo@1 or demo (the newest); without one, the lake."),
    ] = None,
    lake: LakeUri = "./lake",
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended without guessing.")
    ] = False,
    releases: Annotated[
        bool, typer.Option("--releases", help="With the lake, check every release too.")
    ] = False,
    json: Json = False,
) -> None:
    """Check a release, or the whole lake: `cord verify --lake`.

    A release: its files' sha256, its counts, its verdicts, and the contract again. The lake: what
    was left half-finished, lost or doubled by a run that was killed. Exit 1 where anything is
    found that was not mended."""
    opened = open_lake(lake)
    if release is None:
        _verify_lake(opened, repair, releases, json)
    elif repair or releases:
        raise UsageError("--repair and --releases are for the whole lake: leave the release out")
    else:
        _verify_release(opened, release, json)


def _verify_release(lake: Lake, which: str, json: bool) -> None:
    from cord.lake.releases.release import find_release

    found = _checked(lake, find_release(lake, which).label)
    if json:
        print_json(found)
    else:
        say(
            f"{found['release']} is sound: {found['rows']} rows, files: {found['files']}, content "
            f"{found['content_hash'][:12]}, {len(found['contract']['checks'])} expectations hold"
        )


def _checked(lake: Lake, label: str) -> dict[str, Any]:
    """What is found of a release that is sound. Raises `CordError` with the same details where it
    is damaged, `ContractBroken` where its contract does not hold any more."""
    from cord.lake.releases.audit import verify_release
    from cord.lake.releases.release import find_release
    from tasks.recheck import recheck_contract

    manifest = find_release(lake, label)
    stated: dict[str, Any] = {
        "release": manifest.label,
        "rows": manifest.rows,
        "files": len(manifest.files),
        "content_hash": manifest.content_hash,
    }
    if faults := verify_release(lake, manifest):
        # Its rows may not even be readable: there is nothing to hold a contract against.
        found = {**stated, "faults": faults, "contract": None, "holds": False}
        raise CordError(f"{manifest.label} is damaged:\n  " + "\n  ".join(faults), found)
    contract = recheck_contract(lake, manifest)
    found = {**stated, "faults": [], "contract": contract.to_json(), "holds": contract.holds}
    if not contract.holds:
        raise ContractBroken(contract.explain(), found)
    return found


def _verify_lake(lake: Lake, repair: bool, releases: bool, json: bool) -> None:
    from cord.inspection import inspect_lake
    from cord.inspection.mending import Repair, repair_lake

    repaired = repair_lake(lake) if repair else Repair((), tuple(inspect_lake(lake)), {})
    damaged = _damaged_releases(lake, repaired.left) if releases else {}
    for one in repaired.mended:
        say(f"mended: {one.finding.where}: {one.finding.sentence}; {one.done}")
    found = {
        "lake": lake.uri,
        "sound": not repaired.left and not damaged,
        "found": [_to_json(finding, repaired) for finding in repaired.left],
        "mended": [
            {**_to_json(one.finding, repaired), "done": one.done} for one in repaired.mended
        ],
        "damaged_releases": damaged,
    }
    if repaired.left or damaged:
        sentences = [*(_in_words(f, repaired) for f in repaired.left), *damaged.values()]
        raise CordError(_all_in_words(lake, repaired.left, sentences, repair), found)
    if json:
        print_json(found)
    else:
        done = f"; things mended: {len(repaired.mended)}" if repaired.mended else ""
        say(f"{lake.uri} is sound{done}")


def _damaged_releases(lake: Lake, left: Sequence[Finding]) -> dict[str, str]:
    """Label to what is wrong, of every release that is not sound."""
    from cord.lake.releases.release import list_releases

    if any(finding.kind == "damaged manifest" for finding in left):
        return {}  # that is said already, and no release can be listed
    damaged = {}
    for manifest in list_releases(lake):
        try:
            _checked(lake, manifest.label)
        except CordError as error:
            damaged[manifest.label] = str(error)
    return damaged


def _all_in_words(
    lake: Lake, left: Sequence[Finding], sentences: Sequence[str], repaired: bool
) -> str:
    said = f"{lake.uri} is not sound:\n  " + "\n  ".join(sentences)
    mendable = sum(finding.mendable for finding in left)
    if mendable and not repaired:
        said += f"\n{mendable} of these can be mended: `cord verify --lake {lake.uri} --repair`"
    return said


def _in_words(finding: Finding, repair: Repair) -> str:
    since = f" (since {finding.since:%Y-%m-%d %H:%M:%S} UTC)" if finding.since else ""
    refused = repair.refused.get(finding.mend) if finding.mend else None
    remedy = f"not mended: {refused}" if refused else finding.remedy
    return f"{finding.kind}: {finding.where}{since}: {finding.sentence}; {remedy}"


def _to_json(finding: Finding, repair: Repair) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "where": finding.where,
        "since": finding.since.isoformat() if finding.since else None,
        "run_id": finding.run_id,
        "means": finding.sentence,
        "remedy": finding.remedy,
        "mendable": finding.mendable,
        "refused": repair.refused.get(finding.mend) if finding.mend else None,
    }
