"""`cord verify`: is what lies in the lake as it was stated?"""

from __future__ import annotations

import typer

from cord.errors import ContractBroken, CordError
from cord.lake import open_lake
from flows.command_line.looking import Release
from flows.command_line.options import Json, LakeUri
from flows.command_line.terminal import print_json, say


def add_to(app: typer.Typer) -> None:
    """Hang this command onto the command line."""
    app.command()(verify)


def verify(release: Release, lake: LakeUri = "./lake", json: Json = False) -> None:
    """Check a release: its files' sha256, its counts, its verdicts, and the contract again."""
    from cord.lake.audit import verify_release
    from cord.lake.releases import find_release
    from tasks.recheck import recheck_contract

    opened = open_lake(lake)
    manifest = find_release(opened, release)
    faults = verify_release(opened, manifest)
    stated = {"release": manifest.label, "rows": manifest.rows, "files": len(manifest.files)}
    if faults:  # its rows may not even be readable: there is nothing to hold a contract against
        found = {**stated, "faults": faults, "contract": None, "holds": False}
        raise CordError(f"{manifest.label} is damaged:\n  " + "\n  ".join(faults), found)
    contract = recheck_contract(opened, manifest)
    found = {**stated, "faults": [], "contract": contract.to_json(), "holds": contract.holds}
    if not contract.holds:
        raise ContractBroken(contract.explain(), found)
    if json:
        print_json(found)
    else:
        say(
            f"{manifest.label} is sound: {manifest.rows} rows, files: {len(manifest.files)}, "
            f"content {manifest.content_hash[:12]}, {len(contract.checks)} expectations hold"
        )
