"""`cord export`, `card`: a release for others to read."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cord.errors import UsageError
from cord.lake import open_lake
from flows.command_line.options import Json, LakeUri
from flows.command_line.terminal import print_json, say

if TYPE_CHECKING:
    from cord.export import PairOptions
    from cord.lake import Lake
    from cord.lake.releases.manifest import Manifest

Release = Annotated[str, typer.Argument(help="A release, as demo@1 or demo (the newest).")]


def add_to(app: typer.Typer) -> None:
    """Hang these commands onto the command line."""
    app.command()(export)
    app.command()(card)


def export(
    release: Release,
    out: Annotated[
        str | None,
        typer.Argument(
            help="File to write: .jsonl or .parquet; for dataset, a folder or s3://bucket/prefix."
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="sft: conversations (TRL). sharegpt: LLaMA-Factory. axolotl: Axolotl. dpo: pairs "
            "of whole trajectories. step-dpo: pairs of steps on one prefix, kept and dropped. "
            "dataset: all columns and a data card, for datasets.load_dataset. Else sft.",
            show_default=False,
        ),
    ] = None,
    min_gap: Annotated[
        float | None, typer.Option(min=0.0, help="Of pairs: least difference of log S; else 0.1.")
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(min=1, help="Pairs of a prefix (step-dpo), of a record (dpo); else 2."),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="The student, a folder or a name: prompts in its own chat template."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="dataset: over one that was written there before.")
    ] = False,
    push_to_hub: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME", help="dataset: onto the Hugging Face hub; OUT may be left out."
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Of --push-to-hub: nobody else may see it.")
    ] = False,
    lake: LakeUri = "./lake",
    json: Json = False,
) -> None:
    """Write a release, or the preference pairs behind it, to what a trainer reads."""
    from cord.export import PairOptions
    from cord.lake.releases.release import find_release

    how = format or ("dataset" if push_to_hub else "sft")
    usual = PairOptions()
    pairs = PairOptions(
        usual.min_gap if min_gap is None else min_gap,
        usual.most if most is None else most,
        tokenizer,
    )
    if how != "dataset" and (force or push_to_hub or private):
        raise UsageError("--force, --push-to-hub and --private are for --format dataset")
    if how == "dataset" and pairs != usual:
        raise UsageError("--min-gap, --most and --tokenizer are for --format dpo and step-dpo")
    if private and not push_to_hub:
        raise UsageError("--private is for --push-to-hub OWNER/NAME")
    if out is None and not push_to_hub:
        raise UsageError("OUT is missing; name the file or folder to write")
    opened = open_lake(lake)
    manifest = find_release(opened, release)
    if how == "dataset":
        told = _dataset(opened, manifest, out, force, push_to_hub, private)
    else:
        told = _file(opened, manifest, how, Path(str(out)), pairs)
    if json:
        print_json({"release": manifest.label, "format": how, **told})
        return
    named = " and on ".join(str(told[at]) for at in ("path", "hub") if told.get(at))
    of = f" of {told['problems']} problems" if "problems" in told else ""
    beside = f", with {told['beside']}" if told.get("beside") else ""
    say(f"{manifest.label}: {told['rows']} rows{of} in {named}{beside}")


def card(release: Release, lake: LakeUri = "./lake", json: Json = False) -> None:
    """Print a release's data card: what it is, where it comes from, how good it is."""
    from cord.card import card as write
    from cord.lake.releases.release import find_release

    manifest = find_release(open_lake(lake), release)
    text = write(manifest)
    if json:
        print_json({"release": manifest.label, "card": text})
    else:
        typer.echo(text, nl=False)


def _file(
    lake: Lake, manifest: Manifest, how: str, out: Path, pairs: PairOptions
) -> dict[str, Any]:
    from cord.export import export as write

    wrote = write(lake, manifest, how, out, pairs)
    told: dict[str, Any] = {"path": str(out), "rows": wrote.rows, "problems": wrote.problems}
    return told if wrote.beside is None else {**told, "beside": str(wrote.beside)}


def _dataset(
    lake: Lake, manifest: Manifest, out: str | None, force: bool, hub: str | None, private: bool
) -> dict[str, Any]:
    from cord.export import write_dataset
    from cord.export.hub import push, require_token

    if out is not None and hub and "://" in out:
        raise UsageError("--push-to-hub uploads a folder; name one, or leave OUT out")
    if hub:
        require_token()
    with tempfile.TemporaryDirectory(prefix="cord-export-") as scratch:
        place = out if out is not None else f"{scratch}/dataset"
        rows = write_dataset(lake, manifest, place, force)
        told: dict[str, Any] = {"path": out, "rows": rows}
        if hub:
            told["hub"] = push(Path(place), hub, private, f"{manifest.label}: {rows} records")
    return told
