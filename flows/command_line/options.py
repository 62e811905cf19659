"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

LakeUri = Annotated[
    str,
    typer.Option("--lake", envvar="CORD_LAKE", help="The lake: a folder or s3://bucket/prefix."),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
RecipePath = Annotated[Path, typer.Argument(help="The recipe, a YAML file.")]
